/**
 * The load of `bench/switch.ts`, as a process of its own: 64 connections that ask without pause, and the switches.
 *
 * Both are here, in one event loop, so that "sent after the answer to the switch" needs no two clocks to agree: a request
 * is judged when it was sent after an answer to a switch had arrived and its own answer came before the next switch was
 * asked for. Such a request must reach the pool that was switched to. All others may reach either.
 *
 * Arguments: ports of the instances and of their admin APIs, which each switch takes one of by chance, with commas between; number of switches. Prints one line of JSON (`SwitchOutcome`).
 */
import { Agent } from 'node:http'
import { ask } from './check.ts'
import { Client, type ClientAnswer } from './client.ts'
import { CONNECTIONS } from './peers/peer.ts'
import { type PoolName, smallBody } from './upstream.ts'

/** Requests that are answered between an answer to a switch and the next switch. */
const REQUESTS_BETWEEN = 256

export interface SwitchOutcome {
  readonly switches: number
  readonly requests: number
  /** Broken connections and wrong answers, with the first few reasons. */
  readonly failed: number
  readonly reasons: readonly string[]
  /** Requests sent after an answer to a switch and answered before the next switch. */
  readonly judged: number
  /** Those of them that reached the old pool. */
  readonly late: number
  readonly appliedInMs: readonly number[]
  /** From sending a switch to having its answer. */
  readonly answeredInMs: readonly number[]
  readonly seconds: number
}

class SwitchLoad {
  requests = 0
  failed = 0
  judged = 0
  late = 0
  readonly reasons: string[] = []
  /** The pool that must answer now; null while a switch is under way. */
  settled: PoolName | null = 'blue'
  /** Switches asked for so far. */
  asked = 0
  private readonly sent = new Map<Client, { pool: PoolName | null; asked: number }>()
  private waiting: { requests: number; resolve: () => void } | null = null

  ready(client: Client): void {
    this.sent.set(client, { pool: this.settled, asked: this.asked })
    client.send()
  }

  answer(client: Client, { status, body }: ClientAnswer): void {
    this.requests++
    const pool = body === smallBody('blue') ? 'blue' : body === smallBody('green') ? 'green' : null
    const { pool: expected, asked } = this.sent.get(client)!
    if (status !== 200 || pool === null) this.fail(`${status} ${body.slice(0, 80)}`)
    else if (expected !== null && asked === this.asked) {
      this.judged++
      if (pool !== expected) this.late++
    }
    if (this.waiting !== null && this.requests >= this.waiting.requests) {
      this.waiting.resolve()
      this.waiting = null
    }
  }

  fail(reason: string): void {
    this.failed++
    if (this.reasons.length < 5) this.reasons.push(reason)
  }

  /** Resolves after that many more answers. */
  more(requests: number): Promise<void> {
    return new Promise((resolve) => {
      this.waiting = { requests: this.requests + requests, resolve }
    })
  }
}

async function run(ports: readonly number[], adminPorts: readonly number[], switches: number): Promise<SwitchOutcome> {
  const load = new SwitchLoad()
  const clients = Array.from(
    { length: CONNECTIONS },
    (_, n) =>
      new Client(ports[n % ports.length], '/small', {
        ready: (client) => load.ready(client),
        answer: (client, answer) => load.answer(client, answer),
        failed: (_client, reason) => load.fail(reason),
      }),
  )
  await load.more(20 * REQUESTS_BETWEEN)
  const agent = new Agent({ keepAlive: true })
  const appliedInMs: number[] = []
  const answeredInMs: number[] = []
  const startMs = performance.now()
  for (let i = 0; i < switches; i++) {
    const pool: PoolName = i % 2 === 0 ? 'green' : 'blue'
    load.settled = null
    load.asked++
    const askedMs = performance.now()
    const { status, body } = await ask(adminPorts[Math.floor(Math.random() * adminPorts.length)], agent, {
      method: 'POST',
      path: '/v1/services/shop/switch',
      headers: { 'Content-Type': 'application/json' },
      body: Buffer.from(JSON.stringify({ to: pool })),
    })
    load.settled = pool
    if (status !== 200) throw new Error(`switch ${i + 1} was answered ${status}: ${body}`)
    if ('complete' in JSON.parse(body.toString())) load.fail(`switch ${i + 1} is not complete: ${body}`)
    answeredInMs.push(performance.now() - askedMs)
    appliedInMs.push(JSON.parse(body.toString()).appliedInMs)
    await load.more(REQUESTS_BETWEEN)
  }
  const seconds = (performance.now() - startMs) / 1000
  for (const client of clients) client.end()
  agent.destroy()
  const { requests, failed, reasons, judged, late } = load
  return { switches, requests, failed, reasons, judged, late, appliedInMs, answeredInMs, seconds }
}

if (import.meta.main) {
  const [ports, adminPorts, [switches]] = process.argv.slice(2).map((list) => list.split(',').map(Number))
  process.stdout.write(`${JSON.stringify(await run(ports, adminPorts, switches))}\n`)
}
