/**
 * The part of the schema about the process as a whole: limits and time-outs of the data plane, and the log. Read at start,
 * never changed by the API. See schema.ts for the invariants.
 */
import type { Static } from 'typebox'
import { closed, Duration } from './schema-parts.ts'
import { Type } from './type.ts'

export const LimitsSchema = closed({
  headBytesMax: Type.Integer({
    default: 32_768,
    minimum: 1_024,
    maximum: 1_048_576,
    description: 'Bytes of a request or response head.',
  }),
  headersMax: Type.Integer({ default: 128, minimum: 8, maximum: 1_000, description: 'Header fields of a message.' }),
  bodyBytesMax: Type.Integer({ default: 0, minimum: 0, description: 'Bytes of a request body; 0 is no limit.' }),
  connectionsMax: Type.Integer({ default: 20_000, minimum: 1, description: 'Client connections of the process.' }),
  connectionsPerAddressMax: Type.Integer({
    default: 15_000,
    minimum: 0,
    description: 'Client connections per address, trusted proxies apart; 0 is no limit.',
  }),
  requestsPerConnectionMax: Type.Integer({
    default: 100_000,
    minimum: 1,
    description: 'Requests on one client connection.',
  }),
  upstreamConnectionsMax: Type.Integer({
    default: 2_048,
    minimum: 1,
    description: 'Connections per target and worker, so requests under way at it.',
  }),
  keptBytesMax: Type.Integer({
    default: 16_777_216,
    minimum: 0,
    description: 'Bytes of request bodies that a worker keeps, so that what a new version fails can be sent again.',
  }),
  mirrorsMax: Type.Integer({
    default: 256,
    minimum: 0,
    description: 'Copies of requests (mirror) that a worker has under way; beyond that none is made.',
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
  head: Duration('From the first byte of a request to the end of its head.', '15s'),
  body: Duration('Without a byte of a request body.', '30s'),
  keepAlive: Duration('Between requests on a client connection.', '75s'),
  send: Duration('Without progress towards a client that does not read.', '30s'),
  upstreamKeepAlive: Duration('An idle connection to a target is closed after this.', '60s'),
  shutdown: Duration('Time for requests in flight when the proxy ends.', '30s'),
})

export const LogSchema = closed(
  {
    level: Type.Union(
      ['debug', 'info', 'warn', 'error', 'silent'].map((level) => Type.Literal(level)),
      { default: 'info', description: 'Least level that is logged.' },
    ),
    access: Type.Boolean({ default: true, description: 'One JSON line a request on standard output.' }),
    sample: Type.Number({ default: 1, minimum: 0, maximum: 1, description: 'Share of requests that are logged.' }),
  },
  { default: {} },
)

export const RolloutCommandsSchema = Type.Array(
  Type.String({ pattern: '^/[^\\0]*$', title: 'a folder such as /opt/hooks', maxLength: 4_096 }),
  { default: [], maxItems: 20, description: 'Folders whose programs hooks of rollouts may run. Default: none.' },
)

export const CountrySchema = closed(
  {
    header: Type.Optional(
      Type.String({
        pattern: "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$",
        title: 'a header name',
        description: 'Header by which a trusted proxy tells the country of its client, such as cf-ipcountry.',
      }),
    ),
    file: Type.Optional(
      Type.String({
        minLength: 1,
        description: 'Database of countries (.mmdb), relative to this file; read again when it changes.',
      }),
    ),
  },
  { minProperties: 1, description: 'Who tells the country of a client: the header first, then the database.' },
)

export const JwtSchema = closed(
  {
    secret: Type.Optional(
      Type.String({
        minLength: 32,
        writeOnly: true,
        description: 'Secret of tokens by HS256, HS384 or HS512, at least 32 characters.',
      }),
    ),
    jwks: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 2_048,
        description: 'Public keys (JWKS) of all other tokens: an http or https URL, or a file relative to this one.',
      }),
    ),
    issuer: Type.Optional(Type.String({ description: 'Tokens of others (iss) are not believed.' })),
    audience: Type.Optional(Type.String({ description: 'Tokens for others (aud) are not believed.' })),
  },
  { minProperties: 1, description: 'By what the JWTs of visitors (jwt:CLAIM) are verified. Default: they are not.' },
)

export type JwtSpec = Static<typeof JwtSchema>
export type CountrySpec = Static<typeof CountrySchema>
export type LimitsSpec = Static<typeof LimitsSchema>
export type TimeoutsSpec = Static<typeof TimeoutsSchema>
