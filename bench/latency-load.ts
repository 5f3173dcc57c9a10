/**
 * The load of bench/latency.ts, as a process of its own: requests at fixed moments, whether or not earlier ones were answered,
 * each timed from the moment at which it should have left, so a stall counts for everyone who would have been waiting.
 *
 * Timers of the event loop are a millisecond apart, and a burst of all requests of a millisecond would measure how they queue
 * behind one another. So a thread sleeps a tenth of that and wakes the loop. It is woken again only after it has listened, so
 * nothing piles up. Connections are cheap ones that know the answer to `GET /small`: its head ends right before the last
 * hundred bytes, which begin with the name of a pool.
 *
 * Arguments: port, requests per second, seconds. Prints one line of JSON (`LatencyRound`).
 */
import { connect, type Socket } from 'node:net'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { quantile } from './measure.ts'
import { CONNECTIONS } from './peers/peer.ts'
import { SMALL_BYTES } from './upstream.ts'

/** Pause between two looks at what is due. */
const TICK_MS = 0.1
/** Time for the last answers. */
const LAST_MS = 1_000

export interface LatencyRound {
  readonly requests: number
  /** Wrong answers, broken connections, and requests that could not be sent or were not answered in time. */
  readonly failed: number
  readonly meanMs: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Share of a core that this process used. */
  readonly busy: number
}

const OK = Buffer.from('HTTP/1.1 200')
const [BLUE, GREEN, NEWLINE, DOT] = Buffer.from('bg\n.')

function isWholeAnswer(bytes: Buffer): boolean {
  const body = bytes.length - SMALL_BYTES
  if (body < OK.length || bytes[bytes.length - 1] !== DOT || bytes[body - 1] !== NEWLINE) return false
  return bytes[body] === BLUE || bytes[body] === GREEN
}

class Load {
  readonly times: number[] = []
  failed = 0
  private sent = 0
  private readonly idle: Socket[] = []
  private readonly dueMs = new Map<Socket, number>()
  private readonly kept = new Map<Socket, Buffer>()
  private readonly buffer = Buffer.allocUnsafeSlow(65_536)
  private readonly request: Buffer
  private startMs = 0
  private cpuAtStart = process.cpuUsage()
  private readonly port: number
  private readonly perSecond: number
  private readonly seconds: number

  constructor(port: number, perSecond: number, seconds: number) {
    this.port = port
    this.perSecond = perSecond
    this.seconds = seconds
    this.request = Buffer.from(`GET /small HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`)
  }

  async open(): Promise<void> {
    await Promise.all(Array.from({ length: CONNECTIONS }, () => this.connect()))
  }

  private connect(): Promise<void> {
    return new Promise((resolve, reject) => {
      const callback = (length: number) => {
        this.read(socket, this.buffer.subarray(0, length))
        return true
      }
      const onread = { buffer: this.buffer, callback }
      const socket = connect({ port: this.port, host: '127.0.0.1', noDelay: true, onread }, () => {
        this.idle.push(socket)
        resolve()
      })
      socket.on('error', reject)
      socket.on('close', () => this.dueMs.delete(socket) && this.failed++)
    })
  }

  private read(socket: Socket, bytes: Buffer): void {
    const before = this.kept.get(socket)
    const answer = before === undefined ? bytes : Buffer.concat([before, bytes])
    if (!isWholeAnswer(answer)) {
      this.kept.set(socket, Buffer.from(answer))
      return
    }
    if (before !== undefined) this.kept.delete(socket)
    const dueMs = this.dueMs.get(socket)
    if (dueMs === undefined || OK.compare(answer, 0, OK.length) !== 0) this.failed++
    else this.times.push(performance.now() - dueMs)
    this.dueMs.delete(socket)
    this.idle.push(socket)
    this.pump()
  }

  /** Sends what is due, as far as there are connections without a request. */
  pump(): void {
    const nowMs = performance.now()
    const endMs = this.startMs + this.seconds * 1000
    while (this.idle.length > 0) {
      const dueMs = this.startMs + (this.sent * 1000) / this.perSecond
      if (dueMs > nowMs || dueMs >= endMs) return
      this.sent++
      const socket = this.idle.pop()!
      this.dueMs.set(socket, dueMs)
      socket.write(this.request)
    }
  }

  private start(): void {
    this.startMs = performance.now()
    this.cpuAtStart = process.cpuUsage()
  }

  /** Share of a core that this process has used since the start. */
  busy(): number {
    const { user, system } = process.cpuUsage(this.cpuAtStart)
    return (user + system) / 1000 / (performance.now() - this.startMs)
  }

  /** Runs the round; the clock starts with the first tick, as the thread that ticks takes its time to start. */
  async run(): Promise<void> {
    const due = Math.floor(this.perSecond * this.seconds)
    const answered = () => this.times.length + this.failed >= due
    await ticking(
      () => {
        if (this.startMs === 0) this.start()
        this.pump()
      },
      () => answered() || performance.now() > this.startMs + this.seconds * 1000 + LAST_MS,
    )
    this.failed += Math.max(0, due - this.times.length - this.failed)
  }
}

/** Calls `tick` about every tenth of a millisecond, until `done`. */
function ticking(tick: () => void, done: () => boolean): Promise<void> {
  const listened = new Int32Array(new SharedArrayBuffer(4))
  const metronome = new Worker(new URL(import.meta.url), { workerData: listened })
  return new Promise((resolve) => {
    metronome.on('message', () => {
      tick()
      Atomics.store(listened, 0, 1)
      if (!done()) return
      metronome.removeAllListeners('message')
      void metronome.terminate().then(() => resolve())
    })
  })
}

function beat(listened: Int32Array): void {
  const never = new Int32Array(new SharedArrayBuffer(4))
  Atomics.store(listened, 0, 1)
  for (;;) {
    Atomics.wait(never, 0, 0, TICK_MS)
    if (Atomics.exchange(listened, 0, 0) === 1) parentPort?.postMessage(0)
  }
}

async function round(port: number, perSecond: number, seconds: number): Promise<LatencyRound> {
  const load = new Load(port, perSecond, seconds)
  await load.open()
  await load.run()
  const { times, failed } = load
  return {
    requests: times.length,
    failed,
    meanMs: times.reduce((sum, time) => sum + time, 0) / times.length,
    p50Ms: quantile(times, 0.5),
    p99Ms: quantile(times, 0.99),
    busy: load.busy(),
  }
}

if (!isMainThread) beat(workerData)
else if (import.meta.main) {
  const [port, perSecond, seconds] = process.argv.slice(2).map(Number)
  process.stdout.write(`${JSON.stringify(await round(port, perSecond, seconds))}\n`)
  process.exit(0)
}
