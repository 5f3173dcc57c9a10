/**
 * What all connections of one worker share: the table it routes by, its lane of counters, limits, buffers and the time.
 *
 * The table: control prepares the next one by message, then stores its epoch in shared memory. `currentTable` is asked once
 * a request, costs one atomic load, and takes the prepared table when the epoch says so; so no request is decided by a table
 * that is older than what the admin API has answered. Nothing here is per request, and everything per target is bounded.
 */
import { randomBytes } from 'node:crypto'
import { systemClock } from '../clock.ts'
import type { LimitsPlan, TimeoutsPlan } from '../config/plan.ts'
import type { ErrorCode } from '../errors.ts'
import type { ShedReason } from '../metrics/counters.ts'
import { CELL, type SharedMemory, SLOTS, WORKER_FIELD, WORKER_FIELDS } from '../metrics/layout.ts'
import { applyDelta, emptyTable } from '../table/build.ts'
import type { Draw, Load, Table, TableDelta, TargetTable } from '../table/types.ts'
import { AccessLog } from './access-log.ts'
import { CookieSigner } from './cookie-signer.ts'
import { Counters } from './counters.ts'
import { Admission } from './downstream/admission.ts'
import type { Client } from './downstream/client.ts'
import { TrustedProxies } from './downstream/trust.ts'
import { RequestHead } from './http1/request-head.ts'
import { ResponseHead } from './http1/response-head.ts'
import type { WorkerStart } from './messages.ts'
import { HeadView } from './request-view.ts'
import { OwnBuffers } from './socket/read-memory.ts'
import { SIGN_BYTES, Splicer } from './socket/splicer.ts'
import { RetryBudget } from './upstream/retry-budget.ts'
import { TargetConnections } from './upstream/target-connections.ts'

/** One read fills at most this much; bodies move in pieces of this size. */
export const READ_BYTES = 65_536
/** Long bodies that pass through memory of their own at a time: 4 MiB. */
const OWN_BUFFERS_MAX = 64
/** Room before the payload in a write buffer, for a head and a chunk header. */
export const SCRATCH_HEAD = 16_384
/** Room behind the payload, for the end of a chunk, the last chunk and trailers. */
const SCRATCH_TAIL = 24_576
/** Patience that is asked for to build a table; `Workers.commit` waits no longer. */
const PREPARE_MS = 2_000
const ID_LENGTH = 32
const ID_POOL_BYTES = 8_192

export class Plane {
  readonly index: number
  readonly limits: LimitsPlan
  readonly timeouts: TimeoutsPlan
  readonly requestHead: RequestHead
  readonly responseHead: ResponseHead
  readonly signer: CookieSigner
  readonly trusted: TrustedProxies
  readonly admission: Admission
  readonly log: AccessLog
  readonly counters: Counters
  readonly clients = new Set<Client>()
  /** Shared by all sockets of the worker, or null to read by events. */
  readonly readBuffer: Buffer | null
  /** Moves long bodies, or null to copy them. */
  readonly splicer: Splicer | null
  /** Shared by all sockets whose body is moved. */
  readonly signBuffer = Buffer.allocUnsafeSlow(SIGN_BYTES)
  /** For connections that a long body passes through. */
  readonly ownBuffers = new OwnBuffers(READ_BYTES, OWN_BUFFERS_MAX)
  /** Where outgoing bytes are put together; replaced when a socket keeps it (see `keepScratch`). */
  scratch: Buffer
  table: Table = emptyTable()
  /** Monotonic milliseconds, refreshed at every read and every sweep: for time-outs, which need no more. */
  nowMs = systemClock.monotonicMs()
  /** The last id that `randomId` gave out. */
  lastId = ''
  /** What `decide` sees of the request in `requestHead`. */
  readonly view: HeadView
  #wallOffsetMs = 0
  readonly #steadyOffsetMs = systemClock.steadyMs() - systemClock.monotonicMs()
  /** Set when the worker drains: every answer closes its connection. */
  draining = false
  readonly draw: Draw
  readonly load: Load
  readonly #memory: SharedMemory
  readonly #cells: Int32Array
  readonly #lane: number
  readonly #pools = new Map<number, TargetConnections>()
  /** By slot of the service. */
  readonly #retryBudgets: RetryBudget[] = []
  #prepared: Table | null = null
  #idPool = ''
  #idAt = 0
  #dateSecond = -1
  #dateLine = ''

  constructor(start: WorkerStart, sendLog: (memory: SharedArrayBuffer, length: number) => void) {
    this.index = start.index
    this.limits = start.limits
    this.timeouts = start.timeouts
    this.#memory = start.memory
    this.#cells = start.memory.cells
    this.counters = new Counters(start.memory, start.index)
    this.#lane = start.index * WORKER_FIELDS
    this.requestHead = new RequestHead(start.limits.headBytesMax, start.limits.headersMax)
    this.responseHead = new ResponseHead(start.limits.headBytesMax, start.limits.headersMax)
    this.signer = new CookieSigner(start.cookieKeys)
    this.view = new HeadView(this.requestHead, this.signer)
    this.trusted = new TrustedProxies(start.trustedProxies)
    this.admission = new Admission(start.memory, start.index, start.limits, start.cookieKeys[0])
    this.log = new AccessLog(start.accessSample, sendLog, () => this.countLane(WORKER_FIELD.logDropped))
    this.readBuffer = start.sharedReads ? Buffer.allocUnsafeSlow(READ_BYTES) : null
    this.splicer = start.sharedReads && start.splices ? Splicer.open() : null
    this.scratch = newScratch()
    this.draw = this.#newDraw()
    this.load = (slot) => this.counters.load(slot)
    this.syncWallClock()
    this.table = applyDelta(this.table, start.delta)
  }

