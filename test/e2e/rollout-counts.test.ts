/** What of a service's traffic counts for the verdict on its rollout, and for the harm that it has done. */
import type { RequestListener, ServerResponse } from 'node:http'
import { expect, test } from 'vitest'
import { ask } from '../helpers/ask.ts'
import { PACE_MS, startLoad } from '../helpers/load.ts'
import { call, service, startProxy, type Proxy as TestProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { current, ROLLOUTS } from '../helpers/rollouts.ts'
import { startNamed, startUpstream } from '../helpers/upstream.ts'

/** A shop whose new version answers so, at the first step of a rollout that stays there. */
async function startTried(green: RequestListener, verdict: object = {}, more: object = {}): Promise<TestProxy> {
  const pools = { blue: [(await startNamed('blue')).url], green: [(await startUpstream(green)).url] }
  const shop = service(pools, { sticky: false, visitor: [], ...more })
  const proxy = await startProxy({ services: { shop } })
  const steps = [{ weight: 10, until: 'promoted', for: '1h' }]
  await call(proxy, 'POST', ROLLOUTS, { to: 'green', strategy: 'canary', steps, verdict })
  await until('it is tried', async () => (await current(proxy)).weight === 10)
  return proxy
}

test('a version that hangs is slow from the moment on at which the live one would have answered', async () => {
  const hanging: ServerResponse[] = []
  let hangs = false
  const proxy = await startTried((_, response) => {
    if (hangs) hanging.push(response)
    else response.end('green')
  })
  const load = startLoad(proxy.port, { connections: 200, pauseMs: () => 100 })
  // The first answers of a new target are not timed.
  await until('it is timed', async () => (await current(proxy)).verdict!.canary.requests > 60)
  hangs = true
  await until('it is back', async () => (await current(proxy)).state === 'rolledBack')
  const { verdict, reason, harm } = await current(proxy)
  expect(verdict!.metric).toMatch(/^slow/)
  expect(reason).toMatch(/answers of green were slow/)
  // Long before the first time-out nobody was given a failure.
  expect(harm.failed).toBe(0)
  hangs = false
  for (const response of hanging) response.end('late')
  expect((await load.stop()).every(({ status }) => status === 200)).toBe(true)
})

test('harm counts every failure that reached a client, whoever has sent it there, but not what is seen on a preview host', async () => {
  const rules = [{ name: 'staff', when: { header: { 'x-staff': '1' } }, to: 'green' }]
  const proxy = await startTried(
    (_, response) => response.writeHead(500).end(),
    { harm: 1_000 },
    { rules, preview: '{pool}.test' },
  )
  for (let n = 0; n < 3; n++) expect((await ask(proxy.port, { headers: { host: 'green.test' } })).status).toBe(500)
  for (let n = 0; n < 7; n++)
    expect((await fetch(`http://127.0.0.1:${proxy.port}/`, { headers: { 'x-staff': '1' } })).status).toBe(500)
  await until('it is counted', async () => (await current(proxy)).harm.failed === 7)
  // What a rule has sent says nothing of the version as chance would.
  expect((await current(proxy)).verdict!.canary.requests).toBe(0)
})

test('which statuses are failures can be said', async () => {
  const proxy = await startTried((_, response) => response.writeHead(404).end(), { failing: '404,500-599' })
  const load = startLoad(proxy.port, { connections: 16, pauseMs: () => PACE_MS })
  await until('it is back', async () => (await current(proxy)).state === 'rolledBack')
  expect((await current(proxy)).reason).toMatch(/answers of green failed, 0 of/)
  await load.stop()
})

test('a step that only rules lead to ends by its requests too', async () => {
  const green = await startNamed('green')
  const rules = [{ name: 'staff', when: { header: { 'x-staff': '1' } }, to: 'green' }]
  const shop = service({ blue: [(await startNamed('blue')).url], green: [green.url] }, { rules })
  const proxy = await startProxy({ services: { shop } })
  const ask = () => fetch(`http://127.0.0.1:${proxy.port}/`, { headers: { 'x-staff': '1' } })
  const steps = [
    { weight: 0, requests: 5 },
    { weight: 10, until: 'promoted', for: '1h' },
  ]
  await call(proxy, 'POST', ROLLOUTS, { to: 'green', strategy: 'canary', steps })
  await until('it waits', async () => (await current(proxy)).next!.waitsFor === 'its requests, 0 of 5')
  for (let n = 0; n < 4; n++) expect(await (await ask()).text()).toBe('green')
  await until('they are counted', async () => (await current(proxy)).next!.waitsFor === 'its requests, 4 of 5')
  expect(await current(proxy)).toMatchObject({ step: 0, weight: 0, next: { weight: 10 } })
  await ask()
  await until('it goes on', async () => (await current(proxy)).weight === 10)
})

test('a version whose targets are all out for 5 s goes back, also before it has any weight', async () => {
  const green = await startNamed('green')
  const shop = service(
    { blue: [(await startNamed('blue')).url], green: [green.url] },
    { health: { path: '/', interval: '200ms', timeout: '200ms', healthyAfter: 1, unhealthyAfter: 1 } },
  )
  const proxy = await startProxy({ services: { shop } })
  await call(proxy, 'POST', ROLLOUTS, { to: 'green', steps: [{ weight: 0, until: 'promoted' }, 50] })
  await until('it waits for somebody', async () => (await current(proxy)).state === 'paused')
  await green.close()
  await until('it is back', async () => (await current(proxy)).state === 'rolledBack')
  expect((await current(proxy)).reason).toMatch(/^all targets of green were out for 5 s: 0 of 0 answers/)
})

test('whoever asks for ten things in turn does not always send the same one of them to a version with a tenth', async () => {
  const seen = new Set<string>()
  let count = 0
  const proxy = await startTried((request, response) => {
    count++
    seen.add(request.url!)
    response.end('green')
  })
  for (let n = 0; n < 300; n++) await (await fetch(`http://127.0.0.1:${proxy.port}/${n % 10}`)).text()
  expect(seen.size).toBeGreaterThan(5)
  expect(count).toBeGreaterThanOrEqual(29)
  expect(count).toBeLessThanOrEqual(31)
})

test('a version that hangs from its first request on is slow, too, long before any time-out', async () => {
  const hanging: ServerResponse[] = []
  let hangs = true
  const proxy = await startTried((_, response) => {
    if (hangs) hanging.push(response)
    else response.end('late')
  })
  const load = startLoad(proxy.port, { connections: 200, pauseMs: () => 100 })
  await until('it is back', async () => (await current(proxy)).state === 'rolledBack')
  const { verdict, harm } = await current(proxy)
  expect(verdict!.metric).toMatch(/^slow/)
  expect(harm.failed).toBe(0)
  // One that was sent before may come only now.
  hangs = false
  for (const response of hanging) response.end('late')
  expect((await load.stop()).every(({ status }) => status === 200)).toBe(true)
})

test('what an earlier rollout has sent and is answered in the next one counts for neither', async () => {
  const held: ServerResponse[] = []
  let isHeld = true
  const answer = (response: ServerResponse) => (isHeld ? void held.push(response) : response.end('green'))
  const proxy = await startTried((_, response) => void answer(response), { harm: 1_000 })
  let answered = 0
  const ask = async () => {
    const { status } = await fetch(proxy.url)
    answered++
    return status
  }
  const asked = Array.from({ length: 60 }, ask)
  // One that comes only later is of the next rollout.
  await until('all have come', () => held.length + answered === 60)
  expect(held.length).toBeGreaterThanOrEqual(4)
  const { id } = await current(proxy)
  await call(proxy, 'POST', `${ROLLOUTS}/${id}/abort`, {})
  const steps = [{ weight: 10, until: 'promoted', for: '1h' }]
  await call(proxy, 'POST', ROLLOUTS, { to: 'green', strategy: 'canary', steps })
  await until('the next is at its step', async () => (await current(proxy)).weight === 10)
  for (const response of held) response.writeHead(500).end()
  expect((await Promise.all(asked)).filter((status) => status === 500).length).toBe(held.length)
  isHeld = false
  await Promise.all(Array.from({ length: 30 }, () => fetch(proxy.url).then((answered) => answered.text())))
  const seen = async () => (await current(proxy)).verdict!
  // What came before these is counted by then, too.
  await until('these are counted', async () => {
    const { canary, control } = await seen()
    return canary.requests + control.requests >= 30
  })
  const { canary, control } = await seen()
  expect([canary.requests + control.requests, canary.failed]).toEqual([30, 0])
  expect((await current(proxy)).harm.failed).toBe(0)
})
