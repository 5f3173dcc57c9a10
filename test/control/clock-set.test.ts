/** What is stored when somebody sets the clock of the machine: the next process reads deadlines by the clock on the wall. */
import { expect, test } from 'vitest'
import type { Change } from '../../src/change.ts'
import { LOOK_MS } from '../../src/control/follower.ts'
import { SAVE_GAP_MS } from '../../src/control/saver.ts'
import type { Store } from '../../src/store/store.ts'
import { EJECTION_MS_MAX } from '../../src/table/status.ts'
import { BLUE, put, shop, split, standingClock, startControl } from './stand-in.ts'

const DAY_MS = 86_400_000
const HOLD_MS = 60_000

const hold: Change = {
  kind: 'hold',
  services: ['shop'],
  hold: { id: 'h-1', forMs: HOLD_MS, only: 'all', queueMax: 10, bytesMax: 1_000 },
}

async function held() {
  const started = await startControl()
  await started.make(put())
  await started.make(put(shop({}, 'other.test'), 'other'))
  await started.make(hold)
  return started
}

/** How long the hold still lasts for a process that starts with this store when its clock shows `nowMs`. */
async function leftMs(store: Store, nowMs: number): Promise<number> {
  const { clock } = standingClock(nowMs)
  const { control } = await startControl({ store, clock })
  const left = control.snapshot().status['shop'].hold!.untilMs - clock.steadyMs()
  await control.close()
  return left
}

test.for([DAY_MS, -500_000])('deadlines are stored anew once the clock was set by %i ms', async (byMs) => {
  const { control, clock, set, advance, store } = await held()
  set(byMs)
  await advance(LOOK_MS)
  expect(await store.revisions(1)).toMatchObject([{ actor: 'turnout', change: { kind: 'clock', movedMs: byMs } }])
  expect(control.events().at(-1)).toMatchObject({
    service: 'shop',
    message: `deadlines of shop stored anew, since the clock was set by ${byMs / 1_000} s, by turnout`,
  })
  const { revision } = control.snapshot()
  await advance(10 * LOOK_MS)
  expect(control.snapshot().revision, 'once').toBe(revision)
  await control.close()
  expect(await leftMs(store, clock.nowMs())).toBe(HOLD_MS - 11 * LOOK_MS)
})

test('a change of another service that comes first brings them along', async () => {
  const { control, clock, set, make, store } = await held()
  set(DAY_MS)
  await make(split(1, 1, 'other'))
  expect(await store.revisions(1)).toMatchObject([{ change: { kind: 'split' } }])
  // Whoever read the service before reads another deadline now.
  expect(control.snapshot().revisions).toEqual({ shop: 4, other: 4 })
  expect((await store.load()).services['shop'].revision).toBe(4)
  await control.close()
  expect(await leftMs(store, clock.nowMs())).toBe(HOLD_MS)
})

test.for([2_000, 1_000, -2_000])(
  'two clocks of whole milliseconds, of which one was set by %i ms, are now one apart and now not, and what is changed is stored alone',
  async (byMs) => {
    const { control, set, make, advance, store } = await held()
    set(byMs)
    await advance(LOOK_MS)
    for (const flicker of [1, -1, -1, 1]) {
      set(flicker)
      const { revisions } = control.snapshot()
      const { revision } = await make(split(10 + flicker, 1, 'other'))
      expect(control.snapshot().revisions).toEqual({ ...revisions, other: revision })
      const { services } = await store.load()
      expect(services['shop'].revision).toBe(revisions['shop'])
      await advance(LOOK_MS)
      expect(control.snapshot().revision, 'nothing by itself').toBe(revision)
    }
  },
)

async function startControlAt(store: Store, nowMs: number) {
  const standing = standingClock(nowMs)
  return { ...(await startControl({ store, clock: standing.clock })), ...standing }
}

