/** Rollouts whose process another one may take the place of: never driven by both, and gone on with by whoever has the seat. */
import { setImmediate } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import type { Weights } from '../../src/config/schema.ts'
import { Seat } from '../../src/rollout/seat.ts'
import { memoryStore } from '../../src/store/memory.ts'
import type { AuditEntry } from '../../src/store/store.ts'
import { drivenUntil } from '../helpers/raw.ts'
import { stand } from './stand.ts'

const SENT = {
  to: 'green',
  steps: [
    { weight: 10, for: '1h' },
    { weight: 50, for: '1h' },
  ],
  advance: 'time' as const,
}

/** One with the seat, over a store that another process takes over where it yields; what is put under this key, or changed so, waits to be let go. */
async function seated(held = '') {
  let isYielded = false
  const store = Object.assign(memoryStore(), {
    isShared: async () => isYielded,
    async yield(to: boolean) {
      isYielded = to
    },
  })
  const [put, commit] = [store.put.bind(store), store.commit.bind(store)]
  const { promise: whenHeld, resolve: hold } = Promise.withResolvers<void>()
  const { promise: whenLetGo, resolve: letGo } = Promise.withResolvers<void>()
  const passes = async (what: string) => {
    if (what !== held) return
    hold()
    await whenLetGo
  }
  store.put = (key, value) => passes(key).then(() => put(key, value))
  store.commit = (present, it) => {
    const { kind, weights = {} } = it.change as AuditEntry['change'] & { readonly weights?: Weights }
    const isStep = weights['green'] > 0 && 9 * weights['green'] === weights['blue']
    return passes(isStep ? 'step' : kind).then(() => commit(present, it))
  }
  const stood = await stand(store)
  await stood.rollouts.close()
  const seat = new Seat(store, stood.make)
  onTestFinished(() => seat.close())
  await seat.start()
  return { ...stood, seat, whenHeld, letGo }
}

test('who leaves the seat shows its rollouts and steers none; who comes back goes on where they were', async () => {
  const { clock, control, seat } = await seated()
  const { id } = await seat.begin('shop', SENT, 'alice')
  await drivenUntil('it has its share', async () => {
    clock.move(100)
    return seat.running('shop')?.weight === 10
  })
  const { revision } = control.snapshot()

  await seat.leave()
  expect(seat.running('shop')).toMatchObject({ id, state: 'shifting', weight: 10, runsElsewhere: true })
  await expect(seat.begin('shop', SENT, 'alice')).rejects.toThrow('Nothing is begun here')
  await expect(seat.command('shop', id, 'pause', 'alice')).rejects.toThrow('not run here')
  // Its time goes by without it, and nothing is written.
  clock.move(2 * 3_600_000)
  expect(control.snapshot().revision).toBe(revision)

  await seat.comeBack()
  expect(seat.running('shop')).toMatchObject({ id, state: 'shifting', runsElsewhere: false })
  expect(await seat.command('shop', id, 'pause', 'alice')).toMatchObject({ state: 'paused' })
  await seat.command('shop', id, 'abort', 'alice')
})

/** One that begins and is held there when the seat is left; it has been let go, and the seat is left. */
async function leftWhileItBegins(held: string) {
  const stood = await seated(held)
  const { clock, seat, whenHeld, letGo } = stood
  const begun = seat.begin('shop', { ...SENT, version: '1.2' }, 'alice')
  begun.catch(() => {})
  let isHeld = false
  void whenHeld.then(() => {
    isHeld = true
  })
  await drivenUntil('it is held', async () => {
    clock.move(100)
    return isHeld
  })
  let hasLeft = false
  const left = seat.leave().finally(() => {
    hasLeft = true
  })
  await setImmediate()
  expect(hasLeft).toBe(false)
  letGo()
  await left
  return { ...stood, begun }
}

test.each(['pool.put', 'rollout:shop'])(
  'a rollout that is about to begin when the seat is left does not, may be begun again, and leaves nothing behind: %s',
  async (held) => {
    const { begun, control, seat, store } = await leftWhileItBegins(held)
    await expect(begun).rejects.toMatchObject({ code: 'not_ready', message: expect.stringContaining('try again') })
    expect(control.snapshot().status['shop'].trial).toBeUndefined()
    expect((await store.revisions(10)).map(({ change }) => change.kind)).not.toContain('shift')
    expect(seat.list('shop')).toEqual([])
    expect((await store.get('rollout:shop')) ?? '[]').toBe('[]')
  },
)

test('one that makes its first shift when the seat is left has begun, and whoever has the seat goes on with it', async () => {
  const { begun, clock, seat } = await leftWhileItBegins('shift')
  const { id } = await begun
  expect(seat.running('shop')).toMatchObject({ id, runsElsewhere: true })
  await seat.comeBack()
  await drivenUntil('it has its share', async () => {
    clock.move(100)
    return seat.running('shop')?.weight === 10
  })
})

test('a step that is made when the seat is left is through before another process has it', async () => {
  const { begun, control, seat, store } = await leftWhileItBegins('step')
  const { id } = await begun
  expect(control.snapshot().services['shop'].split).toEqual({ blue: 9, green: 1 })
  expect(JSON.parse((await store.get('rollout:shop')) ?? '')).toMatchObject([{ rollout: { id, phase: 'watching' } }])
  expect(seat.running('shop')).toMatchObject({ id, weight: 10, runsElsewhere: true })
})

test('while seats are changed none is begun', async () => {
  const { control, make, store } = await seated()
  const closed = make()
  await closed.start()
  await closed.close()
  await expect(closed.begin('shop', SENT, 'alice')).rejects.toMatchObject({ code: 'not_ready' })
  expect(control.snapshot().status['shop'].trial).toBeUndefined()
  expect(await store.get('rollout:shop')).toBeNull()
})
