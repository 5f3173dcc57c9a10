/**
 * The one schema: the config file, the bodies of the admin API, `config/schema.json` and the TypeScript types all come
 * from here. It describes the *spec* as people write it: durations are strings, and defaults are filled in by validation.
 *
 * Invariants: every object is closed (an unknown key is an error), every field has a description, every limit has a
 * default. What a schema cannot say (a split that names an unknown pool, two equal routes) is checked in `check.ts`.
 */
import type { Static } from 'typebox'
import { WhenSchema } from '../table/conditions/kinds.ts'
import { MaintenanceSchema } from './schema-maintenance.ts'
import { closed, closedLike, Duration, Method, NAME_PATTERN, Name, Statuses, UrlPath } from './schema-parts.ts'
import {
  AdminSchema,
  CookieKeysSchema,
  CountrySchema,
  JwtSchema,
  LimitsSchema,
  type LimitsSpec,
  ListenerSchema,
  LogSchema,
  RolloutCommandsSchema,
  TimeoutsSchema,
  type TimeoutsSpec,
} from './schema-process.ts'
import { RolloutSchema } from './schema-rollout.ts'
import {
  BalanceSchema,
  CapacitySchema,
  DrainSchema,
  LinkSchema,
  MirrorSchema,
  PreviewSchema,
  RescueSchema,
  SkewSchema,
  StickySchema,
} from './schema-steering.ts'
import { StoreSchema } from './schema-store.ts'
import { Type } from './type.ts'

/** Key and options of a map of named things: a key that is no name is refused. */
const NameKey = Type.String({ pattern: NAME_PATTERN })
const named = { additionalProperties: false }

const TargetUrl = Type.String({
  pattern: '^(srv\\+)?https?://[^/\\s?#@]+/?$',
  title: 'a target such as http://127.0.0.1:3001 or srv+http://_web._tcp.example.com, without a path',
  description:
    'One target as scheme://host:port, or srv+scheme://_name._tcp.domain for those of SRV records; without a path.',
  examples: ['http://127.0.0.1:3001'],
})

export const RouteSchema = closedLike(
  { host: 'shop.example.com', path: '/' },
  {
    host: Type.String({
      default: '*',
      minLength: 1,
      description: 'Host to match: exact, *.example.com, or * for any.',
    }),
    path: Type.String({
      default: '/',
      pattern: '^/[^\\s?#]*$',
      title: 'a path that begins with "/"',
      description: 'Path prefix, matched on segment boundaries; the longest wins.',
    }),
    method: Type.Optional(Method('Only requests with this method. Default: any method.')),
    header: Type.Optional(
      Type.Record(Type.String(), Type.String(), {
        description: 'Only requests that have each of these headers with this value. Default: any headers.',
      }),
    ),
  },
)

export const PoolSchema = closedLike(
  { targets: ['http://127.0.0.1:3001'] },
  {
    version: Type.String({
      default: '',
      maxLength: 128,
      description: 'Version of the app in this pool, for people and metrics.',
    }),
    targets: Type.Array(TargetUrl, { maxItems: 1024, uniqueItems: true, description: 'The targets of this pool.' }),
    weights: Type.Optional(
      Type.Record(Type.String(), Type.Integer({ minimum: 0, maximum: 1_000 }), {
        description:
          'Weight of a target within the pool, by its URL; 0 for nobody new. Default: 1 for each that is not named.',
      }),
    ),
  },
)

const RULE = { name: 'staff', when: { header: { 'x-internal': '1' } }, to: 'green' }

export const RuleSchema = closedLike(RULE, {
  name: Name('Name of the rule, shown by explain.'),
  when: WhenSchema,
  to: Type.Optional(Name('Pool that matching requests go to; a rule has this or deny. Default: by the split.')),
  deny: Type.Optional(Name('Pool that matching requests never go to. Default: none.')),
  pin: Type.Optional(
    Type.Boolean({
      description:
        'Matching visitors are pinned to the pool for the life of its release, also without what has matched. Default false.',
    }),
  ),
})

