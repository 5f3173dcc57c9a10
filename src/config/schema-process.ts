/**
 * The part of the schema about the process as a whole: listeners, the admin API, limits and time-outs of the data plane, and the log. Read at start,
 * never changed by the API. See schema.ts for the invariants.
 */
import type { Static } from 'typebox'
import { closed, closedLike, Duration, Name } from './schema-parts.ts'
import { Type } from './type.ts'

export const ListenerSchema = closedLike(
  { address: ':8080' },
  {
    address: Type.String({ minLength: 1, description: 'host:port, or :port for every address.' }),
    tls: Type.Optional(
      closed(
        {
          cert: Type.String({ description: 'PEM file of the certificate with its chain, relative to this file.' }),
          key: Type.String({ description: 'PEM file of its key, relative to this file.' }),
        },
        { description: 'TLS 1.2 and 1.3 with this certificate. Default: plain HTTP.' },
      ),
    ),
  },
)

export const AdminSchema = closedLike(
  { address: '127.0.0.1:9900' },
  {
    address: Type.String({
      default: '127.0.0.1:9900',
      description: 'host:port of the admin API; off loopback only with tokens.',
    }),
    tokens: Type.Array(
      closed({
        name: Name('Who this is, for the audit.'),
        token: Type.String({ minLength: 16, writeOnly: true, description: 'The secret, at least 16 characters.' }),
        role: Type.Union([Type.Literal('viewer'), Type.Literal('operator')], {
          default: 'viewer',
          description: 'viewer reads, operator also changes.',
        }),
      }),
      { default: [], description: 'Without tokens the API serves loopback only.' },
    ),
  },
)

export const LimitsSchema = closed({
  headBytesMax: Type.Integer({
    default: 32_768,
    minimum: 1_024,
    maximum: 1_048_576,
    description: 'Bytes of the head of a request or an answer.',
  }),
  headersMax: Type.Integer({
    default: 128,
    minimum: 8,
    maximum: 1_000,
    description: 'Header fields of a request or an answer.',
  }),
  bodyBytesMax: Type.Integer({ default: 0, minimum: 0, description: 'Bytes of a request body; 0 is no limit.' }),
  connectionsMax: Type.Integer({
    default: 20_000,
    minimum: 1,
    description: 'Client connections of the process, and never more than ¾ of the files that the system lets it open.',
  }),
  connectionsPerAddressMax: Type.Integer({
    default: 15_000,
    minimum: 0,
    description: 'Client connections of an address (IPv6: of a /64), trusted proxies apart; 0 is no limit.',
  }),
  requestsPerConnectionMax: Type.Integer({
    default: 100_000,
    minimum: 1,
    description: 'Requests on one client connection, which is closed then.',
  }),
  upstreamConnectionsMax: Type.Integer({
    default: 2_048,
    minimum: 1,
    description: 'Connections per target and worker, so requests under way at it.',
  }),
  keptBytesMax: Type.Integer({
    default: 16_777_216,
    minimum: 0,
    description:
      'Bytes of request bodies that a worker keeps, so that what a new version fails can be sent again; more are not kept (turnout_bodies_not_kept_total).',
  }),
  mirrorsMax: Type.Integer({
    default: 256,
    minimum: 0,
    description:
      'Copies of requests (mirror) that a worker has under way; more are not made (turnout_not_mirrored_total).',
  }),
  sampleBytesMax: Type.Integer({
    default: 8_388_608,
    minimum: 0,
    maximum: 268_435_456,
    description: 'Bytes of the heads of the last requests that a worker keeps in memory for dry runs; 0 keeps none.',
  }),
  upstreamIdleMax: Type.Integer({
    default: 128,
    minimum: 0,
    description: 'Idle connections kept per target and worker.',
  }),
})

export const TimeoutsSchema = closed({
  head: Duration('Time from the first byte of a request to the end of its head.', '15s'),
  body: Duration('Time without a byte of a request body.', '30s'),
  keepAlive: Duration('Time between requests on a client connection.', '75s'),
  send: Duration(
    'A client, or the target of a tunnel, that takes nothing of what waits for it in this time is cut off.',
    '30s',
  ),
  upstreamKeepAlive: Duration(
    'An idle connection to a target is closed after this, or sooner where the target says so.',
    '60s',
  ),
  shutdown: Duration('Time for what is under way when the process ends.', '30s'),
})

export const LogSchema = closed(
  {
    level: Type.Union(
      ['debug', 'info', 'warn', 'error', 'silent'].map((level) => Type.Literal(level)),
      { default: 'info', description: 'Least level that is logged.' },
    ),
    access: Type.Boolean({ default: true, description: 'One JSON line a request on standard output.' }),
    sample: Type.Number({
      default: 1,
      minimum: 0,
      maximum: 1,
      description: 'Share of requests that are in the access log, from 0 to 1.',
    }),
  },
  { default: {}, description: 'What is written to standard error (log) and standard output (access log).' },
)

export const RolloutCommandsSchema = Type.Array(
  Type.String({ pattern: '^/[^\\0]*$', title: 'a folder such as /opt/hooks', maxLength: 4_096 }),
  { default: [], maxItems: 20, description: 'Folders whose programs hooks of rollouts may run.' },
)

export const CountrySchema = closed(
  {
    header: Type.Optional(
      Type.String({
        pattern: "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$",
        title: 'a header name',
        description:
          'Header by which a trusted proxy tells the country of its client, such as cf-ipcountry. Default: none is believed.',
      }),
    ),
    file: Type.Optional(
      Type.String({
        minLength: 1,
        description:
          'Database of countries (.mmdb), relative to this file; read again when it changes. Default: none is asked.',
      }),
    ),
  },
  {
    minProperties: 1,
    description: 'Who tells the country of a client: the header first, then the database. Default: nobody.',
  },
)

export const JwtSchema = closed(
  {
    secret: Type.Optional(
      Type.String({
        minLength: 32,
        writeOnly: true,
        description: 'Secret of tokens by HS256, HS384 or HS512, at least 32 characters. Default: none, there is jwks.',
      }),
    ),
    jwks: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 2_048,
        description:
          'Public keys (JWKS) of all other tokens: an http or https URL, or a file relative to this one. Default: none, there is a secret.',
      }),
    ),
    issuer: Type.Optional(
      Type.String({ description: 'Who has issued the token (iss); others are not believed. Default: any.' }),
    ),
    audience: Type.Optional(
      Type.String({ description: 'For whom the token is (aud); others are not believed. Default: any.' }),
    ),
  },
  { minProperties: 1, description: 'By what the JWTs of visitors (jwt:CLAIM) are verified. Default: they are not.' },
)

/** Stands among the keys of our cookies for the one that Turnout has made itself. */
export const STORED_KEY = 'stored'
export const COOKIE_KEY_LENGTH_MIN = 32
/** Each is tried with a cookie that is not known yet. */
const COOKIE_KEYS_MAX = 8

export const CookieKeysSchema = Type.Array(Type.String({ writeOnly: true }), {
  default: [STORED_KEY],
  minItems: 1,
  maxItems: COOKIE_KEYS_MAX,
  description:
    'What our cookies are signed by, at least 32 characters each: the first key signs, all verify. stored is the one that Turnout has made itself, and keeps in its store.',
})

export type ListenerSpec = Static<typeof ListenerSchema>
export type AdminSpec = Static<typeof AdminSchema>
export type JwtSpec = Static<typeof JwtSchema>
export type CountrySpec = Static<typeof CountrySchema>
export type LimitsSpec = Static<typeof LimitsSchema>
export type TimeoutsSpec = Static<typeof TimeoutsSchema>
