/** What the end of a rollout leaves of a service: its release, what `back` returns to, and its hot standby. */
import { describe, expect, test } from 'vitest'
import type { Change as Asked } from '../../src/change.ts'
import { applyChange, type Resolved as Change } from '../../src/control/apply.ts'
import { dryRunOf } from '../../src/control/guards.ts'
import type { Content } from '../../src/control/reconcile.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { intentMovedBy } from '../../src/table/deadlines.ts'
import type { ServiceIntent } from '../../src/table/status.ts'
import { literalAddresses } from '../helpers/literal-names.ts'
import { contentOf, shop, startControl } from './stand-in.ts'

type Shift = Extract<Asked, { kind: 'shift' }>

const service = 'shop'
const tools = { drainMs: () => 30_000 }
const [BLUE, GREEN] = [{ blue: 100 }, { green: 100 }]
const apply = (content: Content, ...changes: Change[]) =>
  changes.reduce((now, change) => applyChange(now, change, 1_000_000, tools), content)
const red: Change = {
  kind: 'pool.put',
  service,
  pool: 'red',
  spec: { version: '2', targets: ['http://127.0.0.1:3009'] },
}
/** All is at green, blue is the hot standby, and red the next. */
const start = () => apply(contentOf({ shop: shop() }), red, { kind: 'switch', to: { shop: 'green' } })
const step = (weights: Record<string, number>, to = 'red'): Shift => ({
  kind: 'shift',
  service,
  weights,
  before: GREEN,
  trial: { pool: to, step: 1, rollout: 'r-1' },
  rollout: 'r-1',
})
const back: Shift = { ...step(GREEN), trial: null, ends: 'back' }
const done: Shift = { ...step({ red: 100 }), trial: null, ends: 'done' }
const intentOf = ({ intents }: Content): ServiceIntent => intents[service]

describe('a rollout that goes back', () => {
  test('before it had a share leaves all as it was, so nobody has lost a pin', () => {
    const before = start()
    const after = apply(before, step(GREEN), back)
    expect(intentOf(after)).toEqual({ ...intentOf(before), undone: { rollout: 'r-1', atMs: 1_000_000 } })
  })

  test.each([
    ['from a part', [step({ green: 80, red: 20 })]],
    ['from all', [step({ red: 100 })]],
    [
      'from several steps, and in several',
      [step({ green: 80, red: 20 }), step({ green: 50, red: 50 }), step({ green: 80, red: 20 })],
    ],
  ])('%s ends its pins, and gives back what `back` returned to and the hot standby', (_, steps) => {
    const before = start()
    const after = apply(before, step(GREEN), ...steps, back)
    const { release, previous, fallback, trial } = intentOf(after)
    expect(trial).toBeUndefined()
    expect(release).not.toBe(intentOf(before).release)
    expect([previous!.weights, fallback]).toEqual([intentOf(before).previous!.weights, ['blue']])
    // Those of before have ended.
    expect(previous!.release).not.toBe(intentOf(before).previous!.release)
    expect(apply(after, { kind: 'back', service }).services[service].split).toEqual({ blue: 100, green: 0, red: 0 })
  })

  test('is not gone back from further by a `back` that meant it, but with force', () => {
    const undone = apply(start(), step(GREEN), step({ green: 80, red: 20 }), back)
    const refusedOf = (before: Content, change: Change, force = false, nowMs = 1_000_000) => {
      const after = apply(before, change)
      const known = { nowMs, addressesOf: literalAddresses, traffic: () => null }
      return dryRunOf({ before, after, change, changed: [service], options: { force }, known }).refused
    }
    const further: Change = { kind: 'back', service }
    expect(refusedOf(undone, further)).toBe(
      'Rollout r-1 of shop has gone back already, and back would go further: to blue=100, green=0, red=0. ' +
        'Nothing has changed; with force it is done all the same.',
    )
    expect(refusedOf(undone, further, true)).toBeNull()
    // A rollout that has replaced targets in place, and one that has moved nothing, are gone back from as well.
    const trial = { pool: 'green', step: 1, rollout: 'r-1', targets: [] }
    for (const steps of [[step(GREEN)], [{ ...step(GREEN), trial }]])
      expect(refusedOf(apply(start(), ...steps, back), further)).toContain('would go further')
    expect(refusedOf(undone, further, false, 1_000_000 + 600_000)).toBeNull()
    expect(refusedOf(apply(undone, { kind: 'switch', to: { shop: 'green' } }), further)).toBeNull()
    // Neither a pool that goes nor a clock that is set is somebody who has moved the split; a release in place that is done is a later one.
    expect(refusedOf(apply(undone, { kind: 'pool.delete', service, pool: 'red' }), further)).toContain(
      'would go further',
    )
    expect(intentMovedBy(intentOf(undone), 5_000).undone).toEqual({ rollout: 'r-1', atMs: 1_005_000 })
    const inPlace = { ...step(GREEN), rollout: 'r-2', trial: { ...trial, rollout: 'r-2' } }
    expect(intentOf(apply(undone, inPlace)).undone?.rollout).toBe('r-1')
    expect(refusedOf(apply(undone, inPlace, { ...inPlace, trial: null, ends: 'done' }), further)).toBeNull()
    // Whoever has moved the split since knows what was before.
    const moved = apply(undone, { kind: 'split', service, weights: { green: 90, red: 10 } })
    expect(refusedOf(moved, further)).toBeNull()
    expect(refusedOf(apply(undone, step(GREEN), step({ red: 1 }), done), further)).toBeNull()
  })

  test('leaves the pool that it has tried neither as hot standby nor to go back to', () => {
    for (const weights of [GREEN, { green: 80, blue: 20 }]) {
      const after = apply(start(), step(GREEN, 'blue'), step(weights, 'blue'), back)
      expect([intentOf(after).previous, intentOf(after).fallback]).toEqual([null, undefined])
    }
  })

  test('leaves no hot standby that holds something else by now, or is gone', () => {
    const other: Change = {
      kind: 'pool.put',
      service,
      pool: 'blue',
      spec: { version: '7', targets: ['http://127.0.0.1:1'] },
    }
    for (const change of [other, { kind: 'pool.delete', service, pool: 'blue' } as const]) {
      const after = apply(start(), step(GREEN), step({ red: 100 }), change, back)
      expect(intentOf(after).fallback).toBeUndefined()
    }
    const gone = apply(start(), step(GREEN), step({ red: 100 }), { kind: 'pool.delete', service, pool: 'blue' }, back)
    expect(intentOf(gone).previous).toBeNull()
  })

  test('that was done already has nothing to go back to', () => {
    const after = apply(start(), step(GREEN), step({ red: 100 }), done, back)
    expect(after.services[service].split).toEqual({ blue: 0, green: 100, red: 0 })
    expect([intentOf(after).previous, intentOf(after).fallback]).toEqual([null, undefined])
  })

  test('that an older Turnout has begun is taken as one that has moved, with nothing known of before', () => {
    const begun = apply(start(), step(GREEN))
    const { trial, ...intent } = intentOf(begun)
    const older = { ...begun, intents: { ...begun.intents, [service]: { ...intent, trial: step(GREEN).trial! } } }
    const after = apply(older, back)
    expect(intentOf(after).release).not.toBe(intent.release)
    expect([intentOf(after).previous, intentOf(after).fallback]).toEqual([null, undefined])
    expect(trial?.hasMoved).toBe(false)
  })
})

