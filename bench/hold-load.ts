/**
 * A load of `bench/hold.ts`, as a process of its own: requests at fixed moments, answered or not. Most go over so many connections that hardly
 * one asks before it is answered, as browsers do; one of ten goes over a few that ask on all the while, and show whether answers come in the
 * order of the requests.
 *
 * Each request has a number, which its target says again; half of them are writes. Times are from the moment at which a request was due.
 *
 * Arguments: port, host, requests per second, connections. The message `count` asks for what was counted since the last one (`HoldLoad`); `burst N`
 * for so many requests more, over `BURST_MS`.
 */
import { connect, type Socket } from 'node:net'

export interface HoldLoad {
  /** Answers of targets that were right, in their order, and their times in ms. */
  readonly timesMs: readonly number[]
  readonly blue: number
  readonly green: number
  /** Answered 503 with Retry-After, since they could not wait. */
  readonly refused: number
  /** Wrong answers, answers out of order, and connections that broke while one was owed. */
  readonly failed: number
  /** Requests that wait for an answer now. */
  readonly owed: number
  readonly reasons: readonly string[]
}

interface Owed {
  readonly number: number
  readonly dueMs: number
}

const REASONS_MAX = 5
/** About as long as a crowd that was held takes to leave. */
const BURST_MS = 500
/** Connections that ask on, and of how many requests one goes over them. */
const PIPELINED = 10
const PIPELINED_EVERY = 10
const NOTHING = { blue: 0, green: 0, refused: 0, failed: 0 }
const counts = { ...NOTHING }
let timesMs: number[] = []
let reasons: string[] = []
let owedNow = 0

function fail(why: string): void {
  counts.failed++
  if (reasons.length < REASONS_MAX) reasons.push(why)
}

class Connection {
  readonly #port: number
  readonly #host: string
  #socket: Socket
  #owed: Owed[] = []
  #pending = ''

  constructor(port: number, host: string) {
    this.#port = port
    this.#host = host
    this.#socket = this.#open()
  }

  send(owed: Owed): void {
    this.#owed.push(owed)
    owedNow++
    this.#write(owed)
  }

  #write({ number }: Owed): void {
    const head = `${number % 2 === 0 ? 'GET' : 'DELETE'} /inspect?n=${number} HTTP/1.1\r\nHost: ${this.#host}\r\n\r\n`
    this.#socket.write(head, 'latin1')
  }

  #open(): Socket {
    const socket = connect({ port: this.#port, host: '127.0.0.1', noDelay: true })
    this.#pending = ''
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => {
      this.#pending += text
      while (this.#take());
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      for (const { number } of this.#owed.splice(0)) {
        owedNow--
        fail(`${number}: closed before its answer`)
      }
      this.#socket = this.#open()
    })
    return socket
  }

  /** Takes one answer from what came, if it is whole. */
  #take(): boolean {
    const headEnd = this.#pending.indexOf('\r\n\r\n')
    if (headEnd < 0) return false
    const head = this.#pending.slice(0, headEnd)
    const end = headEnd + 4 + Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0)
    if (this.#pending.length < end) return false
    const body = this.#pending.slice(headEnd + 4, end)
    this.#pending = this.#pending.slice(end)
    this.#answered(Number(head.slice(9, 12)), head, body)
    return true
  }

  #answered(status: number, head: string, body: string): void {
    const owed = this.#owed.shift()
    if (owed === undefined) return fail('an answer that nobody asked for')
    owedNow--
    if (status === 503 && /\r\nretry-after: *\d/i.test(head)) counts.refused++
    else if (status !== 200) fail(`${owed.number}: ${status}`)
    else if (!body.includes(`/inspect?n=${owed.number}"`)) fail(`${owed.number}: ${body.slice(0, 60)}`)
    else {
      counts[body.includes('"pool":"blue"') ? 'blue' : 'green']++
      timesMs.push(performance.now() - owed.dueMs)
    }
    // What was sent behind an answer that closes its connection was not looked at, and is asked again.
    if (/\r\nconnection: *close/i.test(head)) this.#begin()
  }

  #begin(): void {
    this.#socket.removeAllListeners('close')
    this.#socket.destroy()
    this.#socket = this.#open()
    for (const owed of this.#owed) this.#write(owed)
  }
}

if (import.meta.main) {
  const [port, host, perSecond, count] = process.argv.slice(2)
  const open = () => new Connection(Number(port), host)
  const connections = Array.from({ length: Number(count) }, open)
  const pipelined = Array.from({ length: PIPELINED }, open)
  let number = 0
  const send = (dueMs: number) => {
    const isPipelined = number % PIPELINED_EVERY === 0
    const among = isPipelined ? pipelined : connections
    among[(isPipelined ? number / PIPELINED_EVERY : number) % among.length].send({ number, dueMs })
    number++
  }
  const everyMs = 1_000 / Number(perSecond)
  let dueMs = performance.now() + 500
  let burst = { left: 0, dueMs: 0, everyMs: 0 }
  setInterval(() => {
    const nowMs = performance.now()
    for (; dueMs <= nowMs; dueMs += everyMs) send(dueMs)
    for (; burst.left > 0 && burst.dueMs <= nowMs; burst.dueMs += burst.everyMs, burst.left--) send(burst.dueMs)
  }, 1)
  process.on('message', (asked: string) => {
    if (asked !== 'count') {
      const left = Number(asked.split(' ')[1])
      burst = { left, dueMs: performance.now(), everyMs: BURST_MS / left }
      return
    }
    process.send!({ ...counts, timesMs, reasons, owed: owedNow } satisfies HoldLoad)
    Object.assign(counts, NOTHING)
    timesMs = []
    reasons = []
  })
}
