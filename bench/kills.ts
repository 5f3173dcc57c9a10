/**
 * `node bench/kills.ts`: `kill -9` in every state of a rollout, and at moments by chance, and what the next process makes of it. Must be: the
 * same rollout goes on, at a split that its plan allows; every hook has one key for one event, however often it was called; and it ends
 * where it should. Fails when any of that is not so.
 *
 * With `--instances N` the same of so many instances on one Redis (its program must be installed): each time the one that leads is killed, another
 * one must go on with it, and all must have one split.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from './client.ts'
import { quantile } from './measure.ts'
import { positive, readOptions } from './options.ts'
import { MAIN } from './peers/turnout.ts'
import { freePort } from './ports.ts'
import { type Child, startChild } from './process.ts'
import { startRedis } from './redis-servers.ts'
import { decimal, occasion, writeSection } from './report.ts'

const { values, ...given } = readOptions(
  'usage: node bench/kills.ts [options]\n  --instances N       instances on one Redis (default 1, without Redis); then two rounds of each, unless told otherwise\n  --only STATE        one of the states; writes no report',
  { rounds: 20, seconds: 1 },
  { instances: { type: 'string' }, only: { type: 'string' } },
)
const instances = positive('--instances', values['instances'] ?? 1)
/** Until another instance takes over the lease of the one before has to end: seconds each time. */
const FLEET_ROUNDS = 2
const isFleet = instances > 1 && !process.argv.includes('--rounds') && !given.quick
const options = isFleet ? { ...given, rounds: FLEET_ROUNDS } : given
/** The next process has so long to serve, and a rollout to come to a state. */
const LIMIT_MS = 30_000

interface Told {
  readonly id: string
  readonly state: string
  readonly step: number
  readonly weight: number
  readonly runsElsewhere: boolean
  readonly next: { readonly waitsFor: string } | null
}
interface HookCall {
  readonly event: string
  readonly key: string
  readonly step: number
}

/** The event whose hooks are not answered, and the calls so far. */
let silentAt: string | null = null
const calls: HookCall[] = []
/** Share of requests that the live version fails. */
let failing = 0

async function listen(server: ReturnType<typeof createServer>): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
  return (server.address() as AddressInfo).port
}
const blue = await listen(
  createServer((request, response) => {
    request.resume()
    response.statusCode = Math.random() < failing ? 500 : 200
    response.end('blue')
  }),
)
const green = await listen(createServer((_, response) => void response.end('green')))
const hook = await listen(
  createServer(async (request, response) => {
    const pieces: Buffer[] = []
    for await (const piece of request) pieces.push(piece as Buffer)
    const call = JSON.parse(Buffer.concat(pieces).toString()) as HookCall
    calls.push(call)
    if (call.event !== silentAt) response.end()
  }),
)

const EVENTS = ['AfterInstall', 'AfterAllowTestTraffic', 'BeforeStep', 'AfterAllowTraffic', 'AfterBake', 'OnRollback']
const HOOKS = EVENTS.map((at) => ({ at, url: `http://127.0.0.1:${hook}/`, timeout: '10m' }))
const STEPS = [20, 60, 100]

/** One process after the other, on the same ports. */
class Instance {
  readonly folder = mkdtempSync(join(tmpdir(), 'turnout-bench-'))
  readonly port: number
  readonly adminPort: number
  #child: Child | null = null

  constructor(port: number, adminPort: number, store: string) {
    this.port = port
    this.adminPort = adminPort
    const shop = {
      routes: [{ host: '*' }],
      pools: { blue: { targets: [`http://127.0.0.1:${blue}`] }, green: { targets: [`http://127.0.0.1:${green}`] } },
      live: 'blue',
      visitor: [],
      sticky: false,
    }
    const config = {
      listeners: [{ address: `127.0.0.1:${port}` }],
      admin: { address: `127.0.0.1:${adminPort}` },
      workers: 1,
      store,
      log: { level: 'error', access: false },
      services: { shop },
    }
    writeFileSync(join(this.folder, 'turnout.yaml'), JSON.stringify(config))
  }

