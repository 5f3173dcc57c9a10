/**
 * `node bench/redis.ts`: three instances on one Redis under load, with a change every 20 ms, while that Redis is killed, frozen, flushed, and
 * replaced by its sentinels, each many times. Must be: no failed request; no change lost that was answered as done, but for what Redis itself
 * has lost, which an instance tells; and every instance at one revision within three seconds from when Redis is there again.
 *
 * Load, changes and faults are in this one process, so that "answered before" needs no two clocks. Each change sets a weight that no other one does,
 * so what all serve in the end says which change was the last; it must be the last that was answered, or one that was sent after it.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { Agent } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ask } from './check.ts'
import { Client } from './client.ts'
import { median } from './measure.ts'
import { positive, readOptions, say } from './options.ts'
import { CONNECTIONS } from './peers/peer.ts'
import { startTurnout } from './peers/turnout.ts'
import { until } from './redis-servers.ts'
import { AWAY_MS, KINDS, type Kind, startKind } from './redis-strikes.ts'
import { decimal, occasion, writeSection } from './report.ts'
import { startTargets } from './targets.ts'
import { smallBody } from './upstream.ts'

const INSTANCES = 3
const TOGETHER_MS_MAX = 3_000
const CHANGE_EVERY_MS = 20
/** How long all goes well between two faults. */
const BETWEEN_MS = 1_000
const LOG_LINES = 25
const AUDIT_LIMIT = 1_000

interface Outcome {
  readonly kind: Kind
  times: number
  requests: number
  failed: number
  changes: number
  refused: number
  /** Changes that were answered, and are gone though nobody has told so. */
  lost: number
  /** From when Redis is there again until all instances are at one revision. */
  readonly togetherMs: number[]
  readonly reasons: string[]
}

interface Proxy {
  readonly port: number
  readonly adminPort: number
}

/** Changes one after the other, each at an instance by chance. */
class Changes {
  /** The first is another split than the one at the start. */
  sent = 1
  answered = 0
  /** Numbers of those that were answered as done since this was last emptied. */
  readonly recent: number[] = []
  made = 0
  refused = 0
  #isOn = false
  #running: Promise<void> = Promise.resolve()
  readonly #proxies: readonly Proxy[]
  readonly #agent: Agent

  constructor(proxies: readonly Proxy[], agent: Agent) {
    this.#proxies = proxies
    this.#agent = agent
  }

  start(): void {
    this.#isOn = true
    this.#running = this.#run()
  }

  async stop(): Promise<void> {
    this.#isOn = false
    await this.#running
  }

  async #run(): Promise<void> {
    while (this.#isOn) {
      const number = ++this.sent
      const { adminPort } = this.#proxies[Math.floor(Math.random() * this.#proxies.length)]
      const status = await ask(adminPort, this.#agent, {
        method: 'PUT',
        path: '/v1/services/shop/split',
        headers: { 'Content-Type': 'application/json' },
        body: Buffer.from(JSON.stringify({ weights: { blue: number, green: 1 } })),
      }).then(
        (answer) => answer.status,
        () => 0,
      )
      if (status === 200) {
        this.answered = number
        this.recent.push(number)
        this.made++
      } else this.refused++
      await sleep(CHANGE_EVERY_MS)
    }
  }
}

/** Where an instance is, the number of its change, and whether it has the store, which is at the same revision. */
async function look(proxy: Proxy, agent: Agent) {
  // This cannot be answered without the store, which is told to be stale only after two seconds.
  const audit = await ask(proxy.adminPort, agent, { path: '/v1/audit?limit=1' })
  const stored = audit.status === 200 ? JSON.parse(audit.body.toString()).entries[0]?.revision : undefined
  const status = JSON.parse((await ask(proxy.adminPort, agent, { path: '/v1/status' })).body.toString())
  const service = JSON.parse((await ask(proxy.adminPort, agent, { path: '/v1/services/shop' })).body.toString())
  return {
    revision: Number(status.revision),
    isStale: status.storeStaleMs > 0 || stored !== status.revision,
    number: Number(service.spec.split.blue),
  }
}

type Look = Awaited<ReturnType<typeof look>>

