/** An abort that is sent to an instance which does not run the rollout, while the last step of that is on its way. */
import { setImmediate } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import type { Change } from '../../src/change.ts'
import { TurnoutError } from '../../src/errors.ts'
import { SHOP } from '../admin/stand-in.ts'
import { drivenUntil } from '../helpers/raw.ts'
import { begun, type Stand, sound, stand } from './stand.ts'

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

/**
 * Aborts at another instance; between that this one has read how the rollout stands and writes its line, `meanwhile` happens at the one that runs it,
 * as often as given, or, for 0, just before that it is read. Tells how it was answered, with the split that this instance had then, and the audit.
 */
async function abortedMeanwhile(meanwhile: (one: Stand) => Promise<unknown>, times = 1) {
  const one = await begun()
  const { isShared } = one.store
  one.store.isShared = async () => true
  const other = await stand(one.store)
  onTestFinished(async () => {
    one.store.isShared = isShared
    await other.rollouts.close()
  })
  await other.rollouts.start()
  await other.rollouts.refresh('shop')
  const change = other.control.change.bind(other.control)
  let changes = 0
  other.control.change = async (sent, options) => {
    if (changes++ < times) await meanwhile(one)
    return change(sent, options)
  }
  if (times === 0) await meanwhile(one)
  let state: string | null = null
  let split: object | undefined
  const aborted = other.rollouts.command('shop', 'current', 'abort', 'bob').then((told) => {
    state = told.state
    split = splitOf(other)
  })
  aborted.catch(() => {})
  await drivenUntil('it is answered', async () => {
    for (const { clock } of [one, other]) clock.move(100)
    await setImmediate()
    return state !== null
  })
  const lines = await one.store.revisions(10)
  return { state, split, lines: lines.map(({ change }) => change).filter(({ kind }) => kind === 'rollout') }
}

test.each([1, 0])(
  'nothing is said of it in the audit where the rollout has ended before it is written (%i)',
  async (times) => {
    const { state, split, lines } = await abortedMeanwhile(async (one) => {
      await one.rollouts.command('shop', 'current', 'abort', 'alice')
      await drivenUntil('it is over', async () => one.rollouts.running('shop') === null)
    }, times)
    expect([state, split]).toEqual(['rolledBack', { blue: 95, green: 5 }])
    expect(lines.map((line) => [line['state'], line['askedBy']])).toEqual([
      ['rolledBack', undefined],
      ['rollingBack', 'alice'],
    ])
  },
)

test('its line in the audit says how the rollout stands when it is written', async () => {
  const { lines } = await abortedMeanwhile((one) => one.rollouts.command('shop', 'current', 'pause', 'alice'))
  const [passedOn] = lines.filter((line) => String(line['reason']).includes('does not run it'))
  expect(passedOn).toMatchObject({ verb: 'abort', askedBy: 'bob', state: 'paused', weight: 10 })
})

test('it goes through however often something else is changed meanwhile', async () => {
  const spec = { ...SHOP, routes: [{ host: 'other.example.com', path: '/' }] }
  let isThere = false
  const { state } = await abortedMeanwhile(({ control }) => {
    isThere = !isThere
    const change = isThere ? { kind: 'service.put' as const, spec: sound(spec) } : { kind: 'service.delete' as const }
    return control.change({ ...change, service: 'other' }, { actor: 'test' })
  }, Infinity)
  expect(state).toMatch(/rollingBack|rolledBack/)
})
