/** What an instance says that it has under way where nobody new should come. */
import { expect, test } from 'vitest'
import type { Change } from '../../src/change.ts'
import { targetKey } from '../../src/config/target-key.ts'
import { BusyPlaces } from '../../src/control/busy-places.ts'
import { FIELD, laneOffset } from '../../src/metrics/layout.ts'
import { BLUE, BLUE2, GREEN, put, shop, startControl } from './stand-in.ts'

const [ONE, TWO, OTHER] = [BLUE, BLUE2, GREEN].map((url) => targetKey('shop', url === GREEN ? 'green' : 'blue', url))
const poolState = (state: 'drain' | 'maint' | 'ready', pool = 'blue') =>
  ({ kind: 'pool.state', service: 'shop', pool, state }) as const
const targetState = (state: 'drain' | 'standby' | 'ready', target = BLUE) =>
  ({ kind: 'target.state', service: 'shop', pool: 'blue', target, state }) as const
const gone: Change = { kind: 'pool.delete', service: 'shop', pool: 'blue' }

async function started(changes: Parameters<typeof shop>[0] = {}) {
  const parts = await startControl()
  await parts.make(put(shop(changes)))
  const before = { pid: null as number | null }
  const busy = new BusyPlaces({ ...parts, busyPredecessor: () => before.pid })
  const counts = (url: string, count: number, field: 'inFlight' | 'tunnels' = 'inFlight', pool = 'blue') => {
    parts.memory.targets[laneOffset(1, parts.target(url, pool).slots[0]) + FIELD[field]] = count
  }
  return { ...parts, busy, counts, before, told: () => busy.told() }
}

test('requests and tunnels at what is not ready are told, and nothing of what is ready or at rest', async () => {
  const { make, counts, told } = await started()
  counts(BLUE, 2)
  counts(BLUE2, 1, 'tunnels')
  counts(GREEN, 5, 'inFlight', 'green')
  expect(told()).toEqual({})
  await make(targetState('standby'))
  expect(told()).toEqual({ [ONE]: 2 })
  await make(poolState('maint'))
  expect(told()).toEqual({ [ONE]: 2, [TWO]: 1 })
  counts(BLUE, 0)
  expect(told()).toEqual({ [TWO]: 1 })
  await make(poolState('ready'))
  await make(targetState('ready'))
  expect(told()).toEqual({})
})

test('a drain that keeps its visitors is told as long as it does, also where nothing is under way', async () => {
  const { make, told, advance } = await started({ sticky: { pool: true, target: false } as never })
  await make(poolState('drain'))
  expect(told()).toEqual({ [ONE]: 0, [TWO]: 0 })
  await make(poolState('drain', 'green'))
  await advance(29_999)
  expect(told()).toEqual({ [ONE]: 0, [TWO]: 0, [OTHER]: 0 })
  await advance(1)
  expect(told()).toEqual({})
})

test('what was removed is told until it was at rest, also when it has come back meanwhile or its service is gone', async () => {
  const { make, counts, told, memory, target } = await started()
  counts(BLUE, 1)
  const offset = laneOffset(1, target(BLUE).slots[0]) + FIELD.inFlight
  expect(told()).toEqual({})
  await make(split100())
  await make(gone)
  expect(told()).toEqual({ [ONE]: 1 })
  await make(put())
  expect(told()).toEqual({ [ONE]: 1 })
  memory.targets[offset] = 0
  expect(told()).toEqual({})
  memory.targets[offset] = 1
  expect(told()).toEqual({})
  await make({ kind: 'service.delete', service: 'shop' })
  expect(told()).toEqual({ [ONE]: 1 })
  memory.targets[offset] = 0
  expect(told()).toEqual({})
})

const split100 = (): Change => ({ kind: 'split', service: 'shop', weights: { blue: 0, green: 100 } })

test('while the process before this one finishes something it may be anywhere, and where a service has many, anywhere in it', async () => {
  const targets = Array.from({ length: 251 }, (_, n) => `http://127.0.0.1:${4_000 + n}`)
  const pools = { blue: { version: '1', targets }, green: { version: '2', targets: [GREEN] } }
  const { make, counts, told, before } = await started({ pools } as never)
  before.pid = 17
  expect(told()).toEqual({ '*': 1 })
  before.pid = null
  await make(poolState('maint'))
  expect(told()).toEqual({})
  for (const url of targets.slice(1)) counts(url, 1)
  expect(Object.keys(told())).toHaveLength(250)
  counts(targets[0], 1)
  expect(told()).toEqual({ 'shop\n*': 251 })
})

test('many that only let somebody in yet are told as that', async () => {
  const targets = Array.from({ length: 300 }, (_, n) => `http://127.0.0.1:${4_000 + n}`)
  const pools = { blue: { version: '1', targets }, green: { version: '2', targets: [GREEN] } }
  const { make, told } = await started({ pools, sticky: { pool: true, target: false } } as never)
  await make(poolState('drain'))
  expect(told()).toEqual({ 'shop\n*': 0 })
  const routes = [{ host: 'other.test', path: '/' }]
  const other = shop({ routes, sticky: { pool: true, target: true } } as never)
  await make({ ...put(other), service: 'other' } as Change)
  await make({ ...targetState('drain'), service: 'other' })
  expect(told()).toEqual({ 'shop\n*': 0, [targetKey('other', 'blue', BLUE)]: 0 })
})

test('where many services have some it may be anywhere', async () => {
  const { make, told, memory, control } = await started()
  for (let n = 0; n < 251; n++) {
    const service = `s${n}`
    await make({ ...put(shop({ routes: [{ host: `${service}.test`, path: '/' }] } as never)), service } as Change)
    const { slots } = control.snapshot().status[service].pools['blue'].targets[BLUE]
    memory.targets[laneOffset(1, slots[0]) + FIELD.inFlight] = 1
    await make({ ...poolState('maint'), service })
    if (n === 249) expect(Object.keys(told())).toHaveLength(250)
  }
  expect(told()).toEqual({ '*': 251 })
})
