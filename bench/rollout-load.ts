/**
 * The load of bench/rollout.ts, as a process of its own: the targets of both versions, requests at fixed moments, and one rollout after
 * the other of a new version that fails. All in one process, so that one clock says what came before what.
 *
 * Its argument is one JSON, `RolloutJob`. It sends the ports of its targets, waits for those of the proxy, and sends `RolloutRun[]`.
 */
import { type AddressInfo, createServer, type Server } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from './client.ts'

export interface RolloutJob {
  readonly perSecond: number
  /** Share of requests that the live version fails. */
  readonly control: number
  /** Per cent of the traffic that the new version is given. */
  readonly weight: number
  /** Every request is of another visitor, and so assigned by hash. */
  readonly hashed: boolean
  /** Shares of requests that the new version fails, and how many rollouts of each. */
  readonly rates: readonly number[]
  readonly runs: number
}

export interface RolloutTargets {
  readonly blue: number
  readonly green: number
}

/** The instances, each with the same part of the requests. */
export interface RolloutProxies {
  readonly ports: readonly number[]
  readonly adminPorts: readonly number[]
}

export interface RolloutRun {
  readonly rate: number
  /** Answers of the new version that the verdict had seen when it decided, and the failed ones among them. */
  readonly answers: number
  readonly failed: number
  /** Failures that clients were given by the new version, from begin to end. */
  readonly seen: number
  /** From the answer that decided to the last request that came to the new version. */
  readonly lagMs: number
  /** What has decided. */
  readonly metric: string
}

const job = JSON.parse(process.argv[2]) as RolloutJob
const BODY = '.'.repeat(100)
const GOOD = `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n${BODY}`
const BAD = GOOD.replace('200 OK', '500 No')
/** One rollout may take so long. */
const LIMIT_MS = 120_000
const CONNECTIONS = 64

/** What the new version has done since the run began: when requests came, and when its failed answers left. */
const came: number[] = []
const failedAt: number[] = []
let failing = 0
let sequence = 0
let seen = 0

/** A target that takes one request at a time on a connection, as Turnout sends them. */
function target(isNew: boolean): Promise<Server> {
  const server = createServer((socket) => {
    socket.setNoDelay(true)
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      if (bytes.includes('GET /health')) return void socket.write(GOOD)
      const nowMs = performance.now()
      const fails = Math.random() < (isNew ? failing : job.control)
      if (isNew) came.push(nowMs)
      if (isNew && fails) failedAt.push(nowMs)
      // The last byte says who it was.
      const answer = fails ? BAD : GOOD
      socket.write(isNew ? `${answer.slice(0, -1)}g` : answer)
    })
  })
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)))
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port

/** Requests at fixed moments, whether or not earlier ones were answered, on connections that are free. */
function startLoad(port: number, perSecond: number): void {
  const free: Client[] = []
  const events = {
    ready: (client: Client) => void free.push(client),
    answer(_: Client, { status, body }: { status: number; body: string }) {
      if (status !== 200 && body.endsWith('g')) seen++
    },
    failed: () => void seen++,
  }
  for (let n = 0; n < CONNECTIONS; n++) new Client(port, '/small', events)
  let sent = 0
  const startMs = performance.now()
  setInterval(() => {
    const due = ((performance.now() - startMs) / 1_000) * perSecond
    for (; sent < due && free.length > 0; sent++) {
      const headers = job.hashed ? `x-user-id: u${sequence++}\r\n` : ''
      free.shift()!.send(headers)
    }
  }, 1)
}

interface Told {
  readonly state: string
  readonly verdict: {
    readonly metric: string
    readonly canary: { readonly requests: number; readonly failed: number }
  } | null
}

async function call(adminPort: number, method: string, path: string, body?: object): Promise<Told> {
  const answer = await fetch(`http://127.0.0.1:${adminPort}/v1/services/shop/rollouts${path}`, {
    method,
    ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  })
  if (!answer.ok) throw new Error(`${method} ${path}: ${await answer.text()}`)
  return (await answer.json()) as Told
}

/** Where rollouts can be begun: of several instances at the one that leads. */
async function leading(adminPorts: readonly number[], body: object): Promise<number> {
  let refused: unknown
  for (const adminPort of adminPorts) {
    const error = await call(adminPort, 'POST', '', body).catch((reason: unknown) => reason)
    if (!(error instanceof Error)) return adminPort
    refused = error
  }
  throw refused
}

async function run(adminPorts: readonly number[], rate: number): Promise<RolloutRun> {
  came.length = 0
  failedAt.length = 0
  seen = 0
  failing = rate
  const steps = [{ weight: job.weight, until: 'promoted', for: '1d' }]
  const adminPort = await leading(adminPorts, { to: 'green', strategy: 'canary', steps })
  const untilMs = performance.now() + LIMIT_MS
  let told = await call(adminPort, 'GET', '/current')
  while (told.state !== 'rolledBack' && performance.now() < untilMs) {
    await sleep(20)
    told = await call(adminPort, 'GET', '/current')
  }
  if (told.state !== 'rolledBack' || told.verdict === null)
    throw new Error(`still ${told.state}: ${JSON.stringify(told)}`)
  // What is on its way has come by then.
  await sleep(200)
  const { metric, canary } = told.verdict
  const decidedMs = failedAt[canary.failed - 1] ?? Number.NaN
  return {
    rate,
    answers: canary.requests,
    failed: canary.failed,
    seen,
    lagMs: came[came.length - 1] - decidedMs,
    metric,
  }
}

const [blue, green] = [await target(false), await target(true)]
process.on('message', (proxies: RolloutProxies) => {
  work(proxies).then(
    (runs) => process.send!(runs, () => process.exit(0)),
    (error: Error) => {
      console.error(error.message)
      process.exit(1)
    },
  )
})
process.send!({ blue: portOf(blue), green: portOf(green) } satisfies RolloutTargets)

async function work({ ports, adminPorts }: RolloutProxies): Promise<RolloutRun[]> {
  for (const port of ports) startLoad(port, job.perSecond / ports.length)
  // The live version's past is known by then.
  await sleep(3_000)
  const runs: RolloutRun[] = []
  for (let n = 0; n < job.runs; n++) for (const rate of job.rates) runs.push(await run(adminPorts, rate))
  return runs
}