describe('the hot standby of a rollout that goes forward', () => {
  const half = { green: 50, red: 50 }

  test.each([
    ['in one step', [step({ red: 100 })]],
    ['in several', [step({ green: 90, red: 10 }), step({ red: 100 })]],
    ['in several, the last of which is its end', [step({ green: 90, red: 10 }), step(half)]],
  ])('%s is who had the traffic before it, once only the new version has some', (_, steps) => {
    const tried = apply(start(), step(GREEN), ...steps)
    const isAll = steps.at(-1)!.weights['green'] === undefined
    expect(intentOf(tried).fallback).toEqual([isAll ? 'green' : 'blue'])
    expect(intentOf(apply(tried, done)).fallback).toEqual(['green'])
  })

  test('is all who had some, the largest first, but for the new version', () => {
    const before = { green: 30, blue: 60, red: 10 }
    const begun = { ...step(before), before }
    const all = apply(start(), { kind: 'split', service, weights: before }, begun, { ...step({ red: 1 }), before })
    expect(intentOf(all).fallback).toEqual(['blue', 'green'])
  })
})

test('a step that comes to the shares of before is one like any other', () => {
  for (const before of [
    { green: 90, red: 10 },
    { green: 9, red: 1 },
  ]) {
    const from = apply(start(), { kind: 'split', service, weights: before })
    const shift = (weights: Record<string, number>): Shift => ({ ...step(weights), before })
    const tried = apply(from, shift(before), shift({ green: 95, red: 5 }), shift({ green: 9, red: 1 }))
    expect(tried.services[service].split).toEqual({ blue: 0, green: 9, red: 1 })
    const other = apply(from, { kind: 'split', service, weights: { green: 1 } })
    expect(() => apply(other, shift(before))).toThrow('was changed just when its rollout was to begin')
  }
})

test('weights that share as those before move nothing: `back` returns to where it did, and a step of no weight ends no pin', () => {
  const tried = apply(start(), step(GREEN), step({ red: 1 }), { ...done, weights: { red: 1 } })
  for (const again of [
    { kind: 'switch', to: { shop: 'red' } },
    { kind: 'split', service, weights: { red: 7 } },
  ] as const) {
    const after = apply(tried, again)
    expect([intentOf(after).previous!.weights, intentOf(after).fallback]).toEqual([GREEN, ['green']])
  }
  const before = start()
  expect(intentOf(apply(before, step(GREEN), step({ green: 1 }), back)).release).toBe(intentOf(before).release)
})

test('what was before a rollout is known after a restart', async () => {
  const store = memoryStore()
  const { control } = await startControl({ store })
  const [by, forced] = [{ actor: 'anna' }, { actor: 'anna', force: true }]
  await control.change({ kind: 'service.put', service, spec: shop({ health: undefined }) }, by)
  await control.change({ ...red, kind: 'pool.put' } as Asked, by)
  await control.change({ kind: 'switch', to: { shop: 'green' } }, forced)
  for (const shift of [step(GREEN), step({ green: 80, red: 20 })]) await control.change(shift, forced)
  const { control: next } = await startControl({ store })
  await next.change(back, forced)
  const { status } = next.snapshot()
  expect(status[service].undone?.rollout).toBe('r-1')
  const { control: last } = await startControl({ store })
  expect(last.snapshot().status[service].undone?.rollout).toBe('r-1')
  expect([status[service].previous!.weights, status[service].fallback]).toEqual([
    { ...BLUE, green: 0, red: 0 },
    ['blue'],
  ])
})
