/**
 * Many connections that all behave badly in one way. Runs in the process of the attacker (attacker-process.ts).
 *
 * A swarm keeps up to `size` connections to the proxy, opens at most `perSecond` new ones a second, and tells what became of
 * each: the statuses that it was answered, and who ended it. The rate is bounded on purpose: attacker, victims and proxy
 * share two cores in the tests, and what is measured is whether the proxy is fair, not who gets the processor.
 */
import net from 'node:net'

export interface Script {
  /** Connections at a time. */
  readonly size: number
  /** New connections a second, at most. */
  readonly perSecond: number
  /** What is sent as soon as the connection stands. */
  readonly first: string
  /** What is sent every `dripMs` after that. Default: nothing. */
  readonly drip?: string
  readonly dripMs?: number
  /** Bytes read every 50 ms; 0 never reads. Default: everything at once. */
  readonly readBytes?: number
  /** RST as soon as `first` has left. Default: no. */
  readonly resets?: boolean
  /** Ends the connection after so many answers. Default: never. */
  readonly answersMax?: number
  /** Each connection is opened once, and its side is never ended. Default: no. */
  readonly neverEnds?: boolean
  /** The local address. Default: 127.0.0.1. */
  readonly from?: string
}

/** What became of the connections, counted: `connected`, `closed`, `reset`, and each status that was answered. */
export type Tally = Record<string, number>

const TICK_MS = 10
const READ_EVERY_MS = 50
const STATUS_LINE = Buffer.from('HTTP/1.1 ')

export class Swarm {
  readonly tally: Tally
  readonly #script: Script
  readonly #port: number
  readonly #sockets = new Set<net.Socket>()
  readonly #timers: NodeJS.Timeout[] = []
  #opened = 0
  #credit = 0
  #lastMs = performance.now()
  #stopped = false

  constructor(port: number, script: Script, tally: Tally) {
    this.#port = port
    this.#script = script
    this.tally = tally
    const { drip, dripMs = 0, readBytes = Infinity } = script
    this.#timers.push(setInterval(() => this.#open(), TICK_MS))
    if (drip !== undefined) this.#timers.push(setInterval(() => this.#drip(drip), dripMs))
    if (readBytes > 0 && readBytes < Infinity) {
      this.#timers.push(setInterval(() => this.#read(readBytes), READ_EVERY_MS))
    }
  }

  /** Whether it is in full swing: all of its connections stand, or did once, or a quarter of a second's worth of them. */
  get isOn(): boolean {
    return (this.tally['connected'] ?? 0) >= Math.min(this.#script.size, this.#script.perSecond / 4)
  }

  /** Drops everything and leaves at once. */
  stop(): void {
    this.#stopped = true
    for (const timer of this.#timers) clearInterval(timer)
    for (const socket of this.#sockets) socket.destroy()
  }

  #count(what: string): void {
    if (!this.#stopped) this.tally[what] = (this.tally[what] ?? 0) + 1
  }

  #open(): void {
    const nowMs = performance.now()
    const { perSecond, size, neverEnds = false } = this.#script
    // A pause of this process is not made up for by a burst.
    this.#credit = Math.min(this.#credit + ((nowMs - this.#lastMs) * perSecond) / 1_000, perSecond / 10 + 1)
    this.#lastMs = nowMs
    while (this.#credit >= 1 && (neverEnds ? this.#opened : this.#sockets.size) < size) {
      this.#credit--
      this.#opened++
      this.#connect()
    }
  }

  #connect(): void {
    const { first, from: localAddress = '127.0.0.1', readBytes = Infinity, resets = false } = this.#script
    const allowHalfOpen = this.#script.neverEnds === true
    const socket = net.connect({ port: this.#port, host: '127.0.0.1', localAddress, noDelay: true, allowHalfOpen })
    this.#sockets.add(socket)
    let answers = 0
    if (readBytes < Infinity) socket.pause()
    else {
      socket.on('data', (bytes: Buffer) => {
        answers += this.#countAnswers(bytes)
        if (answers >= (this.#script.answersMax ?? Infinity)) socket.destroy()
      })
    }
    socket.on('connect', () => {
      this.#count('connected')
      socket.write(first, 'latin1', () => {
        if (resets && !socket.destroyed) socket.resetAndDestroy()
      })
    })
    let ended = false
    socket.on('end', () => {
      ended = true
    })
    socket.on('error', () => {})
    socket.on('close', (broken) => {
      this.#sockets.delete(socket)
      this.#count(ended && !broken ? 'closed' : 'reset')
    })
  }

  /** Status lines in a read; one that is cut in two is missed, which only makes the tally smaller. */
  #countAnswers(bytes: Buffer): number {
    let answers = 0
    for (let at = bytes.indexOf(STATUS_LINE); at >= 0; at = bytes.indexOf(STATUS_LINE, at + 1)) {
      const status = bytes.toString('latin1', at + 9, at + 12)
      if (!/^\d{3}$/.test(status)) continue
      this.#count(status)
      if (status >= '200' || status === '101') answers++
    }
    return answers
  }

  #drip(bytes: string): void {
    for (const socket of this.#sockets) {
      if (!socket.connecting && socket.writable && socket.writableLength < 65_536) socket.write(bytes, 'latin1')
    }
  }

  #read(bytes: number): void {
    for (const socket of this.#sockets) socket.read(Math.min(bytes, socket.readableLength))
  }
}