/** All are at one revision, and read it from Redis. */
const areTogether = (looks: readonly Look[]): boolean =>
  new Set(looks.map(({ revision }) => revision)).size === 1 && !looks.some(({ isStale }) => isStale)

/** Whether an instance has told since it was last asked that something was lost; `seen` has the last event of each that was looked at. */
async function isLossTold(proxies: readonly Proxy[], seen: Map<Proxy, number>, agent: Agent): Promise<boolean> {
  let isTold = false
  for (const proxy of proxies) {
    // An instance keeps so many events, and some times have more changes: so they are counted by their ids, not by how many are there.
    const path = `/v1/events?follow=false&after=${seen.get(proxy) ?? 0}`
    const { body } = await ask(proxy.adminPort, agent, { path })
    const { events } = JSON.parse(body.toString()) as { events: { id: number }[] }
    if (events.length > 0) seen.set(proxy, events.at(-1)!.id)
    isTold ||= /went back to revision|has lost revision/.test(JSON.stringify(events))
  }
  return isTold
}

/** Of these changes those that the store knows nothing of. */
async function unknownOf(numbers: readonly number[], { adminPort }: Proxy, agent: Agent): Promise<number[]> {
  const { status, body } = await ask(adminPort, agent, { path: `/v1/audit?limit=${AUDIT_LIMIT}` })
  if (status !== 200) throw new Error(`the audit cannot be read: ${status} ${body}`)
  return numbers.filter((number) => !body.includes(`"blue":${number},`))
}

async function measureKind(kind: Kind, times: number): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'turnout-bench-'))
  const targets = await startTargets(null)
  const running: { stop(): Promise<void> }[] = [targets]
  const outcome: Outcome = {
    kind,
    times,
    requests: 0,
    failed: 0,
    changes: 0,
    refused: 0,
    lost: 0,
    togetherMs: [],
    reasons: [],
  }
  const agent = new Agent({ keepAlive: true })
  const fail = (reason: string) => void (outcome.reasons.length < 5 && outcome.reasons.push(reason))
  const clients: Client[] = []
  try {
    const struck = await startKind(kind, folder)
    const { store } = struck
    running.push(...struck.servers)
    const proxies: Proxy[] = []
    for (let n = 0; n < INSTANCES; n++) {
      const own = join(folder, `instance-${n}`)
      mkdirSync(own)
      const config = { blue: targets.blue, green: targets.green, folder: own, core: null }
      const proxy = await startTurnout(
        config,
        { weights: { blue: 1, green: 1 }, process: { store } },
        { stdout: join(folder, `instance-${n}.log`) },
      )
      running.push(proxy)
      proxies.push(proxy)
      // Clients are served before the admin API is there.
      const isReady = () => ask(proxy.adminPort, agent, { path: '/readyz' }).then(({ status }) => status === 200)
      await until('an instance is ready', () => isReady().catch(() => false))
    }
    for (let n = 0; n < CONNECTIONS; n++) {
      const events = {
        ready: (client: Client) => client.send(),
        answer(_client: Client, { status, body }: { status: number; body: string }) {
          outcome.requests++
          if (status === 200 && (body === smallBody('blue') || body === smallBody('green'))) return
          outcome.failed++
          fail(`request: ${status} ${body.slice(0, 80)}`)
        },
        failed(_client: Client, reason: string) {
          outcome.failed++
          fail(`request: ${reason}`)
        },
      }
      clients.push(new Client(proxies[n % INSTANCES].port, '/small', events))
    }
    const changes = new Changes(proxies, agent)
    const lookAtAll = () => Promise.all(proxies.map((proxy) => look(proxy, agent)))
    const seen = new Map<Proxy, number>()
    for (let time = 1; time <= times; time++) {
      changes.start()
      await sleep(BETWEEN_MS)
      await struck.strike()
      const backMs = performance.now()
      const ended = changes.stop()
      await until('all are together', async () => areTogether(await lookAtAll()))
      const togetherMs = performance.now() - backMs
      outcome.togetherMs.push(togetherMs)
      // The one that was under way then may have moved them once more.
      await ended
      const { answered } = changes
      let looks: readonly Look[] = []
      await until('all are together after the last change', async () => {
        looks = await lookAtAll()
        return areTogether(looks)
      })
      const numbers = looks.map(({ number }) => number)
      if (new Set(numbers).size > 1) fail(`time ${time}: one revision, and other contents: ${numbers}`)
      const unknown = await unknownOf(changes.recent.splice(0), proxies[0], agent)
      const isTold = await isLossTold(proxies, seen, agent)
      if ((unknown.length > 0 || Math.min(...numbers) < answered) && !isTold) {
        outcome.lost++
        fail(`time ${time}: change ${unknown} is not known, ${numbers} is served, ${answered} was answered last`)
      }
      say(
        `${kind} ${time}/${times}: together after ${decimal(togetherMs, 0)} ms, ${changes.made} changes, ${outcome.failed} failed`,
      )
    }
    outcome.changes = changes.made
    outcome.refused = changes.refused
  } catch (error) {
    tellLogs(folder)
    throw error
  } finally {
    for (const client of clients) client.end()
    agent.destroy()
    for (const one of running.reverse()) await one.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  return outcome
}

