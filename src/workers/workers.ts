/**
 * The worker threads as the control plane sees them: started, told of each new table, replaced when they fail.
 *
 *   starting ──listening──► serving ──exit, watchdog, or no ack──► gone ──at once, or after a pause──► a new one starts
 *
 * - `commit` is the second half of every change: each worker prepares the table and acknowledges, then one atomic store makes
 *   it the table of all. A worker that does not acknowledge in time is replaced rather than waited for: the new one starts
 *   with the new table, so when `commit` resolves, no living worker decides by the old one. It never rejects.
 * - A worker is gone when it has exited; or a moment after it was told to end, since from then on it runs no JavaScript, though
 *   it may still be busy closing thousands of connections. Its gauges are cleared then, before its successor writes any.
 * - A worker that is lost is replaced at once. One that is lost again and again waits longer each time, so that a fault
 *   at the start does not keep the machine busy; every second of life makes up for one loss.
 */
import { inspect } from 'node:util'
import { Worker } from 'node:worker_threads'
import type { Clock } from '../clock.ts'
import type { FromWorker, ListenerPlan, ToWorker, WorkerStart } from '../dataplane/messages.ts'
import { giveBack, linesIn } from '../log/page.ts'
import { type LossReason, lossField } from '../metrics/counters.ts'
import { CELL, clearGauges, type SharedMemory, WORKER_FIELDS } from '../metrics/layout.ts'
import { mergeDelta } from '../table/build.ts'
import type { TableDelta } from '../table/types.ts'
import { CHECK_MS, pulseOf, VERDICTS, Watchdog } from './watchdog.ts'

/** A worker that has not prepared a table within this time is replaced. */
const ACK_MS = 2_000
/** Time for a worker to open its listeners. */
const START_MS = 15_000
/**
 * Young part of a worker's heap in MiB. At the limit one collection moves all of it to the old part, for which Node leaves
 * 16 MiB of room: with V8's own size (96) every fifth worker that ran out of heap took the process along, with this none.
 */
const YOUNG_MB = 24
/** Time for a worker to exit once it was told to; then its successor starts beside it. */
const EXIT_MS = 250
/** Pause before the third start in a row; it doubles from one to the next. The second has none. */
const PAUSE_MS = 100
const PAUSE_MS_MAX = 5_000
/** Life that makes up for one loss. */
const FORGIVEN_MS = 1_000

/** How a worker was lost. */
export interface Loss {
  readonly reason: LossReason
  /** What a person should know, as the rest of a sentence about the worker. */
  readonly message: string
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
  readonly start: Omit<WorkerStart, 'index' | 'isFirst' | 'memory' | 'delta' | 'listeners'>
  readonly listeners: readonly ListenerPlan[]
  /** Called with access log lines; `written` is to be called once they are, since they are in memory that is used again. */
  readonly onLog: (lines: Uint8Array, written: () => void) => void
  /** Called when a worker was lost. */
  readonly onLost: (index: number, loss: Loss) => void
  /** Called when another serves in its place, with the time from the loss. */
  readonly onReplaced: (index: number, afterMs: number) => void
}

interface WorkerSlot {
  readonly index: number
  readonly worker: Worker
  readonly watchdog: Watchdog
  readonly startedMs: number
  /** Losses of this index that are not made up for. */
  readonly losses: number
  /** When its predecessor was lost; null for the first. */
  readonly lostMs: number | null
  listening: boolean
  /** Epoch that it has prepared or started with. */
  epoch: number
  /** It has finished what was under way, or is gone. */
  drained: boolean
  gone: boolean
  /** Why it has failed or was ended. */
  blame: Pick<Loss, 'reason' | 'message'> | null
  /** Resolves once it is gone, when it was told to end. */
  ending: Promise<void> | null
}

export class Workers {
  readonly #options: WorkersOptions
  readonly #slots: WorkerSlot[] = []
  #full: TableDelta = { epoch: 0, revision: 0, services: {} }
  #ports: readonly number[] | null = null
  #ended = false
  /** Why a worker could not open its listeners. */
  #fault: (Error & { code: string }) | null = null
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

