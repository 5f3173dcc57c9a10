/** Config files that are applied while others are: one after the other, and each is told what has come of its own. */
import { expect, test } from 'vitest'
import type { FileResult } from '../../src/change.ts'
import type { ServiceSpec, Services } from '../../src/config/schema.ts'
import { createFile } from '../../src/control/config-file.ts'
import { fragileStore, gate, shop, split, startControl } from './stand-in.ts'

const FIRST: Services = { shop: shop(), other: shop({}, 'other.test') }
/** Two people have changed the first file, each another place of it. */
const ONE: Services = { ...FIRST, shop: shop({ balance: 'random' }) }
const TWO: Services = { ...FIRST, other: shop({ balance: 'random', debugHeaders: true }, 'other.test') }
const THREE: Services = { ...TWO, third: shop({}, 'third.test') }

async function start() {
  const { store, inner, fault } = fragileStore()
  const { control, make } = await startControl({ store })
  const file = createFile(control, false)
  await file.start(FIRST)
  const apply = (services: Services) => file.applyText(JSON.stringify({ services }), {}, { actor: 'test' })
  const steps: (() => Promise<unknown>)[] = [
    () => apply(ONE),
    () => make(split(60, 40)),
    () => apply(TWO),
    () => file.reload(THREE),
  ]
  return { control, inner, fault, steps }
}

test('files that are applied at once, by hand and by a signal, beside a change of the API, end as one after the other, and each is told its own', async () => {
  const inOrder = await start()
  const expected: unknown[] = []
  for (const step of inOrder.steps) expected.push(await step())

  const atOnce = await start()
  const { promise, open } = gate()
  atOnce.fault.gate = promise
  const all = atOnce.steps.map((step) => step())
  open()
  const results = await Promise.all(all)
  expect(results).toEqual(expected)
  expect(atOnce.control.snapshot()).toEqual(inOrder.control.snapshot())
  expect(await atOnce.inner.revisions(100)).toEqual(await inOrder.inner.revisions(100))

  const [one, , two, three] = results as FileResult[]
  const places = ({ changes, kept }: FileResult) => [changes, kept].map((all) => all.map(({ pointer }) => pointer))
  expect(places(one)).toEqual([['/services/shop/balance'], []])
  // The second file does not have what the first has brought; what was changed by the API is nothing that a file has said.
  const other = ['/services/other/balance', '/services/other/debugHeaders']
  expect(places(two)).toEqual([[...other, '/services/shop/balance'], ['/services/shop/split']])
  expect(places(three)).toEqual([['/services/third'], ['/services/shop/split']])
  expect(atOnce.control.snapshot().services).toEqual({
    ...THREE,
    shop: shop({ split: { blue: 60, green: 40 } }),
  })
  expect([one.revision, two.revision, three.revision]).toEqual([2, 4, 5])
})

test('of files that are applied at once one that is refused takes nothing of the others along', async () => {
  const { control, steps } = await start()
  const [apply] = steps
  const file = createFile(control, false)
  const refused = file.applyText(JSON.stringify({ services: { shop: FIRST['shop'] } }), {}, { actor: 'test' })
  const results = await Promise.allSettled([refused, apply(), file.reload(TWO)])
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled'])
  expect(control.snapshot().services).toEqual(TWO)
})

test('the file of a start that is applied late is none any more once another was applied; until then that the store is away is no event', async () => {
  const { store, fault } = fragileStore()
  const { control } = await startControl({ store })
  const file = createFile(control, false)
  await file.start(FIRST)
  const told: string[] = []
  control.subscribe(({ type, message }) => type === 'file' && told.push(message))
  fault.failing = new Error('away')
  await expect(file.startLate(ONE)).rejects.toMatchObject({ code: 'store_unavailable' })
  expect(told).toEqual([])
  await expect(file.reload(TWO)).rejects.toMatchObject({ code: 'store_unavailable' })
  expect(told).toEqual([expect.stringContaining('the config file was not applied')])
  fault.failing = null
  await file.startLate(ONE)
  expect(control.snapshot().services).toEqual(ONE)
  await file.reload(TWO)
  await file.startLate(ONE)
  expect(control.snapshot().services).toEqual(TWO)
})

test('a dry run tells each place, and what would refuse the file for a rollout that runs or for the standby of one that is done', async () => {
  const { control, make } = await startControl()
  const file = createFile(control, false)
  await file.start(FIRST)
  const dry = async (services: Services, force = false) => {
    const options = { actor: 'test', dryRun: true, force }
    const told = await file.applyText(JSON.stringify({ services }), {}, options)
    return [told.changes.map(({ pointer }) => pointer), told.dryRun?.refused ?? null]
  }
  const shift = { kind: 'shift', service: 'shop', rollout: 'r-1', before: { blue: 100, green: 0 } } as const
  const trial = { pool: 'green', step: 1, rollout: 'r-1' } as never
  await make({ ...shift, weights: { blue: 90, green: 10 }, trial })
  const running = 'A rollout of shop is running. Abort it first, or wait for its end.'
  const moved = { ...FIRST, shop: shop({ split: { blue: 50, green: 50 } }) }
  for (const force of [false, true]) expect(await dry(moved, force)).toEqual([['/services/shop/split'], running])

  await make({ ...shift, weights: { blue: 0, green: 100 }, trial: null, ends: 'done', standbyMs: 60_000 })
  const { blue: _blue, ...pools } = shop().pools
  const without = { ...FIRST, shop: shop({ pools, split: { green: 100 } }) }
  const kept = 'Pool blue of shop is the standby of its last rollout for another 1 min, and would be removed.'
  const [places, refused] = await dry(without)
  expect(places).toContain('/services/shop/pools/blue')
  expect(refused).toBe(`${kept} Nothing has changed; with force it is done all the same.`)
  expect(await dry(without, true)).toEqual([places, null])
})

test('the file of a start that waits for a pool is not applied any more once another was', async () => {
  const { control, make } = await startControl()
  const file = createFile(control, false)
  const health = { path: '/healthz' } as ServiceSpec['health']
  const probed = (more: Partial<ServiceSpec> = {}): Services => ({ shop: shop({ health, ...more }) })
  await file.start(probed())
  const late = file.startLate(probed({ split: { blue: 0, green: 100 } }))
  await file.reload(probed({ balance: 'random' }))
  const spec = { version: '2', targets: ['http://127.0.0.1:3009'] }
  await make({ kind: 'pool.put', service: 'shop', pool: 'other', spec })
  await late
  const now = control.snapshot().services['shop']
  expect(now).toMatchObject({ split: { blue: 100, green: 0 }, balance: 'random' })
})
