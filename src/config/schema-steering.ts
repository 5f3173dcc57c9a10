/**
 * The part of the schema about who gets which version, and how few a bad one hurts.
 *
 * See schema.ts for the invariants.
 */
import type { Static } from 'typebox'
import { closed, closedLike, Duration, Name } from './schema-parts.ts'
import { Type } from './type.ts'

/** How a target is chosen within a pool. */
export const BalanceSchema = Type.Union(
  [
    Type.Literal('least-request'),
    Type.Literal('least-latency'),
    Type.Literal('round-robin'),
    Type.Literal('random'),
    Type.Literal('hash'),
    closed({
      hash: Type.String({
        pattern: '^(path|header:[^\\s:]+|cookie:[^\\s:]+)$',
        title: 'what is hashed (path, header:NAME or cookie:NAME)',
        description:
          'Requests that are equal in this go to the same target; those that have no such header or cookie go by their visitor.',
      }),
    }),
  ],
  {
    default: 'least-request',
    description:
      'How a target is chosen within a pool, each by its weight. hash: by the visitor, or the client address where there is none.',
  },
)

export const RescueSchema = Type.Union(
  [
    closed({
      status: Type.Optional(
        Type.Array(Type.Integer({ minimum: 400, maximum: 599 }), {
          maxItems: 32,
          uniqueItems: true,
          description: 'Statuses of the new version in whose place another pool is asked. Default [502,503].',
        }),
      ),
      bodyBytesMax: Type.Optional(
        Type.Integer({
          minimum: 0,
          maximum: 1_048_576,
          description: 'Bytes of a request body that is kept for a second try. Default 65536.',
        }),
      ),
    }),
    Type.Boolean(),
  ],
  {
    description:
      'What a new version fails, others answer; true: of every pool but the heaviest; false: never. Default: while a rollout judges it.',
  },
)

export const StickySchema = closedLike(
  { target: true, maxAge: '7d' },
  {
    pool: Type.Boolean({ default: true, description: 'Keep a visitor on the same pool.' }),
    target: Type.Boolean({
      default: false,
      description: 'Keep a visitor on the same target of the pool, for sessions in memory.',
    }),
    cookie: Type.String({
      default: 'turnout',
      pattern: "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$",
      title: 'a cookie name',
      description: 'Name of our cookie.',
    }),
    maxAge: Duration('How long the cookie lives; it is renewed at half of that. At least 1s.', '7d'),
    secure: Type.Boolean({ default: false, description: 'Set the Secure flag on our cookie.' }),
    sameSite: Type.Union([Type.Literal('lax'), Type.Literal('strict'), Type.Literal('none')], {
      default: 'lax',
      description: 'SameSite flag of our cookie.',
    }),
  },
)

export const MirrorSchema = closed(
  {
    pool: Name('Pool that gets the copies.'),
    share: Type.Number({
      default: 100,
      exclusiveMinimum: 0,
      maximum: 100,
      description: 'Per cent of the requests that are copied, drawn at random.',
    }),
    compare: Type.Boolean({
      default: false,
      description: 'Compare status, body and time of both answers.',
    }),
    writes: Type.Boolean({
      default: false,
      description:
        'Copy requests by any method, and with a body that came with the head; else GET, HEAD and OPTIONS without one.',
    }),
  },
  {
    description: 'A share of the requests is copied to another pool, whose answers nobody is given. Default: none.',
    examples: [{ pool: 'green', share: 10 }],
  },
)

export const LinkSchema = Type.String({
  pattern: '^[A-Za-z0-9_.-]{1,64}$',
  title: 'the name of a query parameter',
  description:
    'Query parameter by which people choose a pool for themselves, or "off" to be let go, for example turnout. Default: none.',
})

const PreviewHost = Type.String({
  pattern: '^[^\\s/:]+$',
  title: 'a host with {pool} in it, such as {pool}.shop.example.com',
  maxLength: 253,
  description: 'Host of the preview of each pool; {pool} stands for its name.',
})

export const PreviewSchema = Type.Union(
  [
    PreviewHost,
    closed({
      host: PreviewHost,
      from: Type.Optional(
        Type.Array(Type.String(), {
          minItems: 1,
          maxItems: 1_024,
          description:
            'Networks of the clients that have previews; for all others there is no such host. Default: everybody has them.',
        }),
      ),
    }),
  ],
  {
    description: 'Hosts on which each pool is seen, whatever the split, the rules and the cookies say. Default: none.',
  },
)

const QueueSchema = closed({
  requests: Type.Integer({
    default: 1_000,
    minimum: 0,
    maximum: 1_000_000,
    description: 'Requests of the service that may wait, over all workers; the next is answered 503. 0: none waits.',
  }),
  for: Duration('How long a request waits for a target before it is answered 503.', '5s'),
})

const RequestsMax = (description: string) =>
  Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000_000, description }))

export const CapacitySchema = closed(
  {
    requestsPerTarget: RequestsMax(
      'Requests that a target carries at once, over all workers; of a name with several addresses each of these. Default: any number.',
    ),
    requestsPerPool: RequestsMax('Requests that all targets of a pool carry at once. Default: any number.'),
    queue: Type.Unsafe<Static<typeof QueueSchema>>({
      ...QueueSchema,
      default: {},
      description: 'Requests for which no target has room wait here, in order.',
    }),
  },
  {
    description: 'Limits on the requests that are under way at once, and a queue for the others. Default: none.',
    examples: [{ requestsPerTarget: 200 }],
  },
)

const TunnelsSchema = Type.Union(
  [
    closed({
      over: Type.Optional(Duration('Time over which the tunnels of a pool are closed. Default 30s.')),
      perSecond: Type.Optional(
        Type.Number({
          exclusiveMinimum: 0,
          maximum: 1_000_000,
          description: 'Tunnels of the service that are closed in a second at most, over all workers. Default 100.',
        }),
      ),
      message: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: 1_024,
          description: 'Text message that a WebSocket is sent before it is closed. Default: none.',
        }),
      ),
      close: Type.Optional(
        Type.Integer({
          minimum: 1_000,
          maximum: 4_999,
          description: 'Code that a WebSocket is closed with, such as 1012 (service restart). Default 1012.',
        }),
      ),
    }),
    Type.Literal(false),
  ],
  {
    description:
      'How tunnels and event streams are closed whose visitors would come to another place now; false: they are left until they end. Default: as the keys below.',
  },
)

export const DrainSchema = closed(
  {
    timeout: Duration('How long a draining pool or target keeps its visitors; 0s: not at all.', '30s'),
    tunnels: Type.Optional(TunnelsSchema),
    rebalance: Type.Optional(
      Type.Boolean({ description: 'Tunnels follow the weights, too, when these change. Default false.' }),
    ),
  },
  { default: {}, description: 'How what a pool or a target has is let go.', examples: [{ timeout: '30s' }] },
)

/** Paths of what only one version has. */
export const SkewSchema = Type.Array(
  Type.String({
    pattern: '^/[^\\s?#*]*\\*?$',
    title: 'a path that begins with "/", with "*" at its end for all below it',
    maxLength: 1_024,
  }),
  {
    maxItems: 64,
    uniqueItems: true,
    description:
      'Paths such as /assets/* whose files have other names in each version: what one has not got is asked of the others, and of the one that was just replaced. Default: none.',
  },
)
