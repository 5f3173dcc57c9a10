/**
 * The worker threads as the control plane sees them: started, told of each new table, replaced when they fail.
 *
 * - `commit` is the second half of every change: each worker prepares the table and acknowledges, then one atomic store makes
 *   it the table of all. A worker that does not acknowledge in time is replaced rather than waited for: the new one starts
 *   with the new table, so when `commit` resolves, no living worker decides by the old one. It never rejects. Workers that
 *   still start are not waited for (worker-slot.ts).
 * - A worker that is lost is replaced at once. One that is lost again and again waits longer each time, so that a fault
 *   at the start, or a system without a thread to give, does not keep the machine busy; every second of life makes up for one loss.
 */
import type { Clock } from '../clock.ts'
import { inWords } from '../config/duration.ts'
import { CutCount, type End } from '../cuts.ts'
import type { Lookup, LookupName } from '../dataplane/lookups/lookups.ts'
import type { Difference, ListenerPlan, WorkerStart } from '../dataplane/messages.ts'
import type { Lent } from '../dataplane/samples.ts'
import { isTurnoutError, TurnoutError } from '../errors.ts'
import type { Written } from '../log/line-output.ts'
import { lossField } from '../metrics/counters.ts'
import { CELL, type SharedMemory, WORKER_FIELDS } from '../metrics/layout.ts'
import { WholeState } from '../table/build.ts'
import type { TableDelta } from '../table/types.ts'
import type { GivenSockets } from './given-sockets.ts'
import { CHECK_MS } from './watchdog.ts'
import { type Blame, START_MS, WorkerSlot } from './worker-slot.ts'

/** A worker that has not prepared a table within this time is replaced. */
const ACK_MS = 2_000
/** Pause before the third start in a row; it doubles from one to the next. The second has none. */
const PAUSE_MS = 100
const PAUSE_MS_MAX = 5_000
/** Life that makes up for one loss. */
const FORGIVEN_MS = 1_000

/** How a worker was lost. */
export interface Loss extends Blame {
  /** Time until a new one is started. */
  readonly pauseMs: number
}

export interface WorkersOptions {
  readonly count: number
  readonly memory: SharedMemory
  readonly clock: Clock
  /** JavaScript heap of one worker in MiB: one that needs more is ended and replaced, and the process lives on. */
  readonly heapMb: number
  /** Everything a worker is started with, but what differs between them. */
  readonly start: Omit<WorkerStart, 'index' | 'memory' | 'lookups' | 'delta' | 'listeners'>
  readonly listeners: readonly ListenerPlan[]
  /** Sockets of the listeners that were there before; default: there are none. */
  readonly sockets?: Pick<GivenSockets, 'of'>
  /**
   * Called with access log lines; `written` is to be called once they are, since they are in memory that is used again, with how many
   * of them were lost.
   */
  readonly onLog: (lines: Uint8Array, written: Written) => void
  /** Called with answers that differ (mirror). */
  readonly onDifference: (difference: Difference) => void
  /** Called when a worker was lost. */
  readonly onLost: (index: number, loss: Loss) => void
  /** Called when another serves in its place, with the time from the loss. */
  readonly onReplaced: (index: number, afterMs: number) => void
}

const keyOf = ({ kind, name }: LookupName): string => `${kind} ${name}`

export class Workers {
  readonly #options: WorkersOptions
  readonly #slots: WorkerSlot[] = []
  readonly #whole = new WholeState()
  readonly #lookups = new Map<string, Lookup>()
  #ports: readonly number[] | null = null
  #ended = false
  /** All have listened once. */
  #isStarted = false
  /** None of them listens yet. */
  #isHeld = false
  /** How a worker was lost last. */
  #lastLoss: string | null = null
  /** Why the start has failed. */
  #fault: Error | null = null
  #wake: (() => void)[] = []
  #stopChecks: (() => void) | null = null

  constructor(options: WorkersOptions) {
    this.#options = options
  }

  /** Whether every worker accepts connections. */
  get ready(): boolean {
    return this.#slots.length === this.#options.count && this.#slots.every((slot) => slot.listening)
  }

