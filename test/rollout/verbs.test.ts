/** What people ask of a rollout while the store is away: answered in bounded time, and what is answered as done is kept. */
import { expect, onTestFinished, test } from 'vitest'
import { StoreBusy } from '../../src/busy.ts'
import { TurnoutError } from '../../src/errors.ts'
import { drivenUntil, until } from '../helpers/raw.ts'
import { begun, STEPS, type Stand, stand, watching } from './stand.ts'

/** Takes the store away; the returned function brings it back. */
function takeAway({ store, control }: Stand): () => void {
  const { put, get } = store
  const change = control.change.bind(control)
  const away = () => Promise.reject(new TurnoutError('store_unavailable', 'The disk is full.'))
  Object.assign(store, { put: away, get: away })
  control.change = away
  return () => {
    Object.assign(store, { put, get })
    control.change = change
  }
}

const driven = ({ clock }: Stand, what: string, is: () => boolean) =>
  drivenUntil(what, async () => {
    clock.move(100)
    return is()
  })

test.each(['pause', 'promote'] as const)('%s is answered at once, and has changed nothing', async (verb) => {
  const stood = await begun()
  const { rollouts } = stood
  const before = rollouts.running('shop')
  const comeBack = takeAway(stood)
  const refused = expect.objectContaining({
    code: 'store_unavailable',
    message: expect.stringMatching(/^The disk is full\. Nothing was done: the rollout is shifting/),
  })
  await expect(rollouts.command('shop', 'current', verb, 'bob')).rejects.toEqual(refused)
  expect(rollouts.running('shop')).toEqual(before)
  expect(rollouts.figures()).toMatchObject([{ asked: { [verb]: 0 } }])
  comeBack()
  for (let n = 0; n < 100; n++) stood.clock.move(100)
  expect(rollouts.running('shop')).toMatchObject({ state: 'shifting', weight: 10 })
  // And then it is followed.
  await rollouts.command('shop', 'current', verb, 'bob')
  const kept = async () => JSON.parse((await stood.store.get('rollout:shop'))!)[0].rollout
  if (verb === 'pause') expect(await kept()).toMatchObject({ state: 'paused' })
  else await watching(stood, 50)
})

test('a resume that cannot be kept leaves it paused', async () => {
  const stood = await begun()
  const { rollouts } = stood
  await rollouts.command('shop', 'current', 'pause', 'bob')
  takeAway(stood)
  await expect(rollouts.command('shop', 'current', 'resume', 'bob')).rejects.toThrow('the rollout is paused')
  expect(rollouts.running('shop')).toMatchObject({ state: 'paused', reason: 'paused by bob' })
})

/** The first is soon over. */
const SHORT = [
  { weight: 10, for: '1s' },
  { weight: 50, for: '1h' },
]

test('a verb whose turn does not come, since what was before it waits for the store, is answered and not done later', async () => {
  const stood = await begun({ steps: SHORT, advance: 'time' })
  const { rollouts } = stood
  const comeBack = takeAway(stood)
  await driven(stood, 'the next step cannot be kept', () =>
    stood.events.some((said) => said.includes('a rollout cannot be kept')),
  )
  let answer: unknown
  const asked = rollouts.command('shop', 'current', 'pause', 'bob').catch((error: unknown) => (answer = error))
  await driven(stood, 'it is answered', () => answer !== undefined)
  await asked
  expect(answer).toMatchObject({ code: 'store_unavailable', message: expect.stringContaining('Nothing was done') })
  comeBack()
  await watching(stood, 50)
  expect(rollouts.running('shop')?.state).toBe('shifting')
})

test('an abort of one whose beginning is served and not kept yet takes it back; a store that is busy then is waited for', async () => {
  const stood = await stand()
  const { rollouts, store, control } = stood
  onTestFinished(() => rollouts.close())
  await rollouts.start()
  const isTried = () => control.snapshot().status['shop'].trial !== undefined
  const { put } = store
  let asked = 0
  store.put = (...given) => {
    if (!isTried() || ++asked > 1) return put.apply(store, given)
    return Promise.reject(new StoreBusy('the store is locked'))
  }
  const begins = rollouts.begin('shop', { to: 'green', steps: STEPS }, 'alice')
  await until('its beginning is served, and the store busy', () => asked === 1)
  let answer: unknown
  const aborted = rollouts.command('shop', 'current', 'abort', 'bob').then((told) => (answer = told))
  await driven(stood, 'it is answered', () => answer !== undefined)
  await Promise.all([begins, aborted])
  expect(answer).toMatchObject({ id: 'r-1', state: expect.stringMatching(/^roll/) })
  expect(isTried()).toBe(false)
  // It was kept before the abort had its turn.
  expect(asked).toBeGreaterThan(1)
  expect(stood.events.some((said) => said.includes('begins'))).toBe(true)
})

