/** Rollouts whose process another one may take the place of: never driven by both, and gone on with by whoever has the seat. */
import { expect, onTestFinished, test } from 'vitest'
import { Seat } from '../../src/rollout/seat.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { drivenUntil } from '../helpers/raw.ts'
import { stand } from './stand.ts'

test('who leaves the seat shows its rollouts and steers none; who comes back goes on where they were', async () => {
  let isYielded = false
  const store = Object.assign(memoryStore(), {
    isShared: async () => isYielded,
    async yield(to: boolean) {
      isYielded = to
    },
  })
  const { clock, control, make, rollouts } = await stand(store)
  await rollouts.close()
  const seat = new Seat(store, make)
  onTestFinished(() => seat.close())
  await seat.start()
  const sent = {
    to: 'green',
    steps: [
      { weight: 10, for: '1h' },
      { weight: 50, for: '1h' },
    ],
    advance: 'time' as const,
  }
  const { id } = await seat.begin('shop', sent, 'alice')
  await drivenUntil('it has its share', async () => {
    clock.move(100)
    return seat.running('shop')?.weight === 10
  })
  const { revision } = control.snapshot()

  await seat.leave()
  expect(seat.running('shop')).toMatchObject({ id, state: 'shifting', weight: 10, runsElsewhere: true })
  await expect(seat.begin('shop', sent, 'alice')).rejects.toThrow('Nothing is begun here')
  await expect(seat.command('shop', id, 'pause', 'alice')).rejects.toThrow('not run here')
  // Its time goes by without it, and nothing is written.
  clock.move(2 * 3_600_000)
  expect(control.snapshot().revision).toBe(revision)

  await seat.comeBack()
  expect(seat.running('shop')).toMatchObject({ id, state: 'shifting', runsElsewhere: false })
  expect(await seat.command('shop', id, 'pause', 'alice')).toMatchObject({ state: 'paused' })
  await seat.command('shop', id, 'abort', 'alice')
})
