/**
 * The worker threads as the control plane sees them: started, told of each new table, replaced when they fail.
 *
 *   starting ──listening──► serving ──exit, no heartbeat, or no ack──► gone ──► a new one starts in its place
 *
 * `commit` is the second half of every change: each worker prepares the table and acknowledges, then one atomic store makes
 * it the table of all. A worker that does not acknowledge in time is replaced rather than waited for: the new one starts
 * with the new table, so when `commit` resolves, no living worker decides by the old one. It never rejects.
 */
import { Worker } from 'node:worker_threads'
import type { Clock } from './clock.ts'
import type { FromWorker, ListenerPlan, ToWorker, WorkerStart } from './dataplane/messages.ts'
import {
  ADDRESS_CELLS,
  CELL,
  GAUGES,
  laneOffset,
  type SharedMemory,
  SLOTS,
  WORKER_FIELD,
  WORKER_FIELDS,
} from './metrics/layout.ts'
import type { TableDelta } from './table/types.ts'

/** A worker that has not prepared a table within this time is replaced. */
const ACK_MS = 2_000
/** A worker whose sweep has not run for this time is stuck, and replaced. */
const HEARTBEAT_MS = 3_000
const HEARTBEAT_CHECK_MS = 250
/** Time for a worker to open its listeners. */
const START_MS = 15_000
/** Pause before a worker that failed soon after its start is started again. */
const RESTART_MS = 1_000

export interface WorkersOptions {
  readonly count: number
  readonly memory: SharedMemory
  readonly clock: Clock
  /** Everything a worker is started with, but what differs between them. */
  readonly start: Omit<WorkerStart, 'index' | 'isFirst' | 'memory' | 'delta' | 'listeners'>
  readonly listeners: readonly ListenerPlan[]
  /** Called with batches of access log lines. */
  readonly onLog: (lines: string) => void
  /** Called when a worker was lost, with the reason, for the log and the events. */
  readonly onLost: (index: number, reason: string) => void
}

interface Seat {
  readonly index: number
  worker: Worker
  listening: boolean
  /** Epoch that it has prepared or started with. */
  epoch: number
  startedMs: number
  beat: number
  beatAtMs: number
  drained: boolean
}

export class Workers {
  readonly #options: WorkersOptions
  readonly #seats: Seat[] = []
  #full: TableDelta = { epoch: 0, revision: 0, services: {} }
  #ports: readonly number[] | null = null
  #ended = false
  /** Why a worker could not open its listeners. */
  #fault: (Error & { code: string }) | null = null
  #wake: (() => void)[] = []
  #stopHeartbeat: (() => void) | null = null

  constructor(options: WorkersOptions) {
    this.#options = options
  }

  /** Whether every worker accepts connections. */
  get ready(): boolean {
    return this.#seats.length === this.#options.count && this.#seats.every((seat) => seat.listening)
  }

  /** Ports in the order of the listeners; known once started. */
  get ports(): readonly number[] {
    return this.#ports ?? []
  }