test('an abort does not wait until what came before it is kept', async () => {
  const stood = await begun({ steps: SHORT, advance: 'time' })
  const { rollouts } = stood
  const comeBack = takeAway(stood)
  await driven(stood, 'the next step cannot be kept', () =>
    stood.events.some((said) => said.includes('a rollout cannot be kept')),
  )
  const aborted = rollouts.command('shop', 'current', 'abort', 'test')
  expect(rollouts.running('shop')?.state).toBe('rollingBack')
  comeBack()
  await driven(stood, 'it has gone back', () => rollouts.running('shop') === null)
  await aborted
  expect(rollouts.list('shop')[0]).toMatchObject({ state: 'rolledBack', reason: 'aborted by test' })
})

test('an abort that cannot be stored is answered in time with what becomes of it, and goes back by itself', async () => {
  const stood = await begun()
  const { rollouts } = stood
  const comeBack = takeAway(stood)
  let answer: unknown
  const abort = () => rollouts.command('shop', 'current', 'abort', 'bob').catch((error: unknown) => (answer = error))
  for (let times = 0; times < 2; times++) {
    answer = undefined
    const asked = abort()
    await driven(stood, 'it is answered', () => answer !== undefined)
    await asked
    expect(answer).toMatchObject({
      code: 'store_unavailable',
      message: expect.stringMatching(
        /^The disk is full\. The rollout is aborted and goes back by itself .* the targets of green are out/,
      ),
    })
  }
  expect(rollouts.running('shop')?.state).toBe('rollingBack')
  comeBack()
  await driven(stood, 'it has gone back', () => rollouts.running('shop') === null)
  expect(rollouts.list('shop')[0]).toMatchObject({ state: 'rolledBack', reason: 'aborted by bob' })
})

test('an abort that is not stored when its process is to drive no more is answered too: it is to be sent again', async () => {
  const stood = await begun()
  const { rollouts } = stood
  takeAway(stood)
  let answer: unknown
  const asked = rollouts.command('shop', 'current', 'abort', 'bob').catch((error: unknown) => (answer = error))
  await driven(stood, 'it goes back', () => stood.events.some((said) => said.includes('cannot be taken back')))
  const closed = rollouts.close()
  await driven(stood, 'it is answered', () => answer !== undefined)
  await asked
  expect(answer).toMatchObject({ code: 'not_ready', message: expect.stringContaining('Send it again') })
  await closed
})

test('a begin whose first shift was reported as failed and had happened leaves the service to everybody', async () => {
  const stood = await stand()
  const { rollouts, store, control, clock } = stood
  await rollouts.start()
  const { commit, put } = store
  let isAway = false
  store.commit = async (...what) => {
    await commit.call(store, ...what)
    isAway = true
    throw new TurnoutError('store_unavailable')
  }
  store.put = (...what) => (isAway ? Promise.reject(new TurnoutError('store_unavailable')) : put(...what))
  let answer: unknown
  const begin = rollouts.begin('shop', { to: 'green' }, 'alice').catch((error: unknown) => (answer = error))
  await drivenUntil('it is answered', async () => {
    clock.move(100)
    return answer !== undefined
  })
  await begin
  expect(answer).toMatchObject({ code: 'store_unavailable' })
  store.commit = commit
  Object.assign(store, { put })
  const split = { kind: 'split', service: 'shop', weights: { blue: 1, green: 1 } } as const
  await until('the service is free', async () => {
    clock.move(500)
    return control.change(split, { actor: 'test' }).then(
      () => true,
      () => false,
    )
  })
  expect(control.snapshot().status['shop'].trial).toBeUndefined()
  expect(rollouts.list('shop')).toEqual([])
  // And another can begin.
  await drivenUntil('another begins', async () => {
    clock.move(500)
    return rollouts.begin('shop', { to: 'green' }, 'alice').then(
      () => true,
      () => false,
    )
  })
  await rollouts.close()
})

test('an end is told once it is kept, from when on another can begin, and an abort that comes meanwhile is answered', async () => {
  const stood = await begun(
    { steps: [{ weight: 100, for: '1s', requests: 0 }], advance: 'time', keep: 0, bake: '1s' },
    100,
  )
  const { rollouts, control } = stood
  const change = control.change.bind(control)
  const { promise: held, resolve: goOn } = Promise.withResolvers<void>()
  let isHeld = false
  control.change = async (sent, options) => {
    if (sent.kind === 'rollout' && sent.state === 'done') {
      isHeld = true
      await held
    }
    return change(sent, options)
  }
  await driven(stood, 'the end is kept', () => isHeld)
  expect(rollouts.find('shop', 'current').state).toBe('baking')
  const aborted = rollouts.command('shop', 'current', 'abort', 'bob')
  goOn()
  expect(await aborted).toMatchObject({ state: 'done' })
  expect(rollouts.running('shop')).toBe(null)
  await change({ kind: 'switch', to: { shop: 'blue' } }, { actor: 'test', force: true })
  expect(await rollouts.begin('shop', { to: 'green' }, 'bob')).toMatchObject({ id: 'r-2' })
})

