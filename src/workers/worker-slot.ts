/**
 * One worker thread, from its start to its end.
 *
 *   starting ──started──► told to listen ──listening──► serving ──told to end, or by itself──► gone
 *
 * - A worker that starts is told of every table, and nobody waits for it: it listens only when it is told to, and by then it has
 *   prepared all tables that it was told of before, since messages keep their order. From there on it must acknowledge. When that
 *   is, is its owner's to say: at once as a rule, and later in a process that is to take over from another one.
 * - A worker is gone when it has exited; or a moment after it was told to end, since from then on it runs no JavaScript, though
 *   it may still be busy closing thousands of connections. Its gauges are cleared then, before its successor writes any.
 * - The system may have no thread to give (EAGAIN). Then the worker is gone before it has run, and it is tried again.
 */
import { inspect } from 'node:util'
import { Worker } from 'node:worker_threads'
import type { Clock } from '../clock.ts'
import type { Cuts } from '../cuts.ts'
import type { Difference, FromWorker, ToWorker, WorkerStart } from '../dataplane/messages.ts'
import type { Lent } from '../dataplane/samples.ts'
import type { Written } from '../log/line-output.ts'
import { giveBack, linesIn } from '../log/page.ts'
import type { LossReason } from '../metrics/counters.ts'
import { clearGauges } from '../metrics/gauges.ts'
import { WORKER_FIELD, WORKER_FIELDS } from '../metrics/layout.ts'
import { pulseOf, VERDICTS, Watchdog } from './watchdog.ts'
import { WORKER_ENTRY } from './worker-entry.ts'

/** Time for a worker to open its listeners. */
export const START_MS = 15_000
/**
 * Young part of a worker's heap in MiB. At the limit one collection moves all of it to the old part, for which Node leaves
 * 16 MiB of room: with V8's own size (96) every fifth worker that ran out of heap took the process along, with this none.
 */
const YOUNG_MB = 24
/** Time for a worker to exit once it was told to; then its successor starts beside it. */
const EXIT_MS = 250

/** Time for a worker to lend its samples, on a machine that has much else to do, too. */
const SAMPLES_MS = 10_000

/** Why a worker has failed or was ended; the message is the rest of a sentence about it. */
export interface Blame {
  readonly reason: LossReason
  readonly message: string
}

export interface WorkerSlotOptions {
  readonly start: WorkerStart
  readonly clock: Clock
  /** Limit of its JavaScript heap in MiB. */
  readonly heapMb: number
  /** Losses of this index that are not made up for. */
  readonly losses: number
  /** When its predecessor was lost; null for the first. */
  readonly lostMs: number | null
  readonly onLog: (lines: Uint8Array, written: Written) => void
  readonly onDifference: (difference: Difference) => void
  /** Called when it could listen. */
  readonly onStarted: (slot: WorkerSlot) => void
  readonly onListening: (slot: WorkerSlot, ports: readonly number[]) => void
  /** Called once, when it is gone. */
  readonly onGone: (slot: WorkerSlot, blame: Blame) => void
  /** Called at every message, after it was heeded. */
  readonly onTurn: () => void
}

export class WorkerSlot {
  readonly index: number
  readonly losses: number
  readonly lostMs: number | null
  readonly startedMs: number
  /** It could listen. */
  hasStarted = false
  /** It accepts connections. */
  listening = false
  /** Of the sockets that it listens on, for each listener. */
  descriptors: readonly (readonly number[])[] = []
  /** It has finished what was under way, or is gone. */
  drained = false
  /** What of it was broken off at its end; null before, and when it did not say. */
  cuts: Cuts | null = null
  /** Why it could not open its listeners, as the system tells it. */
  fault: (Error & { code: string }) | null = null
  /** The system gave it a thread. */
  hasThread = true
  readonly #options: WorkerSlotOptions
  readonly #worker: Worker | null = null
  readonly #watchdog: Watchdog | null = null
  /** It was told to listen, so it decides requests from now on. */
  #mustAcknowledge = false
  /** Epoch that it has prepared or started with. */
  #epoch: number
  #gone = false
  #blame: Blame | null = null
  /** Who waits for samples, by the number of the question. */
  readonly #waiting = new Map<number, (samples: readonly Lent[] | null) => void>()
  #questions = 0
  /** Resolves once it is gone, when it was told to end. */
  #ending: Promise<void> | null = null

