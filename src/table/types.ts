/**
 * The vocabulary of the table: what `build` makes of plans (plan.ts) and status (status.ts), and what `decide` reads and returns. Types only.
 *
 * spec (what people write) → plan (the same with units resolved, by config/plan.ts) ┐
 *                             status (status.ts: set by people, and observed) ├→ build → table (immutable)
 */
import type { StatusRanges } from '../config/statuses.ts'
import type { ErrorCode } from '../errors.ts'
import type { Hold } from './hold.ts'
import type { Redirect } from './link.ts'
import type { Maintenance } from './maintenance.ts'
import type { Router } from './match.ts'
import type { MirrorTable } from './mirror.ts'
import type { Balance, HashSource, RescuePlan, ServicePlan, StickyPlan, VisitorSource } from './plan.ts'
import type { Ramps } from './ramp.ts'
import type { RuleSet } from './rules.ts'
import type { SkewPath } from './skew.ts'
import type { ServiceStatus } from './status.ts'

/** Set by a person. `drain`: no new visitors; `standby`: probed, not routed; `maint`: neither probed nor routed. */
export type AdminState = 'ready' | 'drain' | 'standby' | 'maint'
/** Result of active probes; `unknown` until the first result, and for good where no probe is configured. */
export type Health = 'unknown' | 'healthy' | 'unhealthy'

/** The buckets below `end`, down to the end of the range before, belong to this pool. */
export interface BucketRange {
  readonly pool: string
  readonly end: number
}

/** Which pool has which buckets (allotment.ts). */
export interface Allotment {
  /** Release whose name salts the hash of the visitors. */
  readonly salt: string
  /** What the ranges were cut for: the weights of the pools that took new visitors. */
  readonly weights: Readonly<Record<string, number>>
  readonly ranges: readonly BucketRange[]
  /** The one before the last change, which comes back when that is undone. */
  readonly before?: Omit<Allotment, 'before'>
}

/** One address of a target: what requests are sent to. A target has as many as its name, and one when it is an address itself. */
export interface TargetTable {
  /** `scheme://host:port`, the identity of the target; all of its addresses share it. */
  readonly url: string
  /** `host:port`, as in the API's paths, in metrics and towards the target as Host when the client sent none. */
  readonly authority: string
  readonly tls: boolean
  readonly host: string
  /** The IP address that connections go to, and the identity of this place within the target. */
  readonly address: string
  /** The same place by the other family of addresses, tried when `address` does not accept; null for none. */
  readonly alternate: string | null
  readonly port: number
  /** Short opaque id for cookies: a hash, so that no address leaks. Of a name it begins with `targetTag` and ends with the address. */
  readonly tag: string
  /** The same of the target, whichever its addresses. */
  readonly targetTag: string
  /** For rendezvous hashing: hash of the URL, and of the address where the target has several. */
  readonly seed: number
  readonly slot: number
  /** Its part within the pool, beside the weights of the others; with 0 it takes nobody new. */
  readonly weight: number
  /** Until then its weight rises (warmth.ts); 0 when it does not. */
  readonly warmUntilMs: number
  readonly admin: AdminState
  readonly drainUntilMs: number
  readonly health: Health
  readonly ejectedUntilMs: number
  readonly pool: PoolTable
  /** It has the version that a rollout tries. */
  readonly isTried: boolean
  /** What it fails, others answer, the live pool first: it has a version that few get yet. */
  readonly isRescued: boolean
}

export interface PoolTable {
  readonly name: string
  readonly version: string
  /** What pins to this pool name: the release, and when the pool came later than its service, which pool it is of that name. */
  readonly release: string
  readonly weight: number
  readonly admin: AdminState
  readonly drainUntilMs: number
  readonly targets: readonly TargetTable[]
  /** True when every target takes every request at any time: all ready, none failing. Then nothing is looked at again. */
  readonly allFit: boolean
  /** All targets have the same weight, so nothing is to be weighed. */
  readonly isEven: boolean
  /** When the last of its targets is warm; until then they are weighed. */
  readonly weighedUntilMs: number
  /** When the first of its targets that can take requests is warm; until then it takes a part of what is aimed at it (ramp.ts). */
  readonly rampUntilMs: number
  /** The picker's numbers below this, down to the end of the pool before it; only pools in admin state `ready` take a share. */
  readonly weightEnd: number
}