  get isUp(): boolean {
    return this.#child !== null
  }

  async start(): Promise<void> {
    const command = [process.execPath, MAIN, 'serve', '--config', join(this.folder, 'turnout.yaml')]
    // Each has its snapshot where it is started.
    this.#child = startChild(command, { core: null, folder: this.folder })
    await until('it serves', () => fetch(`http://127.0.0.1:${this.adminPort}/readyz`).then(({ ok }) => ok))
  }

  async kill(): Promise<void> {
    const { process } = this.#child!
    const gone = new Promise((resolve) => process.once('exit', resolve))
    process.kill('SIGKILL')
    await gone
    this.#child = null
  }

  async call<T>(method: string, path: string, body?: object): Promise<T> {
    const answer = await fetch(`http://127.0.0.1:${this.adminPort}/v1/services/shop${path}`, {
      method,
      ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    })
    if (!answer.ok) throw new Error(`${method} ${path}: ${await answer.text()}`)
    return (await answer.json()) as T
  }
}

/** All instances, and the one of them that drives the rollouts, which is the one that is asked and killed. */
class Serving {
  readonly instances: readonly Instance[]
  #driver: Instance

  constructor(all: readonly Instance[]) {
    this.instances = all
    this.#driver = all[0]
  }

  async startAll(): Promise<void> {
    for (const instance of this.instances) if (!instance.isUp) await instance.start()
  }

  killDriver(): Promise<void> {
    return this.#driver.kill()
  }

  /** Resolves once rollouts are driven again, by the next process or by another instance, with the time in ms until then; then all are there again. */
  async recover(): Promise<number> {
    const fromMs = performance.now()
    if (this.instances.length === 1) await this.startAll()
    else await until('another one drives', () => this.#findDriver())
    const tookMs = performance.now() - fromMs
    await this.startAll()
    return tookMs
  }

  async #findDriver(): Promise<boolean> {
    for (const instance of this.instances) {
      if (!instance.isUp || (await instance.call<Told>('GET', '/rollouts/current')).runsElsewhere) continue
      this.#driver = instance
      return true
    }
    return false
  }

  /** Begins a rollout at the one that leads. */
  async begin(asked: object): Promise<Told> {
    let refused: unknown
    for (const instance of this.instances) {
      try {
        const told = await instance.call<Told>('POST', '/rollouts', asked)
        this.#driver = instance
        return told
      } catch (error) {
        refused = error
      }
    }
    throw refused
  }

  call<T>(method: string, path: string, body?: object): Promise<T> {
    return this.#driver.call(method, path, body)
  }

  current(): Promise<Told> {
    return this.call('GET', '/rollouts/current')
  }

  /** Per cent of the new version, which is the same at each. */
  async share(): Promise<number> {
    const shares: number[] = []
    for (const instance of this.instances.filter(({ isUp }) => isUp)) {
      const { spec } = await instance.call<{ spec: { split: Record<string, number> } }>('GET', '')
      const sum = Object.values(spec.split).reduce((total, weight) => total + weight, 0)
      shares.push(Math.round(((spec.split['green'] ?? 0) / sum) * 100))
    }
    check('all instances have one split', new Set(shares).size === 1, shares)
    return shares[0]
  }

  async reach(state: string, more: (told: Told) => boolean = () => true): Promise<void> {
    try {
      await until(`it is ${state}`, async () => {
        const told = await this.current()
        return told.state === state && more(told)
      })
    } catch (error) {
      for (const instance of this.instances.filter(({ isUp }) => isUp))
        console.error(JSON.stringify(await instance.call('GET', '/rollouts/current')))
      throw error
    }
  }