  /** Ports in the order of the listeners; known once started. */
  get ports(): readonly number[] {
    return this.#ports ?? []
  }

  /** Descriptors of the sockets that listen, for each listener. */
  get descriptors(): readonly (readonly number[])[] {
    return this.#options.listeners.map((_, at) => this.#slots.flatMap((slot) => slot.descriptors[at] ?? []))
  }

  /** Starts all workers as far as they can be without listening; `start` lets them. Rejects as it does. */
  prepare(signal?: AbortSignal): Promise<void> {
    this.#isHeld = true
    return this.#unlessAborted(signal, async () => {
      for (let index = 0; index < this.#options.count; index++) this.#slots.push(this.#spawn(index, 0, null))
      await this.#untilAll(() => this.#slots.every(({ hasStarted }) => hasStarted))
    })
  }

  /** Starts all workers. Rejects with the system's error when a listener cannot be opened, and when `signal` aborts. */
  async start(signal?: AbortSignal): Promise<void> {
    const wasHeld = this.#isHeld
    this.#isHeld = false
    await this.#unlessAborted(signal, async () => {
      // The first one finds out what port 0 became, so it goes ahead.
      for (let index = 0; index < this.#options.count && this.#fault === null; index++) {
        if (wasHeld) this.#listen(this.#slots[index])
        else this.#slots.push(this.#spawn(index, 0, null))
        if (index === 0) await this.#untilAll(() => this.#slots[0].listening)
      }
      await this.#untilAll(() => this.ready)
    })
    this.#isStarted = true
    this.#stopChecks = this.#options.clock.every(CHECK_MS, () => this.#check())
  }

  /** Makes a table the one that every worker decides by. */
  async commit(delta: TableDelta): Promise<void> {
    this.#whole.add(delta)
    for (const slot of this.#slots) slot.tell({ type: 'prepare', delta })
    const isDone = (slot: WorkerSlot) => slot.hasPrepared(delta.epoch)
    const late = await this.#until(ACK_MS, () => this.#slots.every(isDone))
    if (late) {
      const behind = this.#slots.filter((slot) => !isDone(slot))
      await Promise.all(behind.map((slot) => slot.end('table', 'has not prepared a table in time')))
    }
    Atomics.store(this.#options.memory.cells, CELL.epoch, delta.epoch)
  }

  /** What each worker in turn has sampled of requests; of one that does not lend it, nothing. */
  async *samples(): AsyncGenerator<Lent> {
    for (const worker of [...this.#slots]) yield* (await worker.samples()) ?? []
  }

  /** Gives every worker, and those that come later, something that requests are looked up in. */
  give(lookup: Lookup): void {
    this.#lookups.set(keyOf(lookup), lookup)
    for (const slot of this.#slots) slot.tell({ type: 'lookup', lookup })
  }

  /** Has every worker forget what it was given, and gives it to none that comes later. */
  takeBack(lookup: LookupName): void {
    this.#lookups.delete(keyOf(lookup))
    for (const slot of this.#slots) slot.tell({ type: 'forget', lookup })
  }

  /** Lets every worker finish what is under way, for at most `deadlineMs`, and ends them: what was cut. `isShared` as in messages.ts, by default none. */
  async drain(deadlineMs: number, isShared: readonly boolean[] = []): Promise<End> {
    this.#ended = true
    const serving = this.#slots.filter(({ listening }) => listening)
    for (const slot of this.#slots) slot.tell({ type: 'drain', deadlineMs, isShared })
    // One that still starts has nothing under way.
    await this.#until(deadlineMs + 1_000, () => this.#slots.every((slot) => slot.isIdle))
    this.#stopChecks?.()
    const end = endOf(serving, deadlineMs)
    await Promise.all(this.#slots.map((slot) => slot.terminate()))
    return end
  }

  #spawn(index: number, losses: number, lostMs: number | null): WorkerSlot {
    const { memory, clock, heapMb, listeners, onLog, onDifference, ...options } = this.#options
    const lookups = [...this.#lookups.values()]
    const start: WorkerStart = { ...options.start, index, memory, lookups, delta: this.#whole.delta, listeners }
    return new WorkerSlot({
      start,
      clock,
      heapMb,
      losses,
      lostMs,
      onLog,
      onDifference,
      onStarted: (slot) => {
        // At the end nobody would close what it opens.
        if (!this.#isHeld && !this.#ended) this.#listen(slot)
      },
      onListening: (slot, ports) => this.#onListening(slot, ports),
      onGone: (slot, blame) => this.#onGone(slot, blame),
      onTurn: () => this.#wakeAll(),
    })
  }

  /** Sockets are given only here: a worker that has got no thread, or was lost before, would take them along, and nobody would accept from them. */
  #listen(slot: WorkerSlot): void {
    try {
      slot.listen(this.#ports, this.#options.sockets?.of(slot.index) ?? [])
    } catch (error) {
      if (!isTurnoutError(error)) throw error
      slot.refuse(error)
    }
  }

  #onListening(slot: WorkerSlot, ports: readonly number[]): void {
    this.#ports ??= ports
    if (slot.lostMs === null || this.#ended) return
    this.#options.onReplaced(slot.index, this.#options.clock.monotonicMs() - slot.lostMs)
  }

  #onGone(slot: WorkerSlot, { reason, message }: Blame): void {
    if (this.#ended) return
    // A worker that fails while all start would fail again; a thread may be had a moment later.
    const loss = `Worker ${slot.index} ${message}.`
    const failed = () => (reason === 'crash' ? new Error(loss) : new TurnoutError('not_ready', loss))
    if (!this.#isStarted && slot.hasThread) return this.#fail(slot.fault ?? failed())
    this.#lastLoss = loss
    const { clock, memory, onLost } = this.#options
    const lostMs = clock.monotonicMs()
    const losses = Math.max(0, slot.losses - Math.floor((lostMs - slot.startedMs) / FORGIVEN_MS)) + 1
    const pauseMs = losses === 1 ? 0 : Math.min(PAUSE_MS_MAX, PAUSE_MS * 2 ** (losses - 2))
    memory.lanes[slot.index * WORKER_FIELDS + lossField(reason)]++
    onLost(slot.index, { reason, message, pauseMs })
    const restart = () => {
      if (!this.#ended) this.#slots[slot.index] = this.#spawn(slot.index, losses, lostMs)
    }
    if (pauseMs === 0) restart()
    else clock.after(pauseMs, restart)
  }

  #check(): void {
    const nowMs = this.#options.clock.monotonicMs()
    for (const slot of this.#slots) slot.check(nowMs)
  }

  #fail(error: Error): void {
    this.#fault ??= error
    this.#wakeAll()
  }

  /** Does a part of the start. When it fails or `signal` aborts, all workers are ended, and it rejects. */
  async #unlessAborted(signal: AbortSignal | undefined, part: () => Promise<void>): Promise<void> {
    signal?.throwIfAborted()
    const giveUp = () => this.#fail(new Error('the start was given up'))
    signal?.addEventListener('abort', giveUp)
    await part()
    signal?.removeEventListener('abort', giveUp)
    if (this.#fault === null) return
    this.#ended = true
    await Promise.all(this.#slots.map((slot) => slot.terminate()))
    throw this.#fault
  }

  /** Waits until workers are where they should be, or the start has failed. */
  async #untilAll(done: () => boolean): Promise<void> {
    const late = await this.#until(START_MS, () => done() || this.#fault !== null)
    if (!late) return
    const count = this.#slots.filter((slot) => slot.listening || (this.#isHeld && slot.hasStarted)).length
    const why = this.#lastLoss ?? 'The machine may be too busy, or short of memory; fewer `workers` need less of both.'
    const message = `The start was given up: after ${inWords(START_MS)} ${count} of ${this.#options.count} workers were ready. ${why}`
    this.#fail(new TurnoutError('not_ready', message))
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

/** What those that served have said at their end. */
function endOf(slots: readonly WorkerSlot[], limitMs: number): End {
  const count = new CutCount()
  for (const { cuts } of slots) if (cuts !== null) count.addAll(cuts)
  return { cuts: count.byService, silent: slots.filter(({ cuts }) => cuts === null).length, limitMs }
}