test('whoever asks anything of one that is done, while its end cannot be stored, is told so in time, and not that it goes back', async () => {
  const stood = await begun(
    { steps: [{ weight: 100, for: '1s', requests: 0 }], advance: 'time', keep: 0, bake: '1s' },
    100,
  )
  const { rollouts, control } = stood
  const change = control.change.bind(control)
  let [isAway, isHeld] = [true, false]
  control.change = (sent, options) => {
    if (!isAway || sent.kind !== 'rollout' || sent.state !== 'done') return change(sent, options)
    isHeld = true
    return Promise.reject(new TurnoutError('store_unavailable', 'The disk is full.'))
  }
  await driven(stood, 'its end cannot be stored', () => isHeld)
  for (const verb of ['abort', 'pause'] as const) {
    let answer: unknown
    const asked = rollouts.command('shop', 'current', verb, 'bob').catch((error: unknown) => (answer = error))
    await driven(stood, 'it is answered', () => answer !== undefined)
    await asked
    expect(answer).toMatchObject({
      code: 'store_unavailable',
      message: expect.stringMatching(
        /^The disk is full\. Nothing was done: the rollout is done, .* a back, or another/,
      ),
    })
  }
  expect(control.snapshot().services['shop'].split).toEqual({ blue: 0, green: 1 })
  isAway = false
  await driven(stood, 'it is over', () => rollouts.running('shop') === null)
  expect(rollouts.list('shop')[0]).toMatchObject({ state: 'done' })
})

test.each(['is made, and nobody knows yet', 'is made, and was reported as failed', 'waits to be made'])(
  'an abort that comes while the last step %s brings the traffic back',
  async (when) => {
    const stood = await begun({ steps: [{ weight: 50, for: '1s', requests: 0 }], advance: 'time', bake: '1s' }, 50)
    const { rollouts, control } = stood
    const { promise: held, resolve: goOn } = Promise.withResolvers<void>()
    const change = control.change.bind(control)
    let isHeld = false
    control.change = async (sent, options) => {
      if (sent.kind !== 'shift' || sent.ends !== 'done') return change(sent, options)
      const made = when === 'waits to be made' ? null : await change(sent, options)
      isHeld = true
      await held
      if (when.endsWith('failed')) throw new TurnoutError('store_unavailable')
      return made ?? change(sent, options)
    }
    await driven(stood, 'the last step is on its way', () => isHeld)
    let answer: unknown
    const aborted = rollouts.command('shop', 'current', 'abort', 'bob').then((told) => (answer = told))
    await driven(stood, 'it is answered', () => answer !== undefined)
    await aborted
    expect(answer).toMatchObject({ reason: 'aborted by bob' })
    expect(control.snapshot().services['shop'].split).toEqual({ blue: 95, green: 5 })
    goOn()
    await driven(stood, 'it has gone back', () => rollouts.running('shop') === null)
    expect(rollouts.list('shop')[0]).toMatchObject({ state: 'rolledBack', reason: 'aborted by bob' })
    expect(control.snapshot().services['shop'].split).toEqual({ blue: 95, green: 5 })
  },
)

test('whoever was told that an abort is through can begin another at once', async () => {
  const stood = await begun()
  const { rollouts } = stood
  expect((await rollouts.command('shop', 'current', 'abort', 'bob')).state).toMatch(/rollingBack|rolledBack/)
  expect(await rollouts.begin('shop', { to: 'green' }, 'bob')).toMatchObject({ id: 'r-2', state: 'preflight' })
})

test('one that is to begin at a revision begins at that alone, also when its pool takes a version first', async () => {
  const stood = await stand()
  const { control, rollouts } = stood
  const { revision } = control.snapshot()
  await control.change({ kind: 'back', service: 'shop' }, { actor: 'eve' }).catch(() => {})
  const split = { kind: 'split', service: 'shop', weights: { blue: 9, green: 1 } } as const
  await control.change(split, { actor: 'eve' })
  const stale = { code: 'stale_revision' }
  await expect(rollouts.begin('shop', { to: 'green' }, 'bob', revision)).rejects.toMatchObject(stale)
  await expect(rollouts.begin('shop', { to: 'green', version: '9' }, 'bob', revision)).rejects.toMatchObject(stale)
  expect(control.snapshot().services['shop'].pools['green'].version).not.toBe('9')
  expect(rollouts.list('shop')).toEqual([])
  const now = control.snapshot().revision
  expect(await rollouts.begin('shop', { to: 'green', version: '9' }, 'bob', now)).toMatchObject({ to: 'green' })
})

test('a verb that is for a revision of before changes nothing', async () => {
  const stood = await begun()
  const { rollouts } = stood
  const only = () => {
    throw new TurnoutError('stale_revision', 'Somebody was faster.')
  }
  const before = rollouts.running('shop')
  for (const verb of ['pause', 'promote', 'abort'] as const) {
    await expect(rollouts.command('shop', 'current', verb, 'bob', { only })).rejects.toMatchObject({
      code: 'stale_revision',
    })
  }
  expect(rollouts.running('shop')).toEqual(before)
  expect(stood.told).toEqual([])
})
