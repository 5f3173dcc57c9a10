/** `switch` as clients notice it: by no failed request, and by the new pool from the moment that the call is answered. */
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { runChild } from '../../bench/process.ts'
import type { SwitchOutcome } from '../../bench/switch-load.ts'
import { startTargets } from '../../bench/targets.ts'
import { ask, head, oneConnection, pipeline, tally } from '../helpers/ask.ts'
import { bulk } from '../helpers/bulk.ts'
import { call, service, startProxy } from '../helpers/proxy.ts'
import { rawRequest, until } from '../helpers/raw.ts'
import { startNamed, startUpstream } from '../helpers/upstream.ts'

const LOAD = fileURLToPath(new URL('../../bench/switch-load.ts', import.meta.url))
const SWITCHES = bulk(15, 100)
/** Of them under uploads. */
const SWITCHED = bulk(8, 20)

test(`${SWITCHES} switches under load on 64 connections fail no request, and none sent after the answer reaches the old pool`, async () => {
  const targets = await startTargets(null)
  onTestFinished(() => targets.stop())
  const pools = { blue: [`http://127.0.0.1:${targets.blue}`], green: [`http://127.0.0.1:${targets.green}`] }
  const proxy = await startProxy({ workers: 2, services: { shop: service(pools) } })
  const ports = [proxy.port, new URL(proxy.admin).port, SWITCHES].map(String)
  const outcome: SwitchOutcome = JSON.parse(await runChild([process.execPath, LOAD, ...ports], { core: null }))
  expect(outcome).toMatchObject({ switches: SWITCHES, failed: 0, late: 0, reasons: [] })
  expect(outcome.requests).toBeGreaterThan(SWITCHES * 256)
  expect(outcome.judged).toBeGreaterThan(SWITCHES * 64)
}, 120_000)

test('a request in flight at a switch finishes where it began, and what comes behind it on the connection goes on to the new pool', async () => {
  let release = () => {}
  let held = 0
  const blue = await startUpstream((_request, response) => {
    held++
    release = () => response.end('blue')
  })
  const green = await startNamed('green')
  const proxy = await startProxy({ workers: 2, services: { shop: service({ blue: [blue.url], green: [green.url] }) } })
  const last = 'GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n'
  const answer = rawRequest(proxy.port, head('/') + head('/') + last, { limitMs: 20_000 })
  await until('the first request is at blue', () => held === 1)
  await call(proxy, 'POST', '/v1/services/shop/switch', { to: 'green' })
  release()
  const { text, end } = await answer
  expect(text.match(/\r\n\r\n(blue|green)/g)?.map((body) => body.trim())).toEqual(['blue', 'green', 'green'])
  expect(end).toBe('closed')
  expect(held).toBe(1)
})

test('uploads under way at a switch arrive whole at one pool', async () => {
  const echo = () =>
    startUpstream((request, response) => {
      response.writeHead(200)
      request.pipe(response)
    })
  const [blue, green] = [await echo(), await echo()]
  const proxy = await startProxy({ workers: 2, services: { shop: service({ blue: [blue.url], green: [green.url] }) } })
  let over = false
  const body = Buffer.alloc(300_000, 'abcdefghijklmnop')
  let uploads = 0
  const load = Array.from({ length: 8 }, async () => {
    const agent = oneConnection()
    while (!over) {
      const answer = await ask(proxy.port, { method: 'POST', body, agent })
      expect(answer.status).toBe(200)
      expect(answer.body === body.toString('latin1')).toBe(true)
      uploads++
    }
  })
  for (let i = 0; i < SWITCHED; i++) {
    const before = uploads
    await call(proxy, 'POST', '/v1/services/shop/switch', { to: i % 2 === 0 ? 'green' : 'blue' })
    await until('more uploads have ended', () => uploads > before)
  }
  over = true
  await Promise.all(load)
  expect(uploads).toBeGreaterThan(SWITCHED)
})

test('a switch of two services in one call moves both', async () => {
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const pools = { blue: [blue.url], green: [green.url] }
  const services = {
    shop: service(pools, { routes: [{ host: 'shop.test' }] }),
    api: service(pools, { routes: [{ host: 'api.test' }] }),
  }
  const proxy = await startProxy({ workers: 2, services })
  const both = ['shop.test', 'api.test'].flatMap((host) => Array.from({ length: 10 }, () => head('/', { host })))
  expect(tally(await pipeline(proxy.port, both))).toEqual({ blue: 20 })
  await call(proxy, 'POST', '/v1/switch', { to: { shop: 'green', api: 'green' } })
  expect(tally(await pipeline(proxy.port, both))).toEqual({ green: 20 })
})

test('switching to the pool that has everything moves no weight, and to one without a healthy target is refused', async () => {
  const blue = await startNamed('blue')
  const proxy = await startProxy({
    workers: 2,
    services: { shop: service({ blue: [blue.url], green: [] }) },
  })
  const again = await call(proxy, 'POST', '/v1/services/shop/switch', { to: 'blue' })
  // It ends the pins to other pools, so it is a release of its own.
  expect(again).toMatchObject({ changed: true, split: { blue: 100, green: 0 } })
  await expect(call(proxy, 'POST', '/v1/services/shop/switch', { to: 'green' })).rejects.toThrow('409')
  await expect(call(proxy, 'POST', '/v1/services/shop/switch', { to: 'red' })).rejects.toThrow('404')
  expect((await ask(proxy.port)).body).toBe('blue')
})