/** What a rollout tries: the pool with the new version, and which of its steps this is, by a number that only grows. */
export interface Trial {
  readonly pool: string
  readonly step: number
  /** Id of the rollout; absent where an older Turnout has begun it. */
  readonly rollout?: string
  /** The targets of the pool that have the new version; absent: all of them. */
  readonly targets?: readonly string[]
  /** Statuses that are failures; absent: those that are for everybody else (dataplane/exchange/attempt-outcome.ts). */
  readonly failing?: StatusRanges
  /** A WebSocket that its target ends sooner has failed; 0 for never, absent: the default (dataplane/exchange/judged.ts). */
  readonly earlyCloseMs?: number
  /** Whoever comes to the pool is asked for its version (control/trial-guard.ts); absent: nobody can be. */
  readonly asks?: boolean
}

/** Buckets by pool: the ends of their ranges, rising to 10000, and the pool of each. */
export interface Ranges {
  readonly bucketEnds: readonly number[]
  /** null where it is there no longer. */
  readonly bucketPools: readonly (PoolTable | null)[]
}

export interface ServiceTable extends Ranges {
  readonly name: string
  /** What it was compiled from. */
  readonly plan: ServicePlan
  readonly release: string
  /** Hash state of the buckets' salt, precomputed: see bucket.ts. */
  readonly salt: number
  readonly slot: number
  readonly trial: Trial | null
  /** Sorted by name. */
  readonly pools: readonly PoolTable[]
  /** All are there; empty, and so are `bucketEnds`, when no pool has a weight. */
  readonly bucketPools: readonly PoolTable[]
  /** Sum of the weights of the pools in admin state `ready`: what the picker spreads over. */
  readonly weightSum: number
  /** Step of the low-discrepancy picker: see bucket.ts. 0 when one pool has all the weight. */
  readonly pickStep: number
  readonly rules: RuleSet
  readonly visitor: readonly VisitorSource[]
  readonly sticky: StickyPlan | null
  readonly balance: Balance
  readonly hashOn: HashSource | null
  readonly slowStartMs: number
  /** null without a slow start. */
  readonly ramps: Ramps | null
  /** Pools that take over, in order. */
  readonly failover: readonly PoolTable[]
  readonly probed: boolean
  readonly timeouts: ServicePlan['timeouts']
  readonly rescue: RescuePlan | null
  readonly skew: readonly SkewPath[]
  readonly mirror: MirrorTable | null
  readonly link: string | null
  readonly capacity: ServicePlan['capacity']
  readonly hold: Hold | null
  /** null while it is off. */
  readonly maintenance: Maintenance | null
  /** The pools whose versions are about: those with weight, heaviest first, then the hot standby. */
  readonly versions: readonly PoolTable[]
  readonly debugHeaders: boolean
}

/** The immutable snapshot that requests read. `routes` is opaque: ask `match`. */
export interface Table {
  readonly epoch: number
  readonly revision: number
  readonly services: ReadonlyMap<string, ServiceTable>
  readonly routes: Router
}

/** What changes from one epoch to the next; services that are not named stay as they are, `null` removes. */
export interface TableDelta {
  readonly epoch: number
  readonly revision: number
  readonly services: Readonly<Record<string, ServiceChange | null>>
}

/** A service that is new or has changed. */
export interface ServiceChange {
  /** The whole plan of a new service; of one that was there before, what differs. */
  readonly plan: Partial<ServicePlan>
  readonly status: ServiceStatus
}

/** Something to be asked of a text of octets. */
export interface TextTest {
  holds(text: string): boolean
}