  async close(): Promise<void> {
    for (const instance of this.instances) {
      if (instance.isUp) await instance.kill()
      rmSync(instance.folder, { recursive: true, force: true })
    }
  }
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const untilMs = performance.now() + LIMIT_MS
  while (!(await holds().catch(() => false))) {
    if (performance.now() > untilMs) throw new Error(`waited ${LIMIT_MS} ms in vain: ${what}`)
    await sleep(5)
  }
}

const found: string[] = []
function check(what: string, holds: boolean, detail: unknown): void {
  if (!holds) found.push(`${what}: ${JSON.stringify(detail)}`)
}

/** Every event has one key. A failure here is a hook that was called twice as though it were new. */
function checkKeys(what: string): void {
  const keys = new Map<string, Set<string>>()
  for (const { event, step, key } of calls)
    keys.set(`${event} ${step}`, (keys.get(`${event} ${step}`) ?? new Set()).add(key))
  for (const [event, of] of keys) check(`${what}: ${event} has one key`, of.size === 1, [...of])
}

/** How a rollout is brought to each state, and what its split may be there. */
const STATES: Readonly<
  Record<string, { readonly reach: (serving: Serving) => Promise<void>; readonly shares: readonly number[] }>
> = {
  preflight: silent('AfterInstall', 'preflight', [0]),
  warming: { reach: (serving) => serving.reach('warming'), shares: [0] },
  smoke: silent('AfterAllowTestTraffic', 'smoke', [0]),
  'shifting, before a step': silent('BeforeStep', 'shifting', [0]),
  'shifting, watching': { reach: (serving) => serving.reach('shifting', ({ weight }) => weight === 20), shares: [20] },
  paused: {
    async reach(serving) {
      await serving.reach('shifting', ({ weight }) => weight === 20)
      await serving.call('POST', '/rollouts/current/pause')
    },
    shares: [20],
  },
  holding: {
    async reach(serving) {
      await serving.reach('shifting', ({ weight }) => weight === 20)
      failing = 0.6
      await serving.reach('holding')
    },
    shares: [20],
  },
  baking: {
    async reach(serving) {
      for (let promoted = 0; promoted < STEPS.length; promoted++) {
        await serving.reach(
          'shifting',
          ({ step, weight }) => step === promoted && weight === Math.min(95, STEPS[promoted]),
        )
        await serving.call('POST', '/rollouts/current/promote')
      }
      await serving.reach('baking', ({ next }) => next?.waitsFor === 'the end of the bake')
    },
    shares: [95],
  },
  rollingBack: {
    async reach(serving) {
      await serving.reach('shifting', ({ weight }) => weight === 20)
      silentAt = 'OnRollback'
      await serving.call('POST', '/rollouts/current/abort')
      await serving.reach('rollingBack')
      await until('the hook is called', async () => calls.some(({ event }) => event === 'OnRollback'))
    },
    shares: [0],
  },
}

function silent(event: string, state: string, shares: readonly number[]) {
  return {
    async reach(serving: Serving) {
      silentAt = event
      await serving.reach(state)
      await until('the hook is called', async () => calls.some((call) => call.event === event))
    },
    shares,
  }
}

/** Longer than it takes until somebody goes on with it. */
const warmingFor = instances === 1 ? '2s' : '30s'

async function killIn(serving: Serving, name: string): Promise<number> {
  const { reach, shares } = STATES[name]
  silentAt = null
  failing = 0
  calls.length = 0
  const warmup = name === 'warming' ? { warmup: { requests: [{ path: '/' }], rate: 10, for: warmingFor } } : {}
  const steps = STEPS.map((weight) => ({ weight, for: '1h' }))
  const { id } = await serving.begin({
    to: 'green',
    steps,
    bake: '1h',
    hooks: HOOKS,
    ...warmup,
  })
  await reach(serving)
  const before = await serving.current()
  await sleep(Math.random() * 50)
  await serving.killDriver()
  failing = 0
  const tookMs = await serving.recover()
  const after = await serving.current()
  check(`${name}: it is the same rollout`, after.id === id, [before, after])
  check(`${name}: in the same state`, after.state === before.state, [before.state, after.state])
  const share = await serving.share()
  check(`${name}: the split is one that the plan allows`, shares.includes(share), share)
  silentAt = null
  if (name === 'rollingBack') await serving.killDriver().then(() => serving.recover())
  else await serving.call('POST', '/rollouts/current/abort')
  await serving.reach('rolledBack')
  check(`${name}: it ends at the split before`, (await serving.share()) === 0, await serving.share())
  checkKeys(name)
  return tookMs
}

