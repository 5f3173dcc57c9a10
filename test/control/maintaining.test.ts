/** Maintenance as part of the document. */
import { expect, test } from 'vitest'
import { applyChange, type Resolved as Change } from '../../src/control/apply.ts'
import type { Content } from '../../src/control/reconcile.ts'
import { completed, packed } from '../../src/control/stored.ts'
import { intentMovedBy } from '../../src/table/deadlines.ts'
import { codeOf, contentOf, shop } from './stand-in.ts'

const TOOLS = { drainMs: () => 30_000 }
const apply = (content: Content, change: Change, nowMs = 5_000) => applyChange(content, change, nowMs, TOOLS)
const set = (on: boolean, service = 'shop'): Change => ({ kind: 'maintenance', service, on })
const isOn = ({ intents }: Content) => intents['shop'].maintenance

test('it is on since it was switched on first, and off where it is off already changes nothing', async () => {
  const content = contentOf({ shop: shop() })
  const on = apply(content, set(true))
  expect([isOn(on), isOn(apply(on, set(false), 6_000))]).toEqual([{ sinceMs: 5_000 }, undefined])
  expect([apply(on, set(true), 6_000) === on, apply(content, set(false)) === content]).toEqual([true, true])
  expect(await codeOf(() => apply(content, set(true, 'none')))).toBe('not_found')
})

test('other changes leave it on, and a service that returns is not in it', () => {
  const on = apply(contentOf({ shop: shop() }), set(true))
  expect(isOn(apply(on, { kind: 'split', service: 'shop', weights: { blue: 1, green: 1 } }))).toEqual(isOn(on))
  const gone = apply(on, { kind: 'service.delete', service: 'shop' })
  const back = apply(gone, { kind: 'restore', from: 1, services: on.services, intents: on.intents })
  expect(isOn(back)).toBeUndefined()
})

test('it survives a restart, since the same wall time; what makes no sense is dropped and told', () => {
  const on = apply(contentOf({ shop: shop() }), set(true))
  expect(intentMovedBy(on.intents['shop'], 100).maintenance).toEqual({ sinceMs: 5_100 })
  const stored = (intent: unknown) => ({ shop: { spec: on.services['shop'], intent } })
  const again = completed(stored(packed(on.intents['shop'])) as never, on.releases)
  expect([isOn({ ...on, intents: again.intents }), again.notes]).toEqual([{ sinceMs: 5_000 }, []])
  const odd = completed(stored({ ...on.intents['shop'], maintenance: 'yes' }) as never, on.releases)
  expect([odd.intents['shop'].maintenance, odd.notes.length]).toEqual([undefined, 1])
})
