/**
 * What all connections of one worker share, by nouns: time, counters, tables, buffers, targets. Nothing here is per request,
 * and everything per target is bounded.
 */
import { systemClock } from '../clock.ts'
import type { LimitsPlan, TimeoutsPlan } from '../config/plan.ts'
import { CutCount } from '../cuts.ts'
import { WORKER_FIELD } from '../metrics/layout.ts'
import type { Load } from '../table/types.ts'
import { AccessLog } from './access-log.ts'
import { CookieSigner } from './cookie-signer.ts'
import { Counters } from './counters.ts'
import { Departures } from './departures/departures.ts'
import { Admission } from './downstream/admission.ts'
import { TrustedProxies } from './downstream/trust.ts'
import { KeptBytes } from './exchange/kept-bytes.ts'
import { Mirrors } from './exchange/mirrors.ts'
import { RequestHead } from './http1/request-head.ts'
import { ResponseHead } from './http1/response-head.ts'
import { Ids } from './ids.ts'
import { Latencies } from './latencies.ts'
import { Lookups } from './lookups/lookups.ts'
import { MaintenancePages } from './maintenance-pages.ts'
import type { Difference, WorkerStart } from './messages.ts'
import { HeadView } from './request-view.ts'
import { Samples } from './samples.ts'
import { Buffers } from './socket/buffers.ts'
import type { HeldConnection, UnderWay } from './sweep.ts'
import { Tables } from './tables.ts'
import { Time } from './time.ts'
import { Trials } from './trials.ts'
import { Targets } from './upstream/targets.ts'
import { Holds } from './waiting/holds.ts'
import { Permits } from './waiting/permits.ts'
import { Queues } from './waiting/queues.ts'

/** Patience that is asked for to build a table; `Workers.commit` waits no longer. */
const PREPARE_MS = 2_000

export class Plane {
  readonly index: number
  readonly limits: LimitsPlan
  readonly timeouts: TimeoutsPlan
  readonly counters: Counters
  readonly time: Time
  readonly ids = new Ids()
  readonly tables: Tables
  /** What a target has to do, over all workers, by its slot: what `decide` balances by. */
  readonly load: Load
  readonly latencies: Latencies
  readonly buffers: Buffers
  readonly targets: Targets
  /** One for the worker, read and done with before the next read; what must outlive that is copied. */
  readonly requestHead: RequestHead
  readonly responseHead: ResponseHead
  readonly signer: CookieSigner
  readonly lookups: Lookups
  readonly pages: MaintenancePages
  /** What `decide` sees of the request in `requestHead`. */
  readonly view: HeadView
  readonly trusted: TrustedProxies
  readonly admission: Admission
  readonly permits: Permits
  readonly queues: Queues
  readonly holds: Holds
  readonly trials: Trials
  readonly kept: KeptBytes
  readonly mirrors: Mirrors
  readonly departures: Departures
  readonly log: AccessLog
  /** Of the requests in `requestHead`. */
  readonly samples: Samples
  readonly clients = new Set<HeldConnection>()
  /** Those of all connections, under way or not. */
  readonly exchanges = new Set<UnderWay>()
  /** Set when the worker drains: every answer closes its connection. */
  draining = false
  /** Until then a connection may lie idle, or be in its handshake, while it drains. */
  idleUntilMs = Infinity
  /** Of TLS, which are under way. */
  handshakes = 0
  /** What of that did not end by itself; and that the rest is just broken off, since its time is over. */
  readonly cuts = new CutCount()
  isBreakingOff = false

  constructor(
    start: WorkerStart,
    sendLog: (memory: SharedArrayBuffer, length: number) => void,
    sendDifference: (difference: Difference) => void,
  ) {
    this.index = start.index
    this.limits = start.limits
    this.timeouts = start.timeouts
    this.counters = new Counters(start.memory, start.index)
    this.time = new Time(this.counters)
    this.permits = new Permits(start.memory, start.index)
    this.latencies = new Latencies(start.memory, start.index, this.time)
    this.load = Object.assign((slot: number) => this.counters.load(slot), {
      permits: this.permits.seen,
      latencyMs: (slot: number, isIdle: boolean) => this.latencies.of(slot, isIdle),
    })
    this.tables = new Tables(start.memory, start.delta, this.ids)
    this.queues = new Queues(start.memory, start.index, {
      tables: this.tables,
      time: this.time,
      load: this.load,
      every: systemClock.every,
    })
    this.holds = new Holds(start.memory, start.index, {
      tables: this.tables,
      time: this.time,
      queues: this.queues,
      connectionsMax: start.limits.upstreamConnectionsMax,
      every: systemClock.every,
    })
    this.buffers = new Buffers(start.sharedReads, start.splices)
    this.requestHead = new RequestHead(start.limits.headBytesMax, start.limits.headersMax)
    this.responseHead = new ResponseHead(start.limits.headBytesMax, start.limits.headersMax)
    this.signer = new CookieSigner(start.cookieKeys, start.cookieLayer)
    this.lookups = new Lookups(start.lookups, start.countryHeader, start.tokens)
    this.pages = new MaintenancePages(start.memory, start.index, this.lookups)
    this.view = new HeadView(this.requestHead, this.signer, () => this.time.wallMs(), this.lookups)
    this.trusted = new TrustedProxies(start.trustedProxies)
    this.admission = new Admission(start.memory, start.index, start.limits, start.cookieKeys[0])
    this.log = new AccessLog(start.accessSample, sendLog, () => this.counters.countLane(WORKER_FIELD.logDropped))
    this.samples = new Samples(start.limits.sampleBytesMax, this.requestHead, this.time)
    this.trials = new Trials(start.memory, start.index, this.time)
    this.kept = new KeptBytes(start.limits.keptBytesMax, () => this.counters.countLane(WORKER_FIELD.bodiesNotKept))
    this.mirrors = new Mirrors(start.limits.mirrorsMax, this.counters, sendDifference)
    this.departures = new Departures(this, start.memory)
    this.targets = new Targets(this)
  }

  /** Builds the next table; a large one takes a while, and whoever waits for it gives up by himself. */
  prepare(delta: WorkerStart['delta']): void {
    this.time.askPatience(PREPARE_MS)
    this.tables.prepare(delta)
    this.time.askPatience(-PREPARE_MS)
  }
}