/** Kills at a moment by chance in a rollout that needs about two seconds; it must end well all the same. */
async function killSomewhere(serving: Serving): Promise<string> {
  silentAt = null
  failing = 0
  calls.length = 0
  const steps = STEPS.map((weight) => ({ weight, for: '300ms' }))
  const asked = { to: 'green', steps, advance: 'time', keep: 5, bake: '300ms', hooks: HOOKS }
  const { id } = await serving.begin(asked)
  await sleep(Math.random() * 1_600)
  const { state } = await serving.current()
  await serving.killDriver()
  await serving.recover()
  const share = await serving.share()
  check('by chance: the split is one that the plan allows', [0, ...STEPS, 95].includes(share), [state, share])
  await serving.reach('done')
  const after = await serving.current()
  check('by chance: it is the same rollout', after.id === id, after)
  check('by chance: it ends with all traffic', (await serving.share()) === 100, await serving.share())
  checkKeys('by chance')
  await serving.call('POST', '/switch', { to: 'blue' })
  return state
}

const folder = mkdtempSync(join(tmpdir(), 'turnout-bench-'))
const redis = instances === 1 ? null : await startRedis(folder)
const store = redis === null ? 'sqlite:./turnout.db' : `redis://127.0.0.1:${redis.port}`
const all: Instance[] = []
for (let n = 0; n < instances; n++) all.push(new Instance(await freePort(), await freePort(), store))
const serving = new Serving(all)
await serving.startAll()
for (let n = 0; n < 4 * instances; n++) {
  const client = new Client(all[n % instances].port, '/', {
    ready: () => void setTimeout(() => client.send(), 5),
    answer() {},
    failed() {},
  })
}
const times: number[] = []
const where = new Map<string, number>()
try {
  for (const name of Object.keys(STATES)) {
    if (values['only'] !== undefined && values['only'] !== name) continue
    for (let round = 0; round < options.rounds; round++) times.push(await killIn(serving, name))
    console.error(`${name}: killed ${options.rounds} times`)
  }
  for (let round = 0; round < options.rounds && values['only'] === undefined; round++) {
    const state = await killSomewhere(serving)
    where.set(state, (where.get(state) ?? 0) + 1)
  }
} finally {
  await serving.close()
  await redis?.stop()
  rmSync(folder, { recursive: true, force: true })
}
const [title, command, next] =
  instances === 1
    ? ['Killed in the midst of a rollout', '', 'The next process\nserved']
    : [
        `The instance that leads, killed in the midst of a rollout over ${instances}`,
        ' --instances 3',
        'Another instance\ndrove it',
      ]
const text = `## ${title}

${occasion(new Date())}

\`node bench/kills.ts${command}\`: \`kill -9\` ${options.rounds} times in each of: ${Object.keys(STATES).join('; ')}; and ${options.rounds} times at a moment by chance (${[...where].map(([state, count]) => `${state} ${count}`).join(', ')}). ${next} after ${decimal(quantile(times, 0.5), 0)} ms (median; ${decimal(Math.max(...times), 0)} ms at most). ${
  found.length === 0
    ? 'Every rollout went on in its state, at a split that its plan allows, and ended where it should; no hook was called under a second key for one event.'
    : `Not as it must be: ${found.join('; ')}`
}
`
if (!options.quick && values['only'] === undefined) writeSection(instances === 1 ? 'kills' : 'kills-fleet', text)
console.log(text)
process.exit(found.length === 0 ? 0 : 1)
