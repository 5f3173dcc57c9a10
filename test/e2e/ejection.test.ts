/**
 * Which targets the traffic itself gets ejected, with real targets at about 200 requests a second: how many requests fail before,
 * and who is left in peace.
 */

import { expect, onTestFinished, test } from 'vitest'
import { metric, targetStatus } from '../helpers/admin.ts'
import { type Line, openLine } from '../helpers/load.ts'
import { service, startProxy, type Proxy as TestProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { startRaw, startUpstream } from '../helpers/upstream.ts'

const GOOD = 200

/** A target that answers each request with the next status that `next` gives. */
async function startTarget(next: (request: number) => number) {
  let requests = 0
  let failed = 0
  const target = await startUpstream((request, response) => {
    request.resume()
    const status = next(requests++)
    if (status >= 500) failed++
    response.writeHead(status, { 'content-length': 0 }).end()
  })
  return { url: target.url, requests: () => requests, failed: () => failed }
}

/** Sends a request every `everyMs` ms until the test or `stop` ends it, whatever becomes of them. */
function send(proxy: TestProxy, everyMs = 5): { readonly statuses: number[]; stop(): void } {
  const statuses: number[] = []
  const idle: Line[] = []
  const lines: Line[] = []
  const shoot = async () => {
    let line = idle.pop() ?? null
    if (line === null) {
      line = await openLine(proxy.port)
      if (line !== null) lines.push(line)
    }
    const answer = line === null ? null : await line.ask({ method: 'GET' })
    // Before it was sent, its connection had been closed.
    if (answer === 'unsent') return
    statuses.push(answer?.status ?? 0)
    if (line?.closed === false) idle.push(line)
  }
  const timer = setInterval(() => void shoot(), everyMs)
  const stop = () => {
    clearInterval(timer)
    for (const line of lines) line.close()
  }
  onTestFinished(stop)
  return { statuses, stop }
}

const startOver = (blue: string[], more: object = {}, workers = 2) =>
  startProxy({ workers, services: { shop: service({ blue }, { balance: 'round-robin', ...more }) } })

/** When its last ejection ends or has ended; 0 when there was none. */
const ejectedUntil = async (proxy: TestProxy, url: string): Promise<number> =>
  (await targetStatus(proxy, 'shop', url)).ejectedUntilMs

const isOut = async (proxy: TestProxy, url: string): Promise<boolean> => (await ejectedUntil(proxy, url)) > Date.now()

test('a target that fails nine of ten beside a good one is out within a few failures', async () => {
  const flaky = await startTarget((n) => (n % 10 === 3 ? GOOD : 500))
  const steady = await startTarget(() => GOOD)
  const proxy = await startOver([flaky.url, steady.url])
  const load = send(proxy)
  await until('it is out', () => isOut(proxy, flaky.url))
  // Each worker has its row of five, and some are under way meanwhile.
  expect(flaky.failed()).toBeLessThan(30)
  expect(await isOut(proxy, steady.url)).toBe(false)
  const before = flaky.requests()
  const sent = load.statuses.length
  await until('the load goes on', () => load.statuses.length > sent + 200)
  expect(flaky.requests() - before).toBeLessThan(5)
  expect(load.statuses.slice(sent + 20).every((status) => status === GOOD)).toBe(true)
})

test('a target that fails every third request, never in a row, is out within one window', async () => {
  const flaky = await startTarget((n) => (n % 3 === 1 ? 503 : GOOD))
  const steady = await startTarget(() => GOOD)
  const proxy = await startOver([flaky.url, steady.url])
  send(proxy)
  await until('it is out', () => isOut(proxy, flaky.url))
  expect(flaky.requests()).toBeLessThan(1_000)
})

test('a target that resets the connections that it had kept is out once it has no others', async () => {
  let broken = false
  const resetting = await startRaw((socket) => {
    if (broken) socket.resetAndDestroy()
    else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
  })
  const steady = await startTarget(() => GOOD)
  const proxy = await startOver([resetting.url, steady.url])
  const load = send(proxy)
  await until('both serve', () => load.statuses.length > 100)
  broken = true
  await until('it is out', () => isOut(proxy, resetting.url))
  expect(load.statuses.every((status) => status === GOOD)).toBe(true)
})

test('a target that hangs is out when its first time-outs strike', async () => {
  const hung = await startRaw(() => {})
  const steady = await startTarget(() => GOOD)
  const proxy = await startOver([hung.url, steady.url], { timeouts: { response: '1s' } })
  const load = send(proxy)
  await until('it is out', () => isOut(proxy, hung.url))
  await until('what was under way has ended', async () => (await targetStatus(proxy, 'shop', hung.url)).inFlight === 0)
  // Its last answers may still be on their way.
  const { length } = load.statuses
  await until('they have come', () => load.statuses.length > length + 100)
  const sent = load.statuses.length
  await until('the load goes on', () => load.statuses.length > sent + 200)
  expect(load.statuses.slice(sent).every((status) => status === GOOD)).toBe(true)
})

test('a target that gets little traffic is out with its fifth failure', async () => {
  const failing = await startTarget(() => 500)
  const steady = await startTarget(() => GOOD)
  const proxy = await startOver([failing.url, steady.url], {}, 1)
  send(proxy, 400)
  await until('it is out', () => isOut(proxy, failing.url))
  // One may come before the first look at the counters, and is not held against it.
  expect([5, 6]).toContain(failing.failed())
})

test('nobody is out while all targets fail together, and all serve at once when they are well again', async () => {
  let isAway = false
  const targets = await Promise.all([0, 1, 2, 3].map(() => startTarget(() => (isAway ? 503 : GOOD))))
  const urls = targets.map(({ url }) => url)
  const proxy = await startOver(urls)
  const load = send(proxy)
  await until('all serve', () => targets.every(({ requests }) => requests() > 50))
  isAway = true
  await until('all fail', () => targets.every(({ failed }) => failed() > 150))
  isAway = false
  const before = targets.map(({ requests }) => requests())
  await until('all serve', () => targets.every(({ requests }, index) => requests() > before[index] + 20))
  expect(await Promise.all(urls.map((url) => ejectedUntil(proxy, url)))).toEqual([0, 0, 0, 0])
  expect(load.statuses).toContain(503)
  // What they failed together is held against none of them afterwards.
  expect(await metric(proxy, 'turnout_attempts_total', 'outcome="failed"')).toBeGreaterThan(600)
})

test('a target that is well again when its time is over serves and stays', async () => {
  let isBroken = true
  const healed = await startTarget(() => (isBroken ? 500 : GOOD))
  const steady = await startTarget(() => GOOD)
  const proxy = await startOver([healed.url, steady.url])
  const load = send(proxy)
  await until('it is out', () => isOut(proxy, healed.url))
  isBroken = false
  const untilMs = await ejectedUntil(proxy, healed.url)
  const before = healed.requests()
  await until('it serves again', () => healed.requests() > before + 200)
  expect(Math.abs((await ejectedUntil(proxy, healed.url)) - untilMs)).toBeLessThan(1_000)
  load.stop()
}, 40_000)