  /** Starts all workers. Rejects with the system's error when a listener cannot be opened. */
  async start(): Promise<void> {
    // The first one finds out what port 0 became, so it goes ahead.
    for (let index = 0; index < this.#options.count; index++) {
      this.#slots.push(this.#spawn(index, 0, null))
      if (index === 0) await this.#untilListening(this.#slots[0])
    }
    await Promise.all(this.#slots.map((slot) => this.#untilListening(slot)))
    this.#stopChecks = this.#options.clock.every(CHECK_MS, () => this.#check())
  }

  /** Makes a table the one that every worker decides by. */
  async commit(delta: TableDelta): Promise<void> {
    this.#full = mergeDelta(this.#full, delta)
    for (const slot of this.#slots) this.#tell(slot, { type: 'prepare', delta })
    // A worker that has drained decides nothing any more, and will not answer.
    const isDone = (slot: WorkerSlot) => slot.drained || slot.epoch >= delta.epoch
    const late = await this.#until(ACK_MS, () => this.#slots.every(isDone))
    if (late) {
      const behind = this.#slots.filter((slot) => !isDone(slot))
      await Promise.all(behind.map((slot) => this.#end(slot, 'table', 'has not prepared a table in time')))
    }
    Atomics.store(this.#options.memory.cells, CELL.epoch, delta.epoch)
  }

  /** Lets every worker finish what is under way, for at most `deadlineMs`, and ends them. */
  async drain(deadlineMs: number): Promise<void> {
    this.#ended = true
    for (const slot of this.#slots) this.#tell(slot, { type: 'drain', deadlineMs })
    await this.#until(deadlineMs + 1_000, () => this.#slots.every((slot) => slot.drained))
    this.#stopChecks?.()
    await Promise.all(this.#slots.map((slot) => slot.worker.terminate()))
  }

  #tell(slot: WorkerSlot, message: ToWorker): void {
    slot.worker.postMessage(message)
  }

  #spawn(index: number, losses: number, lostMs: number | null): WorkerSlot {
    const options = this.#options
    const { memory } = options
    const listeners = options.listeners.map((plan, i) =>
      this.#ports === null ? plan : { ...plan, port: this.#ports[i] },
    )
    const isFirst = this.#ports === null
    const start: WorkerStart = { ...options.start, index, isFirst, memory, delta: this.#full, listeners }
    // From source we are a .ts file, from the package a .js file; so is the worker.
    const entry = new URL('../dataplane/worker' + (import.meta.url.endsWith('.ts') ? '.ts' : '.js'), import.meta.url)
    const resourceLimits = { maxOldGenerationSizeMb: options.heapMb, maxYoungGenerationSizeMb: YOUNG_MB }
    const worker = new Worker(entry, { workerData: start, name: 'turnout-' + index, resourceLimits })
    const slot: WorkerSlot = {
      index,
      worker,
      watchdog: new Watchdog(pulseOf(worker, memory, index)),
      startedMs: options.clock.monotonicMs(),
      losses,
      lostMs,
      listening: false,
      epoch: this.#full.epoch,
      drained: false,
      gone: false,
      blame: null,
      ending: null,
    }
    worker.on('message', (message: FromWorker) => this.#onMessage(slot, message))
    worker.on('error', (error: unknown) => {
      slot.blame ??= blameOf(error)
    })
    worker.on('exit', (code) => {
      slot.blame ??= { reason: 'crash', message: 'has exited with code ' + code }
      this.#onGone(slot)
    })
    return slot
  }

  #onMessage(slot: WorkerSlot, message: FromWorker): void {
    switch (message.type) {
      case 'listening':
        this.#onListening(slot, message.ports)
        break
      case 'prepared':
        slot.epoch = Math.max(slot.epoch, message.epoch)
        break
      case 'drained':
        slot.drained = true
        break
      case 'log':
        this.#options.onLog(linesIn(message.memory, message.length), () => giveBack(message.memory))
        return
      case 'fault':
        this.#fault ??= Object.assign(new Error(message.message), { code: message.code })
        void this.#end(slot, 'start', 'cannot open its listeners: ' + message.message)
    }
    this.#wakeAll()
  }

  #onListening(slot: WorkerSlot, ports: readonly number[]): void {
    if (slot.gone) return
    slot.listening = true
    this.#ports ??= ports
    if (slot.lostMs === null || this.#ended) return
    this.#options.onReplaced(slot.index, this.#options.clock.monotonicMs() - slot.lostMs)
  }

  /** Ends a worker; resolves when it is gone. */
  #end(slot: WorkerSlot, reason: LossReason, message: string): Promise<void> {
    slot.blame ??= { reason, message }
    slot.ending ??= new Promise((resolve) => {
      const cancel = this.#options.clock.after(EXIT_MS, () => {
        this.#onGone(slot)
        resolve()
      })
      void slot.worker.terminate().then(() => {
        cancel()
        resolve()
      })
    })
    return slot.ending
  }

  #onGone(slot: WorkerSlot): void {
    if (slot.gone) return
    slot.gone = true
    slot.listening = false
    slot.drained = true
    clearGauges(this.#options.memory, slot.index)
    this.#wakeAll()
    if (this.#ended || this.#ports === null) return
    const { clock, memory, onLost } = this.#options
    const lostMs = clock.monotonicMs()
    const losses = Math.max(0, slot.losses - Math.floor((lostMs - slot.startedMs) / FORGIVEN_MS)) + 1
    const pauseMs = losses === 1 ? 0 : Math.min(PAUSE_MS_MAX, PAUSE_MS * 2 ** (losses - 2))
    const { reason, message } = slot.blame!
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
    for (const slot of this.#slots) {
      if (slot.drained || slot.ending !== null) continue
      if (slot.listening) {
        const verdict = slot.watchdog.check(nowMs)
        if (verdict !== null) void this.#end(slot, verdict, VERDICTS[verdict])
      } else if (nowMs - slot.startedMs > START_MS) void this.#end(slot, 'start', 'has not started in time')
    }
  }

  async #untilListening(slot: WorkerSlot): Promise<void> {
    const late = await this.#until(START_MS, () => slot.listening || slot.drained)
    if (slot.listening) return
    this.#ended = true
    await Promise.all(this.#slots.map(({ worker }) => worker.terminate()))
    const why = late ? 'has not started in time' : (slot.blame?.message ?? '')
    throw this.#fault ?? new Error(`worker ${slot.index} ${why}`)
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

/** What an uncaught error of a worker says of it; anything can be thrown. */
function blameOf(error: unknown): WorkerSlot['blame'] {
  const isOutOfMemory = (error as { code?: unknown } | null)?.code === 'ERR_WORKER_OUT_OF_MEMORY'
  if (isOutOfMemory) return { reason: 'memory', message: 'has run out of heap' }
  return { reason: 'crash', message: 'has failed: ' + inspect(error) }
}