  /** Refreshes the time, and shows that the worker moves; called at every read, every sweep, and wherever much may come at once. */
  tick(): void {
    this.nowMs = systemClock.monotonicMs()
    this.#memory.lanes[this.#lane + WORKER_FIELD.aliveMs] = this.nowMs
  }

  /** Steady time in ms, as exact as the last read: drains and ejections end by it (clock.ts). */
  steadyMs(): number {
    return this.nowMs + this.#steadyOffsetMs
  }

  /** Wall time in ms, as exact as the last sweep: for people only. */
  wallMs(): number {
    return this.nowMs + this.#wallOffsetMs
  }

  /** Follows the wall clock, which may have been set. Called by the sweep. */
  syncWallClock(): void {
    this.#wallOffsetMs = systemClock.nowMs() - systemClock.monotonicMs()
  }

  /** Builds the next table beside the present one; it is used once its epoch is committed. */
  prepare(delta: TableDelta): void {
    // A large one takes a while, and whoever waits for it gives up by himself.
    this.askPatience(PREPARE_MS)
    this.#prepared = applyDelta(this.currentTable(), delta)
    this.askPatience(-PREPARE_MS)
  }

  /** Lets the watchdog expect that long a silence in addition, in ms; to be taken back by the same negative amount. */
  askPatience(ms: number): void {
    this.countLane(WORKER_FIELD.patienceMs, ms)
    this.tick()
  }

  /** The committed table. ExchangeRequest once a request. */
  currentTable(): Table {
    const prepared = this.#prepared
    if (prepared !== null && Atomics.load(this.#cells, CELL.epoch) >= prepared.epoch) {
      this.table = prepared
      this.#prepared = null
    }
    return this.table
  }

  /** The connections of this worker to a target. */
  connectionsOf(target: TargetTable): TargetConnections {
    let pool = this.#pools.get(target.slot)
    // A slot may be given to another target once nothing counts on it; then its old pool has only idle connections left.
    if (pool === undefined || pool.target.url !== target.url) {
      pool = new TargetConnections(this, target)
      this.#pools.set(target.slot, pool)
    }
    return pool
  }

  /** What this worker may send a second time to the service in a slot. */
  retryBudgetOf(serviceSlot: number): RetryBudget {
    this.#retryBudgets[serviceSlot] ??= new RetryBudget()
    return this.#retryBudgets[serviceSlot]
  }

  /** Closes idle upstream connections that are too old, and forgets pools that have none left. */
  sweepPools(): void {
    for (const [slot, pool] of this.#pools) {
      pool.sweep(this.nowMs)
      if (pool.size === 0) this.#pools.delete(slot)
    }
  }

  /** Adds to a counter of a target in this worker's lane. */
  count(slot: number, field: number, by = 1): void {
    this.counters.count(slot, field, by)
  }

  /** Adds to a counter of the worker. */
  countLane(field: number, by = 1): void {
    this.counters.countLane(field, by)
  }

  /** Sets a gauge of the worker. */
  setLane(field: number, value: number): void {
    this.counters.setLane(field, value)
  }

  /** Counts an answer of our own that is not the doing of a target. */
  countRejected(code: ErrorCode): void {
    this.counters.countRejected(code)
  }

  /** Counts what a cap has refused or ended. */
  countShed(reason: ShedReason): void {
    this.counters.countShed(reason)
  }

  /** 32 random hexadecimal digits, cut from a text of many: whoever keeps one for long keeps 16 KiB alive. */
  randomId(): string {
    if (this.#idAt === this.#idPool.length) {
      this.#idPool = randomBytes(ID_POOL_BYTES).toString('hex')
      this.#idAt = 0
    }
    this.#idAt += ID_LENGTH
    this.lastId = this.#idPool.slice(this.#idAt - ID_LENGTH, this.#idAt)
    return this.lastId
  }

  /** `Date: …` with CRLF, made once a second (RFC 9110 6.6.1). */
  dateLine(): string {
    const second = Math.floor(this.wallMs() / 1000)
    if (second !== this.#dateSecond) {
      this.#dateSecond = second
      this.#dateLine = 'Date: ' + new Date(this.wallMs()).toUTCString() + '\r\n'
    }
    return this.#dateLine
  }

  /** To be called when a socket has not sent all of the scratch buffer: it keeps it, and the next write gets a new one. */
  keepScratch(): void {
    this.scratch = newScratch()
  }

  #newDraw(): Draw {
    const cells = this.#cells
    const turns = new Uint32Array(SLOTS)
    return {
      next: (slot) => Atomics.add(cells, CELL.picker + slot, 1) >>> 0,
      turn: (slot) => turns[slot]++,
      random: Math.random,
      visitorId: () => this.randomId().slice(0, 20),
    }
  }
}

function newScratch(): Buffer {
  return Buffer.allocUnsafeSlow(SCRATCH_HEAD + READ_BYTES + SCRATCH_TAIL)
}
