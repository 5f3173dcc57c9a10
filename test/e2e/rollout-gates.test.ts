/** What a rollout has to pass before and between its steps, with real targets, hooks, programs and processes. */
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { ToldRollout } from '../../src/rollout/told.ts'
import { startLoad } from '../helpers/load.ts'
import { service, startProxy, type Proxy as TestProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { begin, current, reached } from '../helpers/rollouts.ts'
import { closedPort, startNamed, startUpstream } from '../helpers/upstream.ts'

/** A target that tells its version and what it was set up with. */
const startTelling = (version: string, schema = '7') =>
  startUpstream((request, response) => {
    request.resume()
    if (request.url === '/version') response.end(JSON.stringify({ build: { version } }))
    else if (request.url === '/plain') response.end(`${version}\n`)
    else if (request.url === '/schema') response.end(schema)
    else response.end('well')
  })

async function startShop(green: readonly string[], more: object = {}, blueSchema = '7'): Promise<TestProxy> {
  const blue = await startTelling('blue-version', blueSchema)
  const shop = service({ blue: [blue.url], green: [...green] }, { sticky: false, visitor: [], ...more })
  return startProxy({ services: { shop } })
}

const QUICK = { strategy: 'canary', steps: [{ weight: 20, until: 'promoted' }], bake: '300ms' }

/** What became of a gate, by name. */
const gate = ({ gates }: ToldRollout, name: string) => {
  const found = gates.findLast((entry) => entry.gate === name)
  return found && `${found.state}: ${found.reason}`
}

/** Somebody who is called, and answers as told. */
async function startHook(answer: (body: Record<string, unknown>, request: IncomingMessage) => number = () => 200) {
  const heard: Record<string, unknown>[] = []
  const server = createServer((request, response) => {
    let text = ''
    request.on('data', (read) => {
      text += read
    })
    request.on('end', () => {
      const body = JSON.parse(text) as Record<string, unknown>
      heard.push(body)
      response.writeHead(answer(body, request)).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`, heard }
}

describe('the list of checks before a rollout', () => {
  test('is passed by a pool that is what it says, and told with what each has found', async () => {
    const [one, two] = [await startTelling('green-version'), await startTelling('green-version')]
    const hook = await startHook()
    const proxy = await startShop([one.url, two.url], {
      rollout: {
        announces: { path: '/version', json: 'build.version' },
        fingerprint: { path: '/schema', same: true },
        capacity: { requestsPerTarget: 50 },
        hooks: [{ at: 'AfterInstall', url: `${hook.url}?token=hidden` }],
        smoke: [{ path: '/' }],
        warmup: { requests: [{ path: '/' }], rate: 100, for: '100ms' },
      },
    })
    await begin(proxy, QUICK)
    const told = await reached(proxy, 'shifting')
    expect(gate(told, 'targets')).toBe('passed: 2 of 2 ready targets of green are not known to fail')
    expect(gate(told, 'live pool')).toBe('passed: blue can take the traffic back')
    expect(gate(told, 'version')).toBe('passed: 2 of 2 targets of green answer version green-version')
    expect(gate(told, 'capacity')).toMatch(/^passed: now 0 requests a second .*; 2 targets of green carry 100$/)
    expect(gate(told, 'hooks')).toBe('passed: 1 of 1 hooks can be reached')
    expect(gate(told, 'drift')).toBe('passed: all 3 targets of green and blue answer "7" at /schema')
    expect(gate(told, 'AfterInstall')).toBe('passed: null')
    expect(told.gates.find(({ gate }) => gate === 'AfterInstall')?.at).toBe(hook.url)
    expect(gate(told, 'warm-up')).toMatch(/^passed: 10 of 10 requests were answered well/)
    expect(gate(told, 'smoke')).toBe('passed: 2 of 2 targets answered as they should')
    for (const { startedAtMs, endedAtMs } of told.gates) expect(endedAtMs).toBeGreaterThanOrEqual(startedAtMs)
    expect(hook.heard).toHaveLength(1)
  })

  test('says nothing of what it is not told to look at', async () => {
    const proxy = await startShop([(await startNamed('green')).url])
    await begin(proxy, QUICK)
    const told = await reached(proxy, 'shifting')
    for (const name of ['version', 'capacity', 'drift', 'hooks']) expect(gate(told, name)).toMatch(/^skipped: /)
  })

  test.each<[string, object, RegExp]>([
    [
      'a target with another version',
      { announces: { path: '/version', json: 'build.version' } },
      /^http:\S+ answers version "old", not "green-version"$/,
    ],
    ['a version as the whole body', { announces: { path: '/plain' } }, /answers version "old", not "green-version"$/],
    [
      'a version that is not there',
      { announces: { path: '/version', json: 'version' } },
      /^GET \/version of http:\S+: no field version in its answer$/,
    ],
    ['targets that differ', { fingerprint: { path: '/plain' } }, /^targets of green differ: http:\S+ answers "green-/],
    [
      'a pool that differs from the live one',
      { fingerprint: { path: '/schema', same: true } },
      /^green differs from the live pool: http:\S+ answers "7" at \/schema, and http:\S+ "8"$/,
    ],
  ])('ends it at once: %s', async (_what, sent, reason) => {
    const green = [(await startTelling('green-version')).url, (await startTelling('old')).url]
    const proxy = await startShop(green, {}, '8')
    await begin(proxy, { ...QUICK, ...sent })
    expect((await reached(proxy, 'rolledBack')).reason).toMatch(reason)
  })

  test('tells all that is wrong together, and whom it could not reach', async () => {
    const proxy = await startShop([(await startTelling('old')).url])
    const url = `http://127.0.0.1:${await closedPort()}/hook`
    await begin(proxy, { ...QUICK, announces: { path: '/plain' }, hooks: [{ at: 'AfterBake', url }] })
    const told = await reached(proxy, 'rolledBack')
    expect(told.reason).toMatch(
      /answers version "old", not "green-version"; hook AfterBake at http:\S+\/hook cannot be reached: ECONNREFUSED$/,
    )
    expect(gate(told, 'version')).toMatch(/^failed/)
    expect(gate(told, 'hooks')).toMatch(/^failed/)
  })

  test('waits for targets that no probe has found healthy yet, and tells so', async () => {
    let isWell = false
    const green = await startUpstream((request, response) => {
      request.resume()
      response.writeHead(isWell ? 200 : 503).end('green-version')
    })
    const proxy = await startShop([green.url], {
      health: { path: '/', interval: '100ms', healthyAfter: 1, unhealthyAfter: 1 },
      rollout: { announces: { path: '/' } },
    })
    await begin(proxy, QUICK)
    await until('it waits', async () => (await current(proxy)).next?.waitsFor.startsWith('targets: not all') === true)
    const waiting = await current(proxy)
    expect(waiting.next?.waitsFor).toBe(
      'targets: not all targets of pool green are healthy: of 1 that are ready 0 are found healthy by a probe',
    )
    // Who asks targets waits for them, too.
    expect(gate(waiting, 'version')).toBe('waiting: null')
    isWell = true
    expect(gate(await reached(proxy, 'shifting'), 'version')).toMatch(/^passed/)
  })

  test('what the live pool does now must fit into the new one', async () => {
    const blue = await startUpstream((request, response) => {
      request.resume()
      setTimeout(() => response.end('blue'), 50)
    })
    const green = await startNamed('green')
    const shop = service({ blue: [blue.url], green: [green.url] }, { sticky: false, visitor: [] })
    const proxy = await startProxy({ services: { shop } })
    const load = startLoad(proxy.port, { connections: 20, pauseMs: () => 1 })
    await until('a while', async () => load.outcomes.length > 200)
    await begin(proxy, { ...QUICK, capacity: { requestsPerTarget: 2 } })
    const told = await reached(proxy, 'rolledBack')
    expect(told.reason).toMatch(
      /^too little capacity: now [\d,.]+ requests a second take [\d.]+ ms each, so [\d.]+ are under way at once, and 1 targets of green carry 2$/,
    )
    await load.stop()
  })
})