/** The last lines of every log, to see why it came to nothing. */
function tellLogs(folder: string): void {
  for (const name of readdirSync(folder).filter((each) => each.endsWith('.log'))) {
    const lines = readFileSync(join(folder, name), 'utf8').trim().split('\n')
    console.error([`--- ${name}`, ...lines.slice(-LOG_LINES)].join('\n'))
  }
}

function render(outcomes: readonly Outcome[]): string {
  const rows = outcomes.map(({ kind, times, requests, failed, changes, refused, lost, togetherMs }) => {
    const together = `${decimal(median(togetherMs), 0)} / ${decimal(Math.max(...togetherMs), 0)}`
    return `| ${kind} | ${times} | ${decimal(requests, 0)} | **${failed}** | ${decimal(changes, 0)} / ${decimal(refused, 0)} | **${lost}** | ${together} |`
  })
  return [
    '## Redis killed, frozen, flushed and replaced under load',
    '',
    occasion(new Date()),
    '',
    '| Redis was | times | requests | failed | changes made / refused | lost | at one revision after, ms, median / max |',
    '| --- | ---: | ---: | ---: | ---: | ---: | ---: |',
    ...rows,
    '',
    `**How it was measured.** \`node bench/redis.ts\`: ${INSTANCES} instances of one worker on one Redis (\`appendfsync always\`), ${CONNECTIONS} raw keep-alive`,
    `connections that ask without pause and check every answer, and a change every ${CHANGE_EVERY_MS} ms at an instance by chance. Redis is away for ${AWAY_MS / 1_000} s, or empty,`,
    'or killed until its sentinels (down after 1 s), or the other nodes of its Cluster (of three and a replica; down after 1 s), have made the replica the primary. Lost is a change that was answered, is gone, and nobody has told so. The time',
    'runs from Redis being there, when the changes pause, to all instances reading from it the one revision that they serve.',
  ].join('\n')
}

const { values, ...options } = readOptions(
  'usage: node bench/redis.ts [options]\n  --times N           how often each (default 20)\n  --only KIND         killed, frozen, flushed, "failed over" or "failed over in a Cluster"',
  null,
  { times: { type: 'string' }, only: { type: 'string' } },
)
const times = positive('--times', values['times'] ?? (options.quick ? 1 : 20))
const outcomes: Outcome[] = []
for (const kind of KINDS) {
  if (values['only'] === undefined || values['only'] === kind) outcomes.push(await measureKind(kind, times))
}
if (options.json) console.log(JSON.stringify(outcomes))
else {
  const text = render(outcomes)
  if (!options.quick && values['only'] === undefined) writeSection('redis', text)
  console.log(text)
}
for (const { kind, failed, lost, togetherMs, reasons } of outcomes) {
  for (const reason of reasons) console.error(`failed: ${kind}: ${reason}`)
  if (failed > 0 || lost > 0 || reasons.length > 0 || Math.max(...togetherMs) > TOGETHER_MS_MAX) process.exitCode = 1
}
