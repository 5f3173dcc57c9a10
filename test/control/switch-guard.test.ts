/** What a service is spared while a switch under a hold is under way: its hook may have migrated already. */
import { expect, test } from 'vitest'
import type { AskedHold, Change } from '../../src/change.ts'
import { createFile } from '../../src/control/config-file.ts'
import { BLUE, codeOf, GREEN, put, shop, split, startControl } from './stand-in.ts'

const asked: AskedHold = { id: 'h-1', forMs: 1_000, only: 'all', queueMax: 10, bytesMax: 1_000, isOfSwitch: true }
const hold: Change = { kind: 'hold', services: ['shop'], hold: asked }
const toRed: Change = { kind: 'switch', to: { shop: 'green' } }
const ours: Change = { kind: 'switch', to: { shop: 'green' }, hold: 'h-1' }
const version = shop({
  pools: { blue: { version: '1.0', targets: [BLUE] }, green: { targets: [GREEN], version: '9' } },
})

const MOVES: [string, Change][] = [
  ['a split', split(1, 1)],
  ['a switch', toRed],
  ['back', { kind: 'back', service: 'shop' }],
  ['another version of a pool', put(version)],
]
const maints: [string, Change][] = [
  ['a target', { kind: 'target.state', service: 'shop', pool: 'green', target: GREEN, state: 'maint' }],
  ['a pool', { kind: 'pool.state', service: 'shop', pool: 'green', state: 'maint' }],
]

test.each(MOVES)('%s is refused while it is under way, and not before nor when it is over', async (_, change) => {
  const { make, advance, control } = await startControl()
  await make(put())
  await make(split(3, 1))
  const before = control.snapshot()
  await make(hold)
  expect(await codeOf(() => make(change))).toBe('conflict')
  expect(control.snapshot().services).toBe(before.services)
  await advance(1_000)
  expect(await codeOf(() => make(change))).toBe('nothing was thrown')
})

test.each(maints)('%s is taken out meanwhile by force only', async (_, change) => {
  const { make, control } = await startControl()
  await make(put())
  await make(hold)
  expect(await codeOf(() => control.change(change, { actor: 'test' }))).toBe('conflict')
  await make(change)
})

test('what does not move it goes on, and so does the switch itself', async () => {
  const { make, control } = await startControl()
  await make(put())
  await make(hold)
  await make({ kind: 'rules', service: 'shop', rules: [] })
  await make({ kind: 'maintenance', service: 'shop', on: true })
  await make(ours)
  expect(control.snapshot().services['shop'].split).toEqual({ blue: 0, green: 100 })
})

test('what a file of the start says of it waits, and of all others does not', async () => {
  const { make, control, advance } = await startControl()
  const file = createFile(control, false)
  const api = shop({}, 'api.test')
  const none = { isEarlier: false, gone: [], tried: [], switched: [] }
  expect(await file.start({ shop: shop(), api })).toEqual(none)
  await make(hold)
  const edited = { shop: version, api: shop({ balance: 'random' }, 'api.test') }
  await file.check(edited)
  expect(await file.start({ shop: shop(), api })).toEqual(none)
  expect(await file.start(edited)).toEqual({ ...none, switched: ['shop'] })
  expect(control.snapshot().services).toEqual({ ...edited, shop: shop() })
  await advance(1_000)
  expect(await file.start(edited)).toEqual(none)
  expect(control.snapshot().services).toEqual(edited)
})

test('whoever releases it may do anything, and a service may be removed', async () => {
  const { make } = await startControl()
  await make(put())
  await make(hold)
  await make({ kind: 'release', services: ['shop'] })
  await make(split(1, 1))
  await make({ ...hold, hold: { ...asked, id: 'h-2' } })
  expect(await codeOf(() => make({ kind: 'service.delete', service: 'shop' }))).toBe('nothing was thrown')
})