export const WeightsSchema = Type.Record(NameKey, Type.Integer({ minimum: 0, maximum: 1_000_000 }), {
  ...named,
  minProperties: 1,
  description:
    'Weight of each pool; its share is its weight by the sum of all. Default: all to live, or to the only pool.',
  examples: [{ blue: 90, green: 10 }],
})

export const HealthSchema = closed(
  {
    path: UrlPath('Path that is probed with GET.', '/health'),
    interval: Duration(
      'Time between probes of a target, drawn anew each time by a tenth more or less. At least 100ms.',
      '5s',
    ),
    timeout: Duration('A probe that takes longer has failed.', '2s'),
    healthyAfter: Type.Integer({ default: 2, minimum: 1, maximum: 100, description: 'Passes in a row until healthy.' }),
    unhealthyAfter: Type.Integer({
      default: 3,
      minimum: 1,
      maximum: 100,
      description: 'Failures in a row until unhealthy.',
    }),
    status: Statuses('Statuses that pass.', '200-299'),
    host: Type.Optional(
      Type.String({ description: 'Host header of the probe. Default: host and port of the target.' }),
    ),
    json: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), {
        description:
          'Dotted fields of the JSON body and the value that each must have, e.g. {"db.ok": true}. Default: the body is not looked at.',
      }),
    ),
    expectVersion: Type.Optional(
      Type.String({
        description: 'Dotted field of the JSON body that must equal the version of the pool. Default: none.',
      }),
    ),
  },
  { description: 'How targets are probed. Default: they are not.', examples: [{ path: '/health' }] },
)

export const ADMIN_STATES = ['ready', 'drain', 'standby', 'maint'] as const

const POOLS = { blue: { targets: ['http://127.0.0.1:3001'] } }

export const ServiceSchema = closedLike(
  { routes: [{ host: 'shop.example.com' }], pools: POOLS },
  {
    routes: Type.Array(RouteSchema, {
      minItems: 1,
      description: 'Requests that match any of these belong to the service.',
    }),
    pools: Type.Record(NameKey, PoolSchema, {
      ...named,
      minProperties: 1,
      description: 'Pools by name.',
      examples: [POOLS],
    }),
    split: Type.Optional(WeightsSchema),
    live: Type.Optional(Name('Short for a split that gives everything to this pool. Default: none, there is a split.')),
    rules: Type.Array(RuleSchema, {
      default: [],
      maxItems: 10_000,
      description: 'Who goes to which pool whatever the split says; the first rule that matches wins.',
    }),
    visitor: Type.Array(
      Type.String({
        pattern: '^(header:[^\\s:]+|cookie:[^\\s:]+|jwt:[^\\s:]+|query:[^\\s:]+|cookie|address)$',
        title: 'a visitor source (header:NAME, cookie:NAME, jwt:CLAIM, query:NAME, cookie or address)',
        examples: ['cookie'],
      }),
      {
        default: ['cookie'],
        description:
          'Where the visitor key is found, first found wins: header:NAME, cookie:NAME, jwt:CLAIM, query:NAME, cookie (our own), address.',
      },
    ),
    sticky: Type.Union([StickySchema, Type.Literal(false)], {
      default: {},
      description: 'How visitors are kept where they are, by a signed cookie; false for not at all.',
    }),
    balance: BalanceSchema,
    slowStart: Type.Optional(
      Duration(
        'What is new (a target, or a pool of such) gets a tenth of its share, and more by and by until so much later. At least 1s. Default: all of it at once.',
      ),
    ),
    failover: Type.Optional(
      Type.Array(Type.String(), {
        description:
          'Pools that take over, in order, when the chosen one has no target that can take the request. Default: the others by weight, then the one that was switched away from.',
      }),
    ),
    health: Type.Optional(HealthSchema),
    drain: DrainSchema,
    timeouts: closed(
      {
        connect: Duration('Time to open a connection to a target.', '3s'),
        response: Duration('Time from the sent request (or a head that awaits 100) to the head of its answer.', '60s'),
        idle: Duration('Time without a byte of a response body.', '60s'),
      },
      { default: {}, description: 'How long targets are waited for.', examples: [{ response: '60s' }] },
    ),
    rescue: Type.Optional(RescueSchema),
    skew: Type.Optional(SkewSchema),
    preview: Type.Optional(PreviewSchema),
    link: Type.Optional(LinkSchema),
    mirror: Type.Optional(MirrorSchema),
    capacity: Type.Optional(CapacitySchema),
    maintenance: Type.Optional(MaintenanceSchema),
    rollout: Type.Optional(RolloutSchema),
    debugHeaders: Type.Boolean({
      default: false,
      description: 'Tell clients the service, pool and release that answered (X-Turnout-Pool …).',
    }),
  },
)

