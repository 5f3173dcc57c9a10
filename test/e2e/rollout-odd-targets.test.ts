/** Gates and targets that are not as anybody would expect: none ready any more, endless answers, addresses of IPv6. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { call, service, startProxy, type Proxy as TestProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { begin, current, ROLLOUTS, reached } from '../helpers/rollouts.ts'
import { startNamed, startUpstream } from '../helpers/upstream.ts'

const QUICK = { steps: [{ weight: 20, until: 'promoted' }], bake: '300ms' }

async function startShop(green: string): Promise<TestProxy> {
  const blue = await startNamed('blue')
  return startProxy({ services: { shop: service({ blue: [blue.url], green: [green] }, { sticky: false }) } })
}

/** Whoever listens on the loopback of IPv6; null where there is none. */
async function startOnIpv6(): Promise<{ url: string; heard: () => number } | null> {
  let heard = 0
  const server = createServer((request, response) => {
    heard++
    request.resume()
    response.end()
  })
  onTestFinished(() => void server.close())
  const isThere = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(0, '::1', () => resolve(true))
  })
  return isThere ? { url: `http://[::1]:${(server.address() as AddressInfo).port}/hook`, heard: () => heard } : null
}

test.each([
  ['a warm-up', { warmup: { requests: [{ path: '/' }], rate: 100, for: '50ms' } }],
  ['a smoke test', { smoke: [{ path: '/' }] }],
])('%s of a pool whose last target was taken out meanwhile says so, and is no pass', async (_what, gates) => {
  const green = await startNamed('green')
  const proxy = await startShop(green.url)
  let isAnswered = false
  const hook = await startUpstream((request, response) => {
    request.resume()
    const answer = setInterval(() => {
      if (!isAnswered) return
      clearInterval(answer)
      response.end()
    }, 10)
  })
  await begin(proxy, { ...QUICK, ...gates, hooks: [{ at: 'AfterInstall', url: hook.url }] })
  await until('the checks are through', async () => (await current(proxy)).gates.at(-1)?.gate === 'AfterInstall')
  const target = encodeURIComponent(green.url)
  await call(proxy, 'PUT', `/v1/services/shop/pools/green/targets/${target}/state?force=true`, { state: 'maint' })
  isAnswered = true
  expect((await reached(proxy, 'rolledBack', 'shifting')).reason).toBe('pool green has no target that is ready')
})

test('an answer of a megabyte that is not what a smoke test wants is told by its beginning', async () => {
  const green = await startUpstream((request, response) => {
    request.resume()
    response.end(JSON.stringify({ ok: 'x'.repeat(1_000_000) }))
  })
  const proxy = await startShop(green.url)
  await begin(proxy, { ...QUICK, smoke: [{ path: '/', json: { ok: true } }] })
  const { reason, gates } = await reached(proxy, 'rolledBack')
  expect(reason).toMatch(/^smoke test of \/ at http:\S+: ok is "x{78}…, not true$/)
  expect(gates.at(-1)?.reason).toBe(reason)
})

test('an abort while a hook is asked begins no check after it', async () => {
  const answers: (() => void)[] = []
  const hook = await startUpstream((request, response) => {
    request.resume()
    answers.push(() => response.end())
  })
  const proxy = await startShop((await startNamed('green')).url)
  const hooks = ['BeforeInstall', 'OnRollback'].map((at) => ({ at, url: hook.url }))
  await begin(proxy, { ...QUICK, hooks })
  await until('the hook is asked', async () => (await current(proxy)).gates.at(-1)?.gate === 'BeforeInstall')
  await call(proxy, 'POST', `${ROLLOUTS}/current/abort`)
  await until('the other is asked', () => answers.length === 2)
  answers[0]()
  await until('the first is through', async () => (await current(proxy)).gates[0].state === 'passed')
  answers[1]()
  await reached(proxy, 'rolledBack')
  expect((await current(proxy)).gates.map(({ gate }) => gate)).toEqual(['BeforeInstall', 'OnRollback'])
})

test('a path that begins with two slashes names no other host', async () => {
  const asked: string[] = []
  const green = await startUpstream((request, response) => {
    asked.push(request.url ?? '')
    request.resume()
    response.end('1')
  })
  const proxy = await startShop(green.url)
  const path = '//other.invalid/x?y'
  const gates = { announces: { path }, warmup: { requests: [{ path }], rate: 100, for: '10ms' }, smoke: [{ path }] }
  await begin(proxy, { ...QUICK, ...gates, version: '1' })
  expect((await reached(proxy, 'shifting', 'rolledBack')).state).toBe('shifting')
  expect(asked.length).toBeGreaterThanOrEqual(3)
  expect(new Set(asked)).toEqual(new Set([path]))
})

test('a hook on an address of IPv6 is reached', async () => {
  const hook = await startOnIpv6()
  if (hook === null) return
  const proxy = await startShop((await startNamed('green')).url)
  await begin(proxy, { ...QUICK, hooks: [{ at: 'BeforeAllowTraffic', url: hook.url }] })
  expect((await reached(proxy, 'rolledBack', 'shifting')).reason).toBeNull()
  expect(hook.heard()).toBe(1)
  await call(proxy, 'POST', `${ROLLOUTS}/current/abort`)
})

test('a warm-up of many requests at once measures the target, not who waits for a connection', async () => {
  const [delayMs, rate] = [300, 300]
  let [open, most] = [0, 0]
  const green = await startUpstream((request, response) => {
    most = Math.max(most, ++open)
    request.resume()
    setTimeout(() => {
      open--
      response.end('1')
    }, delayMs)
  })
  const proxy = await startShop(green.url)
  await begin(proxy, { ...QUICK, warmup: { requests: [{ path: '/' }], rate, for: '1s', success: 1 } })
  expect((await reached(proxy, 'shifting', 'rolledBack')).state).toBe('shifting')
  expect(most).toBeGreaterThan(32)
})

test('a warm-up that nobody answers says nothing of times', async () => {
  const green = await startUpstream((request) => void request.socket.destroy())
  const proxy = await startShop(green.url)
  await begin(proxy, { ...QUICK, warmup: { requests: [{ path: '/' }], rate: 100, for: '30ms' } })
  const { gates } = await reached(proxy, 'shifting', 'rolledBack')
  expect(gates.find(({ gate }) => gate === 'warm-up')?.reason).toBe('0 of 3 requests were answered well')
})
