/** A store file that another process has locked, as a backup or a person with sqlite3 does, while a rollout goes back. */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { PACE_MS, startLoad } from '../helpers/load.ts'
import { lock } from '../helpers/lock.ts'
import { call, service, startProcess, temporaryFolder } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { begin, current, reached } from '../helpers/rollouts.ts'
import { startNamed, startUpstream } from '../helpers/upstream.ts'

test('traffic is back at once although the store file is locked by another process, and that is kept when it is free', async () => {
  let isFailing = false
  const blue = await startNamed('blue')
  const green = await startUpstream((request, response) => {
    request.resume()
    response.statusCode = isFailing ? 500 : 200
    response.end('green')
  })
  const folder = temporaryFolder()
  const shop = service({ blue: [blue.url], green: [green.url] }, { sticky: false, visitor: [] })
  const proxy = await startProcess({ store: 'sqlite:./turnout.db', services: { shop } }, folder)
  const splitOf = async () => (await call<{ spec: { split: object } }>(proxy, 'GET', '/v1/services/shop')).spec.split
  const load = startLoad(proxy.port, { connections: 16, pauseMs: () => PACE_MS })
  await begin(proxy, { steps: [{ weight: 20, for: '1h' }], bake: '1s' })
  await until('it has its weight', async () => (await current(proxy)).weight === 20)
  const before = load.outcomes.length
  await until('the live pool is known', () => load.outcomes.length > before + 1_000)
  const free = await lock(join(folder, 'turnout.db'))
  isFailing = true
  await until('it goes back', async () => (await current(proxy)).state === 'rollingBack')
  const failed = () => load.outcomes.filter(({ status }) => status !== 200).length
  const at = load.outcomes.length
  await until('requests go on', () => load.outcomes.length > at + 3_000)
  const whileLocked = failed()
  // So is what people ask, which needs no store.
  expect(await splitOf()).toEqual({ blue: 100, green: 0 })
  await free()
  await reached(proxy, 'rolledBack')
  // A handful until it is noticed, and those under way; a second of standing still was 300.
  expect(whileLocked).toBeLessThan(40)
  expect(failed()).toBe(whileLocked)
  // It is stored with the first change that is: the shift itself, or the line that says that the rollout goes back.
  const { revision } = await call<{ revision: number }>(proxy, 'GET', '/v1/services/shop')
  const { services } = await call<{ services: { shop: { split: object } } }>(proxy, 'GET', `/v1/revisions/${revision}`)
  expect(services.shop.split).toEqual({ blue: 100, green: 0 })
})
