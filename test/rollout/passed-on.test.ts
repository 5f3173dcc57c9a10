/** An abort that is sent to an instance which does not run the rollout, while the last step of that is on its way. */
import { setImmediate } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import type { Change } from '../../src/change.ts'
import { TurnoutError } from '../../src/errors.ts'
import { drivenUntil } from '../helpers/raw.ts'
import { begun, type Stand, stand } from './stand.ts'

const splitOf = ({ control }: Stand) => control.snapshot().services['shop'].split

/** One instance whose rollout stands still at this change, made or not, until `goOn`; and another one, which was sent an abort of it. */
async function abortedElsewhere(isHeldAt: (change: Change) => boolean, isMade: boolean) {
  const one = await begun({ steps: [{ weight: 50, for: '1s', requests: 0 }], advance: 'time', bake: '1s' }, 50)
  const { promise: held, resolve: goOn } = Promise.withResolvers<void>()
  const change = one.control.change.bind(one.control)
  let isHeld = false
  one.control.change = async (sent, options) => {
    if (!isHeldAt(sent)) return change(sent, options)
    const made = isMade ? await change(sent, options) : null
    isHeld = true
    await held
    return made ?? change(sent, options)
  }
  await drivenUntil('its last step is made', async () => {
    one.clock.move(100)
    return isHeld
  })
  const { isShared } = one.store
  one.store.isShared = async () => true
  const other = await stand(one.store)
  onTestFinished(async () => {
    one.store.isShared = isShared
    goOn()
    await other.rollouts.close()
  })
  await other.rollouts.start()
  expect(splitOf(other)).toEqual({ blue: 0, green: 1 })
  const answers: { state: string; split: object | undefined }[] = []
  const aborted = other.rollouts.command('shop', 'current', 'abort', 'bob').then(({ state }) => {
    answers.push({ state, split: splitOf(other) })
  })
  aborted.catch(() => {})
  const tick = async () => {
    for (const { clock } of [one, other]) clock.move(100)
    await setImmediate()
  }
  return { one, other, goOn, aborted, answers, tick }
}

const isLastShift = (change: Change) => change.kind === 'shift' && change.ends === 'done'
const isEnd = (change: Change) => change.kind === 'rollout' && change.state === 'done'

test('it is answered once traffic is back, and not when the last step has ended what is tried', async () => {
  const { answers, aborted, goOn, tick } = await abortedElsewhere(isLastShift, true)
  await drivenUntil('it is answered', async () => {
    await tick()
    return answers.length > 0
  })
  await aborted
  expect(answers).toEqual([{ state: expect.stringMatching(/rollingBack|rolledBack/), split: { blue: 95, green: 5 } }])
  goOn()
})

test('where it comes too late it is answered as done, once that is so', async () => {
  const { one, answers, aborted, goOn, tick } = await abortedElsewhere(isEnd, false)
  await tick()
  expect(answers).toEqual([])
  goOn()
  await drivenUntil('it is answered', async () => {
    await tick()
    return answers.length > 0
  })
  await aborted
  expect(answers).toEqual([{ state: 'done', split: { blue: 0, green: 1 } }])
  expect(one.rollouts.list('shop')).toMatchObject([{ state: 'done' }])
})

test('where it is not followed in time that is told, and it is not said to be done', async () => {
  const { answers, aborted, tick } = await abortedElsewhere(isEnd, false)
  let isOver = false
  void aborted
    .catch(() => {})
    .finally(() => {
      isOver = true
    })
  await drivenUntil('it is answered', async () => {
    await tick()
    return isOver
  })
  await expect(aborted).rejects.toMatchObject({ code: 'not_ready', message: expect.stringContaining('within 5 s') })
  expect(answers).toEqual([])
})

test('it is followed also where it could not be read at first, and nothing else is changed', async () => {
  const one = await begun()
  const { isShared, get } = one.store
  let isUnread = false
  Object.assign(one.store, {
    isShared: async () => true,
    get(key: string) {
      if (isUnread || !key.startsWith('rollout-abort:')) return get.call(one.store, key)
      isUnread = true
      return Promise.reject(new TurnoutError('store_unavailable', 'The disk is full.'))
    },
  })
  const other = await stand(one.store)
  onTestFinished(async () => {
    Object.assign(one.store, { isShared, get })
    await other.rollouts.close()
  })
  await other.rollouts.start()
  let isAnswered = false
  const aborted = other.rollouts.command('shop', 'current', 'abort', 'bob').finally(() => {
    isAnswered = true
  })
  aborted.catch(() => {})
  await drivenUntil('it is answered', async () => {
    for (const { clock } of [one, other]) clock.move(100)
    await setImmediate()
    return isAnswered
  })
  expect((await aborted).state).toMatch(/rollingBack|rolledBack/)
  expect(isUnread).toBe(true)
  expect(one.told).toEqual([expect.stringContaining('cannot be read yet')])
})
