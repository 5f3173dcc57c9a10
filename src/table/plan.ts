/**
 * Plans: what people have written of a service, with every unit resolved and every default filled in (config/plan.ts). That is what
 * workers are sent and `build` reads. Plain data that can be posted to a thread: no functions, no classes, no undefined that
 * means something. Equal plans are equal as data, so of a change only what differs is sent (control/delta.ts).
 */
import type { ConditionPlan } from './conditions/kind.ts'
import type { SkewPath } from './skew.ts'

export type Balance = 'least-request' | 'least-latency' | 'round-robin' | 'random' | 'hash'

/** What of a request chooses its target, where that is not the visitor. */
export type HashSource =
  | { readonly from: 'path' }
  | { readonly from: 'header'; readonly name: string }
  | { readonly from: 'cookie'; readonly name: string }

export interface PoolPlan {
  readonly name: string
  readonly version: string
  readonly targets: readonly string[]
  /** By target; 1 for each that is not named. Absent when all are. */
  readonly weights?: Readonly<Record<string, number>>
}

/** Where a visitor key is looked for, in order. */
export type VisitorSource =
  | { readonly from: 'header'; readonly name: string }
  | { readonly from: 'cookie'; readonly name: string }
  | { readonly from: 'jwt'; readonly claim: string }
  /** Name of a parameter of the query, as octets. */
  | { readonly from: 'query'; readonly name: string }
  | { readonly from: 'own' }
  | { readonly from: 'address' }

export interface RulePlan {
  readonly name: string
  /** All must hold; a rule without any matches nobody. */
  readonly when: readonly ConditionPlan[]
  readonly to: string | null
  readonly deny: string | null
  readonly pin: boolean
}

export interface RoutePlan {
  /** Lower-case host: exact, `*.example.com`, or `*`. */
  readonly host: string
  readonly path: string
  readonly method: string | null
  /** Lower-case names; `*` as a value means that the field must only be there. */
  readonly header: readonly (readonly [name: string, value: string])[]
  readonly preview: PreviewPlan | null
}

/** The pool that is seen on the host of a route, and by whom: the networks of the clients that are told of it, null for all. */
export interface PreviewPlan {
  readonly pool: string
  readonly from: readonly string[] | null
}

/** When and how others answer what a new version has failed. */
export interface RescuePlan {
  /** Not only while a rollout judges the version. */
  readonly always: boolean
  /** Answers of the new version that are not given to its client. */
  readonly statuses: readonly number[]
  /** Largest body that is kept for it. */
  readonly bodyBytesMax: number
}

/** Requests that are copied to another pool. */
export interface MirrorPlan {
  readonly pool: string
  /** Per cent, above 0. */
  readonly share: number
  /** Both answers are compared. */
  readonly compares: boolean
  /** Also what is not safe to be made twice, and what brings a body. */
  readonly writes: boolean
}

/** What visitors are answered while the service is in maintenance, and who passes (maintenance.ts). */
export interface MaintenancePlan {
  readonly status: number
  /** `Retry-After`; 0 for none. */
  readonly retryAfterS: number
  readonly contentType: string
  /** The page as octets, or the file that has it, as the config names it; neither: the page of Turnout itself. */
  readonly body: string | null
  readonly file: string | null
  /** All must hold for whoever passes; without any nobody does. */
  readonly allow: readonly ConditionPlan[]
}

/** How many requests may be at a target and at a pool at once, and how many wait when there is no room. */
export interface CapacityPlan {
  /** At one address of a target; 0 for any number. */
  readonly requestsPerTarget: number
  /** At all targets of one pool together; 0 for any number. */
  readonly requestsPerPool: number
  /** Requests of the service that may wait, over all workers; 0 for none. */
  readonly queueMax: number
  /** How long each may wait. */
  readonly queueMs: number
}

/** How what is open for long is let go, once its visitors would come to another place. */
export interface DrainPlan {
  /** How long visitors are kept by a drain; and what cannot be ended without harm is not, for so long. */
  readonly timeoutMs: number
  /** null: tunnels and streams are left until they end. */
  readonly tunnels: TunnelsPlan | null
  /** They follow the weights. */
  readonly rebalance: boolean
}

export interface TunnelsPlan {
  readonly overMs: number
  /** Over all workers. */
  readonly perSecond: number
  /** Text message before the Close; null for none. */
  readonly message: string | null
  /** Code of the Close. */
  readonly close: number
}

export interface StickyPlan {
  readonly pool: boolean
  readonly target: boolean
  readonly cookie: string
  readonly maxAgeS: number
  /** The fixed tail of Set-Cookie: `; Path=/; Max-Age=…; HttpOnly; SameSite=…`. */
  readonly attributes: string
}

/** A service spec with every unit resolved: what workers are sent and what `build` reads. Plain data, cloneable. */
export interface ServicePlan {
  readonly name: string
  readonly routes: readonly RoutePlan[]
  readonly pools: readonly PoolPlan[]
  readonly weights: Readonly<Record<string, number>>
  readonly rules: readonly RulePlan[]
  readonly visitor: readonly VisitorSource[]
  readonly sticky: StickyPlan | null
  readonly balance: Balance
  /** What `hash` looks at; null for the visitor. */
  readonly hashOn: HashSource | null
  /** How long what is new takes to get its share; 0 for no time. */
  readonly slowStartMs: number
  /** null: the other pools by weight, heaviest first, then the hot standby. */
  readonly failover: readonly string[] | null
  /** True when active probes are configured. */
  readonly probed: boolean
  readonly timeouts: { readonly connectMs: number; readonly responseMs: number; readonly idleMs: number }
  /** null: never. */
  readonly rescue: RescuePlan | null
  /** What another version is asked for, when one has not got it. */
  readonly skew: readonly SkewPath[]
  readonly mirror: MirrorPlan | null
  /** Query parameter by which people choose a pool; null for none. */
  readonly link: string | null
  /** null: no limit. */
  readonly capacity: CapacityPlan | null
  /** null: the page of Turnout itself, and nobody passes. */
  readonly maintenance: MaintenancePlan | null
  readonly drain: DrainPlan
  readonly debugHeaders: boolean
}