  constructor(options: WorkerSlotOptions) {
    const { start, clock } = options
    this.#options = options
    this.index = start.index
    this.losses = options.losses
    this.lostMs = options.lostMs
    this.startedMs = clock.monotonicMs()
    this.#epoch = start.delta.epoch
    try {
      this.#worker = this.#open()
      this.#watchdog = new Watchdog(pulseOf(this.#worker, start.memory, start.index))
    } catch (error) {
      this.#blame = this.#blameOf(error)
      // Whoever makes it has to know it before it is gone.
      queueMicrotask(() => this.#onGone())
    }
  }

  /** Whether the table of this epoch may be committed as far as this worker is concerned. */
  hasPrepared(epoch: number): boolean {
    // One that has drained decides nothing any more, and will not answer.
    return this.isIdle || this.#epoch >= epoch
  }

  /** Whether it has nothing under way: it never listened, has drained, or is gone. */
  get isIdle(): boolean {
    return this.drained || !this.#mustAcknowledge
  }

  /** Lets it accept connections; as in messages.ts. */
  listen(ports: readonly number[] | null, inherited: readonly (readonly number[])[]): void {
    this.#mustAcknowledge = true
    this.tell({ type: 'listen', ports, inherited })
  }

  /** Ends it, since it cannot have its listeners. */
  refuse(fault: Error & { code: string }): void {
    this.fault ??= fault
    void this.end('start', 'cannot open its listeners: ' + fault.message)
  }

  tell(message: ToWorker): void {
    this.#worker?.postMessage(message)
  }

  /** The samples that it has of requests (dataplane/samples.ts); null when it does not lend them in time. */
  samples(): Promise<readonly Lent[] | null> {
    if (!this.listening || this.drained) return Promise.resolve(null)
    const id = ++this.#questions
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(SAMPLES_MS, () => this.#waiting.get(id)?.(null))
      this.#waiting.set(id, (samples) => {
        cancel()
        this.#waiting.delete(id)
        resolve(samples)
      })
      this.tell({ type: 'sample', id })
    })
  }

  /** Looks once whether it serves, and ends it when it does not. */
  check(nowMs: number): void {
    if (this.drained || this.#ending !== null) return
    if (this.listening) {
      const verdict = this.#watchdog?.check(nowMs) ?? null
      if (verdict !== null) void this.end(verdict, VERDICTS[verdict])
    } else if (nowMs - this.startedMs > START_MS) void this.end('start', 'has not started in time')
  }

  /** Ends a worker; resolves when it is gone. */
  end(reason: LossReason, message: string): Promise<void> {
    this.#blame ??= { reason, message }
    this.#ending ??= new Promise((resolve) => {
      const cancel = this.#options.clock.after(EXIT_MS, () => {
        this.#onGone()
        resolve()
      })
      void this.terminate().then(() => {
        cancel()
        resolve()
      })
    })
    return this.#ending
  }

  /** Ends the thread; resolves when it has exited. */
  async terminate(): Promise<void> {
    await this.#worker?.terminate()
  }

  #open(): Worker {
    const { start, heapMb } = this.#options
    const resourceLimits = { maxOldGenerationSizeMb: heapMb, maxYoungGenerationSizeMb: YOUNG_MB }
    const worker = new Worker(WORKER_ENTRY, { workerData: start, name: 'turnout-' + start.index, resourceLimits })
    worker.on('message', (message: FromWorker) => this.#onMessage(message))
    worker.on('error', (error: unknown) => {
      this.#blame ??= this.#blameOf(error)
    })
    worker.on('exit', (code) => {
      this.#blame ??= { reason: 'crash', message: 'has exited with code ' + code }
      this.#onGone()
    })
    return worker
  }

  #onMessage(message: FromWorker): void {
    switch (message.type) {
      case 'started':
        this.hasStarted = true
        this.#options.onStarted(this)
        break
      case 'listening':
        if (this.#gone) break
        this.listening = true
        this.descriptors = message.descriptors
        this.#options.onListening(this, message.ports)
        break
      case 'prepared':
        this.#epoch = Math.max(this.#epoch, message.epoch)
        break
      case 'drained':
        this.drained = true
        this.cuts = message.cuts
        break
      case 'sampled':
        this.#waiting.get(message.id)?.(message.samples)
        return
      case 'log':
        this.#options.onLog(linesIn(message.memory, message.length), (lost) => {
          this.#options.start.memory.lanes[this.index * WORKER_FIELDS + WORKER_FIELD.logLost] += lost
          giveBack(message.memory)
        })
        return
      case 'difference':
        this.#options.onDifference(message.difference)
        return
      case 'fault':
        this.refuse(Object.assign(new Error(message.message), { code: message.code }))
    }
    this.#options.onTurn()
  }

  #onGone(): void {
    if (this.#gone) return
    this.#gone = true
    this.listening = false
    // Its thread has closed them, so the numbers may be others' by now.
    this.descriptors = []
    this.drained = true
    for (const give of [...this.#waiting.values()]) give(null)
    clearGauges(this.#options.start.memory, this.index)
    this.#options.onGone(this, this.#blame!)
    this.#options.onTurn()
  }

  /** What an error of a worker says of it; anything can be thrown. */
  #blameOf(error: unknown): Blame {
    const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown }
    if (code === 'ERR_WORKER_OUT_OF_MEMORY') return { reason: 'memory', message: 'has run out of heap' }
    if (code !== 'ERR_WORKER_INIT_FAILED' && code !== 'EAGAIN' && this.#worker !== null) {
      return { reason: 'crash', message: 'has failed: ' + inspect(error) }
    }
    if (/\bEMFILE\b|\bENFILE\b/.test(String(message))) {
      // At a start nobody has any to give back; later somebody may.
      this.fault ??= Object.assign(new Error(String(message)), { code: 'EMFILE' })
      return { reason: 'start', message: `found too few open files left (${message}): raise ulimit -n or LimitNOFILE` }
    }
    this.hasThread = false
    const why = 'ulimit -u, TasksMax or pids.max allows no more, or memory is short'
    return { reason: 'start', message: `got no thread of the system (${message}): ${why}` }
  }
}