export const SpecSchema = closed({
  listeners: Type.Array(ListenerSchema, {
    default: [{ address: '0.0.0.0:8080' }],
    minItems: 1,
    description: 'Where clients are accepted.',
  }),
  admin: Type.Unsafe<Static<typeof AdminSchema>>({
    ...AdminSchema,
    default: {},
    description: 'The admin API, which the command line talks to.',
  }),
  workers: Type.Union([Type.Literal('auto'), Type.Integer({ minimum: 1, maximum: 64 })], {
    default: 'auto',
    description: 'Worker threads; auto is one per core.',
  }),
  store: StoreSchema,
  onPartition: Type.Union([Type.Literal('serve'), Type.Literal('unready')], {
    default: 'serve',
    description:
      'What /readyz says while a store that several instances share cannot be reached or followed: unready takes this instance out of the balancer before it. It serves on either way.',
  }),
  trustedProxies: Type.Array(Type.String(), {
    default: [],
    description:
      'Networks of proxies before this one, whose X-Forwarded-* and Forwarded are believed, such as 10.0.0.0/8.',
  }),
  country: Type.Optional(CountrySchema),
  jwt: Type.Optional(JwtSchema),
  cookieKeys: CookieKeysSchema,
  limits: Type.Unsafe<LimitsSpec>({
    ...LimitsSchema,
    default: {},
    description: 'What clients and targets may use up.',
  }),
  timeouts: Type.Unsafe<TimeoutsSpec>({
    ...TimeoutsSchema,
    default: {},
    description: 'How long clients are waited for, and the end of the process.',
  }),
  log: LogSchema,
  rolloutCommands: RolloutCommandsSchema,
  services: Type.Record(NameKey, ServiceSchema, {
    ...named,
    default: {},
    description: 'Services by name.',
  }),
})

/** Body of `PUT …/rules`. */
export const RulesBodySchema = Type.Array(RuleSchema, { maxItems: 10_000 })
/** Body of `PUT …/state` of a pool or target. */
export const StateBodySchema = closed({
  state: Type.Union(
    ADMIN_STATES.map((state) => Type.Literal(state)),
    { description: 'ready; drain: no new visitors; standby: probed, not routed; maint: neither.' },
  ),
})

export type RouteSpec = Static<typeof RouteSchema>
export type PoolSpec = Static<typeof PoolSchema>
export type RuleSpec = Static<typeof RuleSchema>
export type StickySpec = Static<typeof StickySchema>
export type HealthSpec = Static<typeof HealthSchema>
export type Weights = Static<typeof WeightsSchema>
/** A service as people write it, with every default filled in; `split` is always there after loading (`live` becomes one). */
export type ServiceSpec = Static<typeof ServiceSchema>
/** The whole file. `services` is what the control plane may change; the rest is read at start. */
export type Spec = Static<typeof SpecSchema>
export type Services = Record<string, ServiceSpec>

/** What of a service says who gets which pool: what a dry run takes. */
export const STEERING = ['split', 'live', 'rules', 'visitor', 'sticky', 'failover'] as const
