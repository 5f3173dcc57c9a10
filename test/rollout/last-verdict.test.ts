/** The verdict of a rollout that has ended, or is about to, is the one that stood then. */
import { expect, test } from 'vitest'
import type { ToldRollout } from '../../src/rollout/told.ts'
import { drivenUntil } from '../helpers/raw.ts'
import { answer, begun, type Stand, stand } from './stand.ts'

async function ended(stood: Stand): Promise<ToldRollout> {
  await drivenUntil('it is over', async () => {
    await answer(stood, 0, 0)
    return stood.rollouts.running('shop') === null
  })
  return stood.rollouts.list('shop')[0]
}

test('one that is aborted tells the verdict with its numbers as it stood then, also after a restart', async () => {
  const stood = await begun()
  const { rollouts, store } = stood
  for (let n = 0; n < 50; n++) await answer(stood, 0.05, 0.05)
  const before = rollouts.running('shop')!.verdict
  expect(before?.canary).toMatchObject({ requests: 1_000, failed: 50 })
  const aborted = await rollouts.command('shop', 'current', 'abort', 'bob')
  expect(aborted.verdict).toEqual(before)
  const { state, verdict } = await ended(stood)
  expect({ state, verdict }).toEqual({ state: 'rolledBack', verdict: before })
  const later = await stand(store)
  await later.rollouts.start()
  expect(later.rollouts.list('shop')[0].verdict).toEqual(before)
  await later.rollouts.close()
})

test('one that goes back by its verdict tells that verdict', async () => {
  const stood = await begun()
  const { rollouts } = stood
  for (let n = 0; n < 20; n++) await answer(stood, 0, 0)
  await drivenUntil('it goes back', async () => {
    await answer(stood, 0.5, 0)
    return rollouts.running('shop')?.state !== 'shifting'
  })
  const { state, verdict, reason } = await ended(stood)
  expect({ state, outcome: verdict?.outcome, sentence: verdict?.sentence }).toEqual({
    state: 'rolledBack',
    outcome: 'fail',
    sentence: reason,
  })
  expect(verdict?.canary.failed).toBeGreaterThan(0)
  expect(verdict?.evidence).toBe(1)
})

test('one that is done tells what stood at the end of its bake', async () => {
  const stood = await begun({
    steps: [{ weight: 10, for: '1s', requests: 10 }],
    advance: 'time',
    keep: 20,
    bake: '10s',
  })
  const { rollouts } = stood
  await drivenUntil('it bakes', async () => {
    await answer(stood, 0, 0)
    return rollouts.running('shop')?.next?.waitsFor === 'the end of the bake'
  })
  const { state, verdict } = await ended(stood)
  expect(state).toBe('done')
  expect(verdict?.sentence).not.toMatch(/nothing to compare/)
  expect(verdict?.control.requests).toBeGreaterThan(500)
})