/** What `decide` may ask about a request. The data plane answers from the raw head, `explain` from what it was posted. */
export interface RequestView {
  readonly method: string
  /** Host without port, in its one form (table/host.ts). */
  readonly host: string
  /** Path without query, exactly as it will be forwarded. */
  readonly path: string
  /** What follows `?`; empty without one. */
  readonly query: string
  /** Client address after trusted proxies. */
  readonly address: string
  /** Value of the field with this lower-case name; of several lines all of them, joined by `, `, which is the same to HTTP (RFC 9110 5.2). */
  header(name: string): string | undefined
  /** Whether a field of this lower-case name passes, or all of them together, joined by `, ` (RFC 9110 5.2). */
  headerPasses(name: string, test: TextTest): boolean
  /** Whether a cookie of this name passes. */
  cookiePasses(name: string, test: TextTest): boolean
  /** Value of the first cookie of this name (cookie-header.ts). */
  cookie(name: string): string | undefined
  /** Number of header fields; what follows tells of each, by its place. */
  readonly fieldCount: number
  /** `nameHint` of its name (condition-index.ts). */
  fieldHint(at: number): number
  /** Its name in lower case. */
  fieldName(at: number): string
  fieldValue(at: number): string
  /** The values of all fields of its name, joined by `, `, when it is the second of that name; else null. So each is told once. */
  joinedAt(at: number): string | null
  /** Our own cookie for a service that sets one, verified; that of another service where it has none yet. null: absent, malformed or not signed by us. */
  ownCookie(service: ServiceTable): OwnCookie | null
  /** The claims of the JWT of the request as text, verified where the config says by what; null when there are none that are believed, or two of them. */
  claims(): string | null
  /** Country of the client (country.ts), as a trusted proxy or a database tells; null when it is not known. */
  country(): string | null
  /** Whether a visitor key stands in a file of visitors, by the name that the config gives it; none does in a file that is not there. */
  isListed(file: string, visitor: string): boolean
  /** Wall time in ms: what clients measure the life of a cookie by. */
  wallMs(): number
}

/** Content of our cookie. `pool`, `release` and `target` say what was last given; `pinned` marks an explicit choice. */
export interface OwnCookie {
  readonly visitor: string
  /** Service that wrote the rest; services under one host share the visitor, and each has a cookie of its own. */
  readonly service: string
  readonly pool: string
  readonly release: string
  /** Tag of the target, or empty. */
  readonly target: string
  readonly pinned: boolean
  /** Wall time in seconds at which the client forgets it; 0 when it does not say. */
  readonly endS: number
}

/** What is known of a target now, by counter slot. */
export interface Load {
  /** Number of requests in flight at it, over all workers. */
  (slot: number): number
  /** How long it takes to answer in ms, 0 when that is not known yet; `isIdle` when nothing is in flight at it. Absent: nobody knows. */
  readonly latencyMs?: (slot: number, isIdle: boolean) => number
  /** Those that hold a permit of a target with a limit (CapacityPlan); absent where nothing has any. */
  readonly permits?: (slot: number) => number
}

/** The only sources of chance and order that `decide` has; tests and `explain` give their own. */
export interface Draw {
  /** Next number of the low-discrepancy sequence of a service: 0, 1, 2 … by service slot. */
  next(slot: number): number
  /** Next number of a sequence of this worker alone, for round-robin: 0, 1, 2 … by slot of the first target of a pool. */
  turn(slot: number): number
  /** Uniform in [0, 1). */
  random(): number
  /** A fresh, unguessable visitor id for our cookie. */
  visitorId(): string
}

/** Why this pool: the phase that decided. */
export type Reason = 'rule' | 'pin' | 'bucket' | 'picker' | 'failover' | 'warming' | 'skew' | 'preview' | 'link'

export interface Decision {
  /** null when the request goes nowhere; then `error` says why. */
  readonly target: TargetTable | null
  readonly pool: PoolTable | null
  readonly service: ServiceTable | null
  readonly error: ErrorCode | null
  readonly reason: Reason | null
  /** Name of the rule that decided, if one did. */
  readonly rule: string | null
  /** The visitor key that was found, or null. */
  readonly visitor: string | null
  /** The visitor had no key, and was given an id of ours by this decision, or by an earlier one of the request. */
  readonly fresh: boolean
  /** The bucket of the visitor, or -1. */
  readonly bucket: number
  /** Hash of the visitor key, signed; -1 without one, and of an id that is given only now. */
  readonly visitorHash: number
  /** The pool that was meant before health was looked at. */
  readonly aimed: PoolTable | null
  /** True when fewer than half of the pool were eligible and health was ignored. */
  readonly panic: boolean
  /** Our cookie to set, still to be signed; null when the client has it already or gets none. */
  readonly setCookie: OwnCookie | null
  /** Where the client is sent instead, with which cookie: then there is neither target nor error. null: nowhere. */
  readonly redirect: Redirect | null
  /** The pool whose targets would take the request, but have no room; null when there is room, or nobody at all. */
  readonly waitsFor: PoolTable | null
}
