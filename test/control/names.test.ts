/** Addresses of names: how they come into the tables, and who waits for them. */
import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { soundObserved } from '../../src/control/observe.ts'
import { LOOK_AGAIN_MS } from '../../src/control/sightings.ts'
import { COOLING_MS } from '../../src/control/slots.ts'
import { SLOTS } from '../../src/metrics/layout.ts'
import type { Address } from '../../src/names/address.ts'
import { hostOf } from '../../src/names/address.ts'
import { hostsOfChange } from '../../src/names/target-hosts.ts'
import { gate, put, shop, startControl } from './stand-in.ts'

const API = 'http://api.test:80'
const WEB = 'http://web.test:80'
const MORE = 'http://more.test:80'
const at = (...list: string[]): Address[] => list.map((address) => ({ address, alternate: null }))
const named = (url: string, host = 'shop.test') =>
  shop({ pools: { blue: { version: '1', targets: [url] } }, split: { blue: 100 } }, host)

/** Control over names that say what a test says. */
async function start() {
  const known = new Map<string, Address[]>()
  const asked: string[][] = []
  const learning = { gate: null as Promise<void> | null }
  const names = {
    addressesOf: (url: string) => known.get(hostOf(url)) ?? [],
    async learn(hosts: Iterable<string>) {
      asked.push([...hosts])
      if (asked.at(-1)?.length !== 0) await learning.gate
    },
  }
  const started = await startControl({ names })
  const seen = (service = 'shop', url = API) => started.target(url, 'blue', service)
  return { ...started, known, asked, learning, seen }
}

test('new addresses come into the tables of the services that have the name, without a new revision', async () => {
  const { make, control, known, seen, deltas } = await start()
  known.set('api.test', at('10.0.0.1'))
  await make(put(named(API)))
  await make(put(named(WEB, 'other.test'), 'other'))
  expect(seen()).toMatchObject({ health: 'unknown', addresses: [{ address: '10.0.0.1' }] })
  expect(seen('other', WEB)).toMatchObject({ health: 'unhealthy', addresses: [] })
  const { revision } = control.snapshot()
  known.set('api.test', at('10.0.0.1', '10.0.0.2'))
  control.addressesMoved('api.test')
  await control.observe([])
  expect(seen().addresses.map(({ address }) => address)).toEqual(['10.0.0.1', '10.0.0.2'])
  expect(Object.keys(deltas.at(-1)!.services)).toEqual(['shop'])
  expect(control.snapshot().revision).toBe(revision)
  const count = deltas.length
  control.addressesMoved('nobody.test')
  await control.observe([])
  expect(deltas).toHaveLength(count)
})

/** So many addresses that those of two of these networks are just as many as there are slots. */
const many = (net: number) => at(...Array.from({ length: SLOTS / 2 - 8 }, (_, n) => `10.${net}.${n >> 8}.${n & 255}`))
const notTaken = (logged: readonly unknown[]) =>
  logged.filter((said) => (said as unknown[])[1] === 'the new addresses of a host were not taken')

test('a name of more addresses than there are slots keeps back no other, and its own come once there is room', async () => {
  const { make, control, known, seen, logged, deltas, advance, timers } = await start()
  const moved = async (net: number) => {
    known.set('api.test', many(net))
    control.addressesMoved('api.test')
    await control.observe([])
    return seen().addresses[0].address
  }
  known.set('api.test', many(1))
  known.set('web.test', at('10.0.0.1'))
  await make(put(named(API)))
  await make(put(named(WEB, 'web.test'), 'other'))
  known.set('more.test', at('10.0.0.3'))
  await make(put(named(MORE, 'more.test'), 'third'))
  // The slots of those before rest for a while.
  expect(await moved(2)).toBe('10.2.0.0')
  known.set('web.test', at('10.0.0.2'))
  control.addressesMoved('web.test')
  expect(await moved(3)).toBe('10.2.0.0')
  expect(seen('other', WEB).addresses).toMatchObject([{ address: '10.0.0.2' }])
  // Of the two that came together, the one.
  expect(notTaken(logged)).toMatchObject([[{ err: { code: 'conflict' }, host: 'api.test' }, expect.anything()]])
  const ill = (service: string, target: string, address: string) => {
    return { service, pool: 'blue', target, address, health: 'unhealthy' as const }
  }
  const count = deltas.length
  const taken = control.observe([ill('other', WEB, '10.0.0.2'), ill('third', MORE, '10.0.0.3')])
  await expect(control.observe([ill('shop', API, '10.3.0.0')])).rejects.toMatchObject({ code: 'conflict' })
  await taken
  expect(deltas.slice(count).map(({ services }) => Object.keys(services))).toEqual([['other', 'third']])
  const told = logged.length
  await advance(COOLING_MS + LOOK_AGAIN_MS)
  expect(seen().addresses).toHaveLength(SLOTS / 2 - 8)
  expect(seen().addresses[0].address).toBe('10.3.0.0')
  expect(logged, 'once').toHaveLength(told)
  const { epoch } = control.snapshot()
  await advance(2 * LOOK_AGAIN_MS)
  expect(control.snapshot().epoch, 'and then no more').toBe(epoch)
  await moved(4)
  await control.close()
  expect(timers()).toBe(0)
})

