/**
 * Somebody sets the clock of the machine, a day forward or back, while Turnout works: what is told to people follows, and
 * nothing else. Deadlines, drains, ejections and probes go by a clock that nobody can set.
 */
import type { ServerResponse } from 'node:http'
import { expect, test } from 'vitest'
import { metric, metricIs, targetStatus } from '../helpers/admin.ts'
import { ask, BROWSER, cookieOf } from '../helpers/ask.ts'
import { call, type ProxyProcess, service, startProcess, temporaryFolder } from '../helpers/proxy.ts'
import { drivenUntil, until } from '../helpers/raw.ts'
import { settableClock } from '../helpers/settable-clock.ts'
import { startNamed, startUpstream } from '../helpers/upstream.ts'

const DAY_MS = 86_400_000
const LONG_MS = 40_000

/** A proxy with a service for each thing that a jump might break. */
async function start() {
  const held: ServerResponse[] = []
  let probes = 0
  const holding = await startUpstream((request, response) => {
    if (request.url === '/health') response.end(String(++probes))
    else held.push(response)
  })
  const broken = await startUpstream((_, response) => response.writeHead(500).end('broken'))
  const [blue, green, well] = [await startNamed('blue'), await startNamed('green'), await startNamed('well')]
  const on = (host: string, more: object = {}) => ({ routes: [{ host, path: '/' }], ...more })
  const halves = { split: { blue: 50, green: 50 }, drain: { timeout: '4s' } }
  const probed = { health: { path: '/health', interval: '100ms' } }
  const services = {
    held: service({ blue: [holding.url] }, on('held', { ...probed, timeouts: { response: '5s' } })),
    drained: service({ blue: [blue.url], green: [green.url] }, on('drained', halves)),
    ejected: service({ blue: [broken.url, well.url] }, on('ejected')),
  }
  const folder = temporaryFolder()
  const { nodeOptions, env, set } = settableClock(folder)
  const proxy = await startProcess({ workers: 2, services }, folder, nodeOptions, env)
  return { proxy, set, held, broken, probes: () => probes }
}

const onHost = (host: string, headers: object = {}) => ({ headers: { ...headers, host } })

async function visitorOfGreen({ port }: ProxyProcess): Promise<string> {
  for (;;) {
    const answer = await ask(port, onHost('drained', BROWSER))
    if (answer.body === 'green') return cookieOf(answer)!
  }
}

const isDrained = async (proxy: ProxyProcess): Promise<boolean> => {
  const { events } = await call<{ events: { message: string }[] }>(proxy, 'GET', '/v1/events?follow=false')
  return events.some(({ message }) => message.includes('has finished draining'))
}

/** Jumps while there is something of each kind under way, and looks at what becomes of it. */
async function jumps(jumpMs: number): Promise<void> {
  const { proxy, set, held, broken, probes } = await start()
  const isEjected = async (nowMs: number) =>
    (await targetStatus(proxy, 'ejected', broken.url)).ejectedUntilMs > nowMs + 100
  await drivenUntil('the broken one is ejected', async () => {
    await ask(proxy.port, onHost('ejected'))
    return isEjected(Date.now())
  })
  const cookie = await visitorOfGreen(proxy)
  const asGreen = async () => (await ask(proxy.port, onHost('drained', { ...BROWSER, cookie }))).body
  const statusOf = () => ask(proxy.port, onHost('held')).then(({ status }) => status, String)
  const underWay = Promise.all([statusOf(), statusOf()])
  await until('both are under way', () => held.length === 2)
  await call(proxy, 'PUT', '/v1/services/drained/pools/green/state', { state: 'drain' })
  const drainedBy = performance.now() + 4_000

  set(jumpMs)
  const probesAtJump = probes()
  await until('probes go on', () => probes() > probesAtJump + 5)
  // The drain and the ejection are where they were, and told by the clock of now.
  expect(await isDrained(proxy)).toBe(performance.now() > drainedBy)
  const answer = await asGreen()
  if (performance.now() < drainedBy) expect(answer).toBe('green')
  expect(await isEjected(Date.now() + jumpMs)).toBe(true)
  expect(await isEjected(Date.now() + jumpMs + 60_000)).toBe(false)
  await metricIs(1, proxy, 'turnout_target_state', 'state="ejected"')

  // One request under way is answered, the other has its time-out, neither sooner nor later for the jump.
  held[0].end('at last')
  expect((await underWay).sort()).toEqual([200, 504])
  await until('the drain has ended', () => isDrained(proxy))
  expect(await asGreen()).toBe('blue')
  await until('the ejection has ended', async () => !(await isEjected(Date.now() + jumpMs)), LONG_MS)
  await until('it is asked again', async () => (await ask(proxy.port, onHost('ejected'))).body === 'broken', LONG_MS)
  expect(await metric(proxy, 'turnout_worker_restarts_total')).toBe(0)

  const lines = () => proxy.stdout().split('\n').slice(0, -1)
  const entries = () => lines().map((line) => JSON.parse(line) as { time: string; host: string; durationMs: number })
  await until('the last line is there', () => entries().at(-1)?.host === 'ejected')
  for (const { durationMs } of entries()) expect(durationMs >= 0 && durationMs < 60_000).toBe(true)
  const lastMs = Date.parse(entries().at(-1)!.time)
  expect(Math.abs(lastMs - (Date.now() + jumpMs))).toBeLessThan(60_000)
  const { headers } = await ask(proxy.port, onHost('nobody', { accept: 'text/plain' }))
  expect(headers.date === undefined || Math.abs(Date.parse(headers.date) - (Date.now() + jumpMs)) < 60_000).toBe(true)
}

test('when the clock jumps a day forward or back, only what is told to people follows', {
  timeout: 90_000,
}, async () => {
  // Each waits for the end of an ejection, so both at the same time.
  await Promise.all([jumps(DAY_MS), jumps(-DAY_MS)])
})
