/**
 * The others: well-behaved clients, each of whose requests is timed. Most are on keep-alive connections; a few newcomers open
 * one for each request, and are timed from there.
 *
 * They ask at a modest pace, so that what is timed is the waiting that the proxy causes and not the queue that they make
 * themselves. A connection that the proxy has closed between requests is opened anew, as good clients do; a request that got
 * no whole answer, or not 200, is a failure.
 */
import net from 'node:net'

export interface Measured {
  readonly requests: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** Requests without a whole answer of 200. */
  readonly failed: number
}

export interface MeasureOptions {
  readonly requests: number
  /** It takes at least so long. */
  readonly atLeastMs?: number
}

const CONNECTIONS = 14
const NEWCOMERS = 2
const PAUSE_MS = 5
const REQUEST = 'GET / HTTP/1.1\r\nHost: victim\r\n\r\n'
/** A request without an answer for so long has failed. */
const ANSWER_MS = 10_000

export class Victims {
  readonly #lines: Line[]

  constructor(port: number, withNewcomers = true) {
    const length = withNewcomers ? CONNECTIONS + NEWCOMERS : CONNECTIONS
    this.#lines = Array.from({ length }, (_, index) => new Line(port, index >= CONNECTIONS))
  }

  /** Asks until there are as many answers as wanted, and tells how long they took. */
  async measure({ requests, atLeastMs = 0 }: MeasureOptions): Promise<Measured> {
    const times: number[] = []
    let failed = 0
    const endMs = performance.now() + atLeastMs
    const ask = async (line: Line, index: number) => {
      // Not all at the same moment.
      await pause((index * PAUSE_MS) / CONNECTIONS)
      while (times.length < requests || performance.now() < endMs) {
        const startedMs = performance.now()
        if (!(await line.ask())) failed++
        times.push(performance.now() - startedMs)
        await pause(PAUSE_MS)
      }
    }
    await Promise.all(this.#lines.map(ask))
    times.sort((a, b) => a - b)
    const quantile = (share: number) => times[Math.min(times.length - 1, Math.floor(times.length * share))]
    return { requests: times.length, p50Ms: quantile(0.5), p99Ms: quantile(0.99), maxMs: quantile(1), failed }
  }

  close(): void {
    for (const line of this.#lines) line.close()
  }
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

class Line {
  readonly #port: number
  readonly #isNewcomer: boolean
  #socket: net.Socket | null = null
  #text = ''
  #tell: ((good: boolean) => void) | null = null

  constructor(port: number, isNewcomer: boolean) {
    this.#port = port
    this.#isNewcomer = isNewcomer
  }

  /** One request; whether it was answered well. */
  async ask(): Promise<boolean> {
    this.#socket ??= await this.#open()
    if (this.#socket === null) return false
    const timer = setTimeout(() => this.#settle(false), ANSWER_MS)
    const good = await new Promise<boolean>((resolve) => {
      this.#tell = resolve
      this.#text = ''
      this.#socket!.write(REQUEST, 'latin1')
    })
    clearTimeout(timer)
    if (this.#isNewcomer) this.close()
    return good
  }

  close(): void {
    this.#socket?.destroy()
    this.#socket = null
  }

  #settle(good: boolean): void {
    const tell = this.#tell
    this.#tell = null
    if (!good) this.close()
    tell?.(good)
  }

  #open(): Promise<net.Socket | null> {
    return new Promise((resolve) => {
      const socket = net.connect({ port: this.#port, host: '127.0.0.1', noDelay: true })
      const gone = () => {
        resolve(null)
        socket.destroy()
        if (this.#socket !== socket) return
        this.#socket = null
        this.#settle(false)
      }
      socket.on('connect', () => resolve(socket))
      socket.on('error', gone)
      socket.on('end', gone)
      socket.on('close', gone)
      socket.on('data', (bytes: Buffer) => this.#onData(bytes))
    })
  }

  #onData(bytes: Buffer): void {
    this.#text += bytes.toString('latin1')
    const end = this.#text.indexOf('\r\n\r\n') + 4
    if (end < 4) return
    const size = Number(/\r\ncontent-length: (\d+)/i.exec(this.#text)?.[1])
    // An answer without a length is none that the target of the victims gives.
    if (Number.isNaN(size)) this.#settle(false)
    else if (this.#text.length >= end + size) {
      this.#settle(this.#text.startsWith('HTTP/1.1 200 ') && this.#text.length === end + size)
    }
  }
}