test('what is refused when it closes is looked at no more', async () => {
  const { make, control, known, logged, timers } = await start()
  known.set('api.test', many(1))
  await make(put(named(API)))
  known.set('api.test', many(2))
  control.addressesMoved('api.test')
  await control.observe([])
  known.set('api.test', many(3))
  control.addressesMoved('api.test')
  await control.close()
  expect(notTaken(logged)).toHaveLength(1)
  expect(timers()).toBe(0)
})

test('what was seen of an address goes with it, and what comes later of it is too late', async () => {
  const { make, control, known, seen } = await start()
  known.set('api.test', at('10.0.0.1', '10.0.0.2'))
  await make(put(named(API)))
  const of = { service: 'shop', pool: 'blue', target: API }
  await control.observe([
    { ...of, address: '10.0.0.1', health: 'unhealthy' },
    { ...of, address: '10.0.0.2', health: 'healthy', ejectedUntilMs: 9_000_000 },
  ])
  expect(seen()).toMatchObject({ health: 'healthy', ejectedUntilMs: 0 })
  known.set('api.test', at('10.0.0.1'))
  control.addressesMoved('api.test')
  await control.observe([])
  expect(seen()).toMatchObject({ health: 'unhealthy', addresses: [{ address: '10.0.0.1', health: 'unhealthy' }] })
  const { epoch } = control.snapshot()
  await control.observe([{ ...of, address: '10.0.0.2', health: 'unhealthy' }])
  expect(control.snapshot().epoch).toBe(epoch)
  known.set('api.test', at('10.0.0.2'))
  control.addressesMoved('api.test')
  await control.observe([])
  expect(seen()).toMatchObject({ health: 'unknown', ejectedUntilMs: 0 })
})

test('while a name has no address, what is known of its addresses waits for it', async () => {
  const { make, control, known, seen } = await start()
  known.set('api.test', at('10.0.0.1'))
  await make(put(named(API)))
  await control.observe([{ service: 'shop', pool: 'blue', target: API, address: '10.0.0.1', health: 'healthy' }])
  known.delete('api.test')
  control.addressesMoved('api.test')
  await control.observe([])
  expect(seen()).toMatchObject({ health: 'unhealthy', addresses: [] })
  known.set('api.test', at('10.0.0.1'))
  control.addressesMoved('api.test')
  await control.observe([])
  expect(seen().health).toBe('healthy')
})

test('a change that brings names waits for them before its turn, so that others go on', async () => {
  const { make, asked, learning, control } = await start()
  await make(put(named('http://127.0.0.1:1')))
  const { promise, open } = gate()
  learning.gate = promise
  const slow = make(put(named(API, 'slow.test'), 'slow'))
  await setImmediate()
  await make({ kind: 'pool.state', service: 'shop', pool: 'blue', state: 'ready' })
  await make({ kind: 'split', service: 'shop', weights: { blue: 7 } })
  expect(Object.keys(control.snapshot().services)).toEqual(['shop'])
  open()
  await slow
  expect(Object.keys(control.snapshot().services)).toEqual(['shop', 'slow'])
  expect(asked).toContainEqual(['api.test'])
})

test('the hosts of a change are found in whatever it brings, valid or not', () => {
  const spec = named(API)
  const hosts = (change: Parameters<typeof hostsOfChange>[0]) => [...hostsOfChange(change)]
  expect(hosts(put(spec))).toEqual(['api.test'])
  expect(hosts({ kind: 'file', services: { a: spec, b: named(WEB) } })).toEqual(['api.test', 'web.test'])
  expect(
    hosts({ kind: 'pool.put', service: 'a', pool: 'b', spec: { version: '', targets: ['https://[::1]:1'] } }),
  ).toEqual(['::1'])
  const patch = { pools: { a: { targets: ['http://x.test', 7, 'no'] }, b: null, c: { targets: null }, d: 'x' } }
  expect(hosts({ kind: 'service.patch', service: 'a', patch })).toEqual(['x.test'])
  for (const bad of [{}, { pools: null }, { pools: [1] }]) {
    expect(hosts({ kind: 'service.patch', service: 'a', patch: bad })).toEqual([])
  }
  expect(hosts({ kind: 'back', service: 'a' })).toEqual([])
})

test('of what a store has kept, only what has its form is believed', () => {
  const good = { health: 'healthy', ejectedUntilMs: 5 }
  expect(
    soundObserved(
      { shop: { blue: { [API]: { '10.0.0.1': good, x: { health: 'odd', ejectedUntilMs: 0 } } } } },
      9,
      false,
    ),
  ).toEqual({
    shop: { blue: { [API]: { '10.0.0.1': good } } },
  })
  expect(soundObserved({ shop: { blue: { [API]: good } } }, 9, false)).toEqual({ shop: { blue: { [API]: {} } } })
  for (const bad of [null, 7, 'x', { shop: 7 }, { shop: { blue: null } }])
    expect(soundObserved(bad, 9, true)).toBeTypeOf('object')
})
