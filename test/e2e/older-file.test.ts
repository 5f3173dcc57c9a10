/** Instances on one real Redis whose config files differ: what an old copy says takes nothing back at a start, and what is new is applied. */

import { expect, onTestFinished, test } from 'vitest'
import { stringify } from 'yaml'
import { EARLIER } from '../../src/control/config-file.ts'
import { askAdmin, call, service, startProxy, type Proxy as TestProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { REDIS, startRedis } from '../helpers/redis.ts'

type Services = Record<string, Record<string, unknown>>

const POOLS = { blue: ['http://127.0.0.1:1'], green: ['http://127.0.0.1:2'] }
const shop = (more: Record<string, unknown> = {}) => service(POOLS, more)
const other = (host: string) => service(POOLS, { routes: [{ host }] })
const after = (response: string) => ({ timeouts: { response } })

async function told(proxy: TestProxy, name = 'shop') {
  const { spec, revision } = await call<{
    spec: { timeouts?: { response?: string }; split: Record<string, number> }
    revision: number
  }>(proxy, 'GET', `/v1/services/${name}`)
  return { response: spec.timeouts?.response, split: spec.split, revision }
}

const names = async (proxy: TestProxy) => {
  const { services } = await call<{ services: { service: string }[] }>(proxy, 'GET', '/v1/status')
  return services.map((its) => its.service).sort()
}

const isTold = async (proxy: TestProxy) =>
  (await askAdmin(proxy, 'GET', '/v1/events?follow=false')).text.includes(EARLIER)

test.skipIf(REDIS === null)('an instance that starts with an older file takes back nothing, and says so', async () => {
  const redis = await startRedis()
  onTestFinished(() => redis.end())
  const start = (services: Services) => startProxy({ store: redis.url, services })
  const [v1, v2] = [{ shop: shop(after('11s')) }, { shop: shop(after('22s')), added: other('added.test') }]
  const one = await start(v1)
  const two = await start(v2)
  await until('it has what is new', async () => (await told(one)).response === '22s')
  const { revision } = await told(two)

  // An old copy, however its keys stand, of one that there was before or not.
  const again = await start({ shop: Object.fromEntries(Object.entries(v1.shop).reverse()) })
  expect([await told(again), await names(again)]).toEqual([await told(two), ['added', 'shop']])
  expect([(await told(two)).revision, await isTold(again), await isTold(two)]).toEqual([revision, true, false])

  // One that was never seen is applied, also by a third; then both others are old.
  const three = await start({ shop: shop({ ...after('22s'), rules: [] }), third: other('third.test') })
  expect(await names(three)).toEqual(['added', 'shop', 'third'])
  for (const old of [v1, v2]) {
    const proxy = await start(old)
    expect(await isTold(proxy)).toBe(true)
    await proxy.close()
  }

  // Whoever applies an old one means it, and from then on it is the last.
  const yaml = stringify({ services: v1 })
  const response = await fetch(`${again.admin}/v1/apply?prune=true&force=true`, {
    method: 'POST',
    headers: { 'content-type': 'application/yaml' },
    body: yaml,
  })
  expect([response.status, (await told(three)).response]).toEqual([200, '11s'])
  expect(await isTold(await start(v1))).toBe(false)
  const late = await start(v2)
  expect([(await told(late)).response, await isTold(late)]).toEqual(['11s', true])

  // What Redis has lost, those that run write again, with the names of the files.
  await redis.ask('FLUSHALL')
  await until('it is written again', async () => /\n[1-9]/.test(await redis.ask('HGET', '{turnout}:doc', 'revision')))
  const flushed = await start(v2)
  expect([(await told(flushed)).response, await isTold(flushed)]).toEqual(['11s', true])
})

test.skipIf(REDIS === null)(
  'two instances that start with different old files take nothing back, one after the other and at once',
  async () => {
    const redis = await startRedis()
    onTestFinished(() => redis.end())
    const start = (services: Services) => startProxy({ store: redis.url, services })
    const files = ['11s', '12s', '13s'].map((response) => ({ shop: shop(after(response)) }))
    for (const file of files) await start(file)
    const both = await Promise.all([start(files[0]), start(files[1])])
    for (const proxy of both) expect([(await told(proxy)).response, await isTold(proxy)]).toEqual(['13s', true])
    const last = await start(files[2])
    expect([(await told(last)).response, await isTold(last)]).toEqual(['13s', false])
  },
)

test.skipIf(REDIS === null)(
  'a new instance whose file says something else of a service that people have changed applies that, and keeps the rest',
  async () => {
    const redis = await startRedis()
    onTestFinished(() => redis.end())
    const start = (services: Services) => startProxy({ store: redis.url, services })
    const one = await start({ shop: shop(after('11s')) })
    await call(one, 'PUT', '/v1/services/shop/split?force=true', { weights: { blue: 70, green: 30 } })
    const two = await start({ shop: shop(after('22s')) })
    const want = { response: '22s', split: { blue: 70, green: 30 } }
    await until('both have it', async () => (await told(one)).response === '22s')
    expect([await told(one), await told(two)]).toMatchObject([want, want])
    // The place that people have changed itself: the file has changed there since, so it says what is.
    const three = await start({ shop: shop({ ...after('22s'), split: { blue: 0, green: 100 } }) })
    expect((await told(three)).split).toEqual({ blue: 0, green: 100 })
    const old = await start({ shop: shop(after('22s')) })
    expect([(await told(old)).split, await isTold(old)]).toEqual([{ blue: 0, green: 100 }, true])
  },
)

test.skipIf(REDIS === null)(
  'a file that changes nothing is what the next one is compared with, whichever instance applies that',
  async () => {
    const redis = await startRedis()
    onTestFinished(() => redis.end())
    const [blue, green] = [{ shop: shop({ live: 'blue' }) }, { shop: shop({ live: 'green' }) }]
    const one = await startProxy({ store: redis.url, services: blue })
    const two = await startProxy({ store: redis.url, services: blue })
    const apply = async (proxy: TestProxy, services: Services) => {
      const headers = { 'content-type': 'application/yaml' }
      const body = stringify({ services })
      const response = await fetch(`${proxy.admin}/v1/apply`, { method: 'POST', headers, body })
      return ((await response.json()) as { changed: boolean }).changed
    }
    await call(one, 'POST', '/v1/services/shop/switch?force=true', { to: 'green', wait: '0s' })
    // It says what runs by now; and then somebody takes it back where another instance answers.
    expect(await apply(one, green)).toBe(false)
    expect(await apply(two, blue)).toBe(true)
    for (const proxy of [one, two]) expect((await told(proxy)).split).toEqual({ blue: 100, green: 0 })
    // As often as it is applied again, it is written once.
    const { revision } = await told(one)
    expect([await apply(one, blue), await apply(two, blue)]).toEqual([false, false])
    expect((await call<{ revision: number }>(one, 'GET', '/v1/status')).revision).toBe(revision)
  },
)