/** A process that starts when the clock was set back while nothing ran, by more than since a hold and a maintenance have begun. */
async function setBack() {
  const { control, clock, make, store } = await held()
  await make({ kind: 'maintenance', service: 'other', on: true })
  await control.close()
  const nowMs = clock.nowMs() - 500_000
  expect(await leftMs(store, nowMs)).toBe(HOLD_MS)
  return { nowMs, ...(await startControlAt(store, nowMs)) }
}

test('while nothing runs the clock is set back: what has begun begins now, and is soon stored so', async () => {
  const { nowMs, control, advance, store } = await setBack()
  const { status, revision } = control.snapshot()
  expect(status['shop'].hold).toMatchObject({ sinceMs: nowMs, untilMs: nowMs + HOLD_MS })
  expect(status['other'].maintenance).toEqual({ sinceMs: nowMs })
  const message = 'deadlines of shop, other are 500 s earlier than they are stored, since the clock was set back'
  expect(control.events()).toMatchObject([{ message }])
  await advance(LOOK_MS)
  const change = { kind: 'clock', movedMs: -500_000 }
  expect(await store.revisions(1)).toMatchObject([{ revision: revision + 1, change }])
  expect((await store.revision(revision))?.services['shop']).toMatchObject({
    intent: { hold: { sinceMs: nowMs + 500_000 } },
  })
  await advance(10 * LOOK_MS)
  expect(control.snapshot().revision, 'once').toBe(revision + 1)
  await control.close()
  expect(await leftMs(store, nowMs + 11 * LOOK_MS)).toBe(HOLD_MS - 11 * LOOK_MS)
})

test('and a change of another service that comes first brings them along', async () => {
  const { nowMs, control, make, store } = await setBack()
  await make(split(1, 1, 'other'))
  await control.close()
  expect(await leftMs(store, nowMs + 1_000)).toBe(HOLD_MS - 1_000)
})

test('nothing is written where there is no deadline, or the clock was only kept right', async () => {
  const { control, set, advance, make } = await held()
  const { revision } = control.snapshot()
  set(900)
  await advance(LOOK_MS)
  expect(control.snapshot().revision).toBe(revision)
  await make({ kind: 'release', services: ['shop'] })
  set(DAY_MS)
  await advance(LOOK_MS)
  expect(control.snapshot().revision).toBe(revision + 1)
})

/** A target that is ejected for a while, and began to take traffic a moment ago. */
async function ejected() {
  const started = await startControl()
  await started.make(put(shop({ health: undefined, slowStart: '30s' })))
  const ejectedUntilMs = started.clock.steadyMs() + EJECTION_MS_MAX - 1
  await started.control.observe([{ service: 'shop', pool: 'blue', target: BLUE, ejectedUntilMs }])
  await started.advance(SAVE_GAP_MS)
  return started
}

/** How long the ejection still lasts, and since when the target takes traffic, for a process that starts with this store then. */
async function seenAt(store: Store, nowMs: number) {
  const { clock } = standingClock(nowMs)
  const { control, target } = await startControl({ store, clock })
  const [{ ejectedUntilMs, warmFromMs }] = target(BLUE).addresses
  await control.close()
  return { leftMs: ejectedUntilMs - nowMs, warmMs: nowMs - warmFromMs! }
}

test.for([DAY_MS, -500_000])('what was seen is stored anew once the clock was set by %i ms', async (byMs) => {
  const { control, clock, set, advance, store } = await ejected()
  set(byMs)
  await advance(LOOK_MS + SAVE_GAP_MS)
  const pastMs = LOOK_MS + 2 * SAVE_GAP_MS
  expect(await seenAt(store, clock.nowMs())).toEqual({ leftMs: EJECTION_MS_MAX - 1 - pastMs, warmMs: pastMs })
  await control.close()
})

test('while nothing runs the clock is set back: an ejection lasts as long as any may, and what has begun has begun', async () => {
  const { control, clock, store } = await ejected()
  await control.close()
  expect(await seenAt(store, clock.nowMs() - 500_000)).toEqual({ leftMs: EJECTION_MS_MAX, warmMs: 0 })
})
