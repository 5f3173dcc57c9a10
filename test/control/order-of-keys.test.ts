/** Whoever tells a service (`export`, the admin API) tells the same text of it, at the instance that has changed it and at those that read it back. */
import { expect, onTestFinished, test } from 'vitest'
import type { Change } from '../../src/change.ts'
import { LOOK_MS } from '../../src/control/follower.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { BLUE, GREEN, put, shop, split, startControl } from './stand-in.ts'

const RULES = [{ to: 'green', when: { cookie: { a: '1' } }, name: 'staff' }]
const pool = (name: string, targets: string[]): Change => ({
  kind: 'pool.put',
  service: 'shop',
  pool: name,
  spec: { targets, version: '2' },
})
/** As somebody may write it: in no order at all. */
const WRITTEN = { debugHeaders: true, drain: { timeout: '9s' }, sticky: { pool: true } } as never
const BACKWARDS = { pools: { green: { version: '1', targets: [GREEN] }, blue: { targets: [BLUE], version: '1' } } }

const CHANGES: readonly Change[] = [
  put(shop(WRITTEN)),
  split(90, 10),
  { kind: 'service.patch', service: 'shop', patch: { rescue: {}, health: { path: '/up' }, balance: 'random' } },
  { kind: 'rules', service: 'shop', rules: RULES as never },
  pool('red', ['http://127.0.0.1:3009']),
  { kind: 'service.patch', service: 'shop', patch: { pools: { red: null }, failover: ['green'], live: 'green' } },
  { kind: 'switch', to: { shop: 'blue' } },
  { kind: 'back', service: 'shop' },
  { kind: 'rules', service: 'shop', rules: [] },
  { kind: 'pool.state', service: 'shop', pool: 'blue', state: 'drain' },
  { kind: 'target.state', service: 'shop', pool: 'blue', target: BLUE, state: 'maint' },
  { kind: 'maintenance', service: 'shop', on: true },
  {
    kind: 'file',
    services: { shop: shop({ slowStart: '9s', mirror: { pool: 'green' } } as never), api: shop({}, 'api.test') },
    wins: true,
  },
  // A pool that goes and comes is the last one then; to whoever has slept meanwhile nothing else has changed.
  split(0, 100),
  { kind: 'pool.delete', service: 'shop', pool: 'blue' },
  { kind: 'pool.put', service: 'shop', pool: 'blue', spec: shop().pools['blue'] },
  split(100, 0),
  put(shop({ ...BACKWARDS, split: { blue: 1, green: 1 } } as never)),
  { kind: 'service.delete', service: 'api' },
  put(shop({}, 'api.test'), 'api'),
  { kind: 'restore', from: 3 },
  {
    kind: 'shift',
    service: 'shop',
    weights: { blue: 50, green: 50 },
    before: { blue: 90, green: 10 },
    trial: { pool: 'green', step: 1, rollout: 'r-1' } as never,
    rollout: 'r-1',
  },
]

/** After which of them the one that sleeps between looks. */
const LOOKS = new Set([4, 12, 16, CHANGES.length - 1])

/** As the texts that people get of it. */
const textOf = (it: Awaited<ReturnType<typeof startControl>>) =>
  Object.entries(it.control.snapshot().services)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, spec]) => `${name} ${JSON.stringify(spec)}`)

test('every verb leaves one text of each service, whoever has made the change, followed it, slept meanwhile, or begins with it', async () => {
  const store = memoryStore()
  const [made, followed, slept] = [
    await startControl({ store }),
    await startControl({ store }),
    await startControl({ store }),
  ]
  onTestFinished(async () => {
    for (const { control } of [made, followed, slept]) await control.close()
  })
  for (const [at, change] of CHANGES.entries()) {
    const what = `${at}: ${JSON.stringify(change).slice(0, 90)}`
    expect(await made.make(change), what).toHaveProperty('revision')
    await followed.advance(LOOK_MS)
    expect(textOf(followed), what).toEqual(textOf(made))
    if (LOOKS.has(at)) {
      await slept.advance(LOOK_MS)
      expect(textOf(slept), what).toEqual(textOf(made))
    }
    const begun = await startControl({ store })
    expect(textOf(begun), what).toEqual(textOf(made))
    await begun.control.close()
  }
})