  /** Starts all workers. Rejects with the system's error when a listener cannot be opened. */
  async start(): Promise<void> {
    // The first one finds out what port 0 became, so it goes ahead.
    for (let index = 0; index < this.#options.count; index++) {
      this.#seats.push(this.#spawn(index))
      if (index === 0) await this.#untilListening(this.#seats[0])
    }
    await Promise.all(this.#seats.map((seat) => this.#untilListening(seat)))
    this.#stopHeartbeat = this.#options.clock.every(HEARTBEAT_CHECK_MS, () => this.#checkHeartbeats())
  }

  /** Makes a table the one that every worker decides by. */
  async commit(delta: TableDelta): Promise<void> {
    this.#full = mergeDelta(this.#full, delta)
    for (const seat of this.#seats) this.#tell(seat, { type: 'prepare', delta })
    // A worker that has drained decides nothing any more, and will not answer.
    const isDone = (seat: Seat) => seat.drained || seat.epoch >= delta.epoch
    const late = await this.#until(ACK_MS, () => this.#seats.every(isDone))
    if (late) {
      for (const seat of this.#seats) if (!isDone(seat)) await this.#replace(seat, 'did not prepare the table in time')
    }
    Atomics.store(this.#options.memory.cells, CELL.epoch, delta.epoch)
  }

  /** Lets every worker finish what is under way, for at most `deadlineMs`, and ends them. */
  async drain(deadlineMs: number): Promise<void> {
    this.#ended = true
    this.#stopHeartbeat?.()
    for (const seat of this.#seats) this.#tell(seat, { type: 'drain', deadlineMs })
    await this.#until(deadlineMs + 1_000, () => this.#seats.every((seat) => seat.drained))
    await Promise.all(this.#seats.map((seat) => seat.worker.terminate()))
  }

  #tell(seat: Seat, message: ToWorker): void {
    seat.worker.postMessage(message)
  }

  #spawn(index: number): Seat {
    const options = this.#options
    const listeners = options.listeners.map((plan, i) =>
      this.#ports === null ? plan : { ...plan, port: this.#ports[i] },
    )
    const { memory } = options
    const isFirst = this.#ports === null
    const start: WorkerStart = { ...options.start, index, isFirst, memory, delta: this.#full, listeners }
    // From source we are a .ts file, from the package a .js file; so is the worker.
    const entry = new URL('./dataplane/worker' + (import.meta.url.endsWith('.ts') ? '.ts' : '.js'), import.meta.url)
    const worker = new Worker(entry, { workerData: start, name: 'turnout-' + index })
    const nowMs = options.clock.monotonicMs()
    const seat: Seat = {
      index,
      worker,
      listening: false,
      epoch: this.#full.epoch,
      startedMs: nowMs,
      beat: -1,
      beatAtMs: nowMs,
      drained: false,
    }
    worker.on('message', (message: FromWorker) => this.#onMessage(seat, message))
    worker.on('error', (error: Error) => options.onLost(index, 'failed: ' + (error.stack ?? error.message)))
    worker.on('exit', () => this.#onExit(seat))
    return seat
  }

  #onMessage(seat: Seat, message: FromWorker): void {
    switch (message.type) {
      case 'listening':
        seat.listening = true
        this.#ports ??= message.ports
        break
      case 'prepared':
        seat.epoch = Math.max(seat.epoch, message.epoch)
        break
      case 'drained':
        seat.drained = true
        break
      case 'log':
        this.#options.onLog(message.lines)
        Atomics.add(this.#options.memory.cells, CELL.logTaken + seat.index, message.lines.length)
        return
      case 'fault':
        this.#options.onLost(seat.index, message.message)
        this.#fault ??= Object.assign(new Error(message.message), { code: message.code })
        void seat.worker.terminate()
    }
    this.#wakeAll()
  }

  #onExit(seat: Seat): void {
    seat.listening = false
    seat.drained = true
    this.#clearGauges(seat.index)
    this.#wakeAll()
    if (this.#ended || this.#seats[seat.index] !== seat) return
    if (this.#ports === null) return
    this.#options.onLost(seat.index, 'exited; a new one takes its place')
    const soon = this.#options.clock.monotonicMs() - seat.startedMs < RESTART_MS
    const restart = () => {
      if (!this.#ended && this.#seats[seat.index] === seat) this.#seats[seat.index] = this.#spawn(seat.index)
    }
    // A worker that cannot be reached has nothing to acknowledge until its successor starts with the newest table.
    seat.epoch = Infinity
    if (soon) this.#options.clock.after(RESTART_MS, restart)
    else restart()
  }

  async #replace(seat: Seat, reason: string): Promise<void> {
    this.#options.onLost(seat.index, reason)
    await seat.worker.terminate()
  }

  /** Gauges of a dead worker would count what no longer exists. */
  #clearGauges(index: number): void {
    const { targets, lanes, addresses } = this.#options.memory
    for (let slot = 0; slot < SLOTS; slot++) {
      const at = laneOffset(index, slot)
      for (let gauge = 0; gauge < GAUGES; gauge++) if (targets[at + gauge] !== 0) targets[at + gauge] = 0
    }
    lanes[index * WORKER_FIELDS + WORKER_FIELD.clientConnections] = 0
    addresses.fill(0, index * ADDRESS_CELLS, (index + 1) * ADDRESS_CELLS)
  }

  #checkHeartbeats(): void {
    const nowMs = this.#options.clock.monotonicMs()
    for (const seat of this.#seats) {
      if (!seat.listening) {
        if (nowMs - seat.startedMs <= START_MS) continue
        seat.startedMs = nowMs
        void this.#replace(seat, 'did not start in time')
        continue
      }
      const beat = Atomics.load(this.#options.memory.cells, CELL.heartbeat + seat.index)
      if (beat !== seat.beat) {
        seat.beat = beat
        seat.beatAtMs = nowMs
      } else if (nowMs - seat.beatAtMs > HEARTBEAT_MS) {
        seat.beatAtMs = nowMs
        void this.#replace(seat, 'is stuck')
      }
    }
  }

  async #untilListening(seat: Seat): Promise<void> {
    const late = await this.#until(START_MS, () => seat.listening || seat.drained)
    if (seat.listening) return
    this.#ended = true
    await Promise.all(this.#seats.map(({ worker }) => worker.terminate()))
    throw this.#fault ?? new Error(late ? 'a worker did not start in time' : 'a worker ended while it started')
  }

  /** Waits until `done()` or for `limitMs`; true when it was too late. Looked at again at every message of a worker. */
  async #until(limitMs: number, done: () => boolean): Promise<boolean> {
    let late = false
    const cancel = this.#options.clock.after(limitMs, () => {
      late = true
      this.#wakeAll()
    })
    while (!late && !done()) await new Promise<void>((resolve) => this.#wake.push(resolve))
    cancel()
    return !done()
  }

  #wakeAll(): void {
    const waiting = this.#wake
    this.#wake = []
    for (const resolve of waiting) resolve()
  }
}

/** The whole state after a delta, as a delta from nothing. */
function mergeDelta(full: TableDelta, delta: TableDelta): TableDelta {
  const services: Record<string, TableDelta['services'][string]> = Object.assign(Object.create(null), full.services)
  for (const [name, service] of Object.entries(delta.services)) {
    if (service === null) delete services[name]
    else services[name] = { plan: { ...services[name]?.plan, ...service.plan }, status: service.status }
  }
  return { epoch: delta.epoch, revision: delta.revision, services: { ...services } }
}
