/** Holds as part of the document. */
import { expect, test } from 'vitest'
import type { AskedHold } from '../../src/change.ts'
import { applyChange, type Resolved as Change } from '../../src/control/apply.ts'
import type { Content } from '../../src/control/reconcile.ts'
import { completed, packed } from '../../src/control/stored.ts'
import { intentMovedBy } from '../../src/table/deadlines.ts'
import { codeOf, contentOf, shop } from './stand-in.ts'

const TOOLS = { drainMs: () => 30_000 }

const asked = (changes: Partial<AskedHold> = {}): AskedHold => ({
  id: 'h-1',
  forMs: 1_000,
  only: 'all',
  queueMax: 10,
  bytesMax: 1_000,
  ...changes,
})
const apply = (content: Content, change: Change, nowMs = 5_000): Content => applyChange(content, change, nowMs, TOOLS)
const hold = (changes: Partial<AskedHold> = {}): Change => ({ kind: 'hold', services: ['shop'], hold: asked(changes) })
const release = (more: object = {}): Change => ({ kind: 'release', services: ['shop'], ...more })
const holdIn = ({ intents }: Content) => intents['shop'].hold

test('a hold begins now and ends by itself; a second one keeps its beginning and says anew how it ends', () => {
  const first = apply(contentOf({ shop: shop() }), hold())
  expect(holdIn(first)).toEqual({ ...asked(), forMs: undefined, sinceMs: 5_000, untilMs: 6_000 })
  const second = apply(first, hold({ id: 'h-2', forMs: 9_000, only: 'writes' }), 5_500)
  expect(holdIn(second)).toMatchObject({ id: 'h-2', sinceMs: 5_000, untilMs: 14_500, only: 'writes' })
  expect(holdIn(apply(first, hold({ id: 'h-2' }), 6_000))).toMatchObject({ sinceMs: 6_000 })
})

test('a release ends it, and changes nothing where nothing is held, or another hold is', async () => {
  const content = contentOf({ shop: shop() })
  const held = apply(content, hold())
  expect(holdIn(apply(held, release()))).toBeUndefined()
  expect(apply(held, release({ hold: 'h-2' }))).toBe(held)
  expect(apply(content, release())).toBe(content)
  expect(await codeOf(() => apply(content, { kind: 'release', services: ['none'] }))).toBe('not_found')
})

test('the hold of a switch is its own: nobody else replaces it, and it replaces none', async () => {
  const ours = apply(contentOf({ shop: shop() }), hold({ isOfSwitch: true }))
  expect(await codeOf(() => apply(ours, hold({ id: 'h-2' })))).toBe('conflict')
  expect(await codeOf(() => apply(ours, hold({ id: 'h-2' }), 6_000))).toBe('nothing was thrown')
  const theirs = apply(contentOf({ shop: shop() }), hold())
  expect(await codeOf(() => apply(theirs, hold({ id: 'h-2', isOfSwitch: true })))).toBe('conflict')
})

test('a switch under a hold is made and releases in one, and not at all once that hold is over', async () => {
  const content = contentOf({ shop: shop() })
  const held = apply(content, hold({ isOfSwitch: true }))
  const change: Change = { kind: 'switch', to: { shop: 'green' }, hold: 'h-1' }
  const switched = apply(held, change, 5_999)
  expect([switched.services['shop'].split, holdIn(switched)]).toEqual([{ blue: 0, green: 100 }, undefined])
  expect(await codeOf(() => apply(held, change, 6_000))).toBe('hold_ended')
  expect(await codeOf(() => apply(content, change))).toBe('hold_ended')
})

test('what is changed meanwhile keeps the hold; a service that returns has none', () => {
  const held = apply(contentOf({ shop: shop() }), hold())
  const split = apply(held, { kind: 'split', service: 'shop', weights: { blue: 1, green: 1 } })
  expect(holdIn(split)).toEqual(holdIn(held))
  const gone = apply(held, { kind: 'service.delete', service: 'shop' })
  const restored = applyChange(
    gone,
    { kind: 'restore', from: 1, services: held.services, intents: held.intents },
    0,
    TOOLS,
  )
  expect(holdIn(restored)).toBeUndefined()
})

test('a hold is stored with its end by the wall clock, and survives a restart; one that makes no sense is dropped and told', () => {
  const held = apply(contentOf({ shop: shop() }), hold())
  const moved = intentMovedBy(held.intents['shop'], 100)
  expect(moved.hold).toMatchObject({ sinceMs: 5_100, untilMs: 6_100 })
  const stored = (intent: unknown) => ({
    shop: { spec: held.services['shop'], intent: JSON.parse(JSON.stringify(intent)) },
  })
  const again = completed(stored(packed(held.intents['shop'])) as never, held.releases)
  expect([again.intents['shop'].hold, again.notes]).toEqual([holdIn(held), []])
  const odd = completed(stored({ ...held.intents['shop'], hold: { id: 7 } }) as never, held.releases)
  expect([odd.intents['shop'].hold, odd.notes.length]).toEqual([undefined, 1])
})
