/** A store that is away while a rollout goes forward: it waits, says so, and people still act. */
import { expect, onTestFinished, test } from 'vitest'
import { TurnoutError } from '../../src/errors.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { startHook } from '../helpers/hook.ts'
import { until } from '../helpers/raw.ts'
import { startNamed } from '../helpers/upstream.ts'
import { begun, rollingShop, type Stand, stand } from './stand.ts'

const away = () => new TurnoutError('store_unavailable')

interface Rolling extends Stand {
  /** Directions of the updates that were called: which target, and whether it was undone. */
  readonly calls: string[]
  /** Ends what the update of the first target waits for. */
  goOn(): void
  /** From now on no change can be stored, nor a rollout kept. */
  goAway(): void
  comeBack(): void
  adminOf(url: string): string
  readonly urls: readonly string[]
}

/** A rolling release whose first target is just updated. */
async function rolling(): Promise<Rolling> {
  const urls = [(await startNamed('one')).url, (await startNamed('two')).url]
  const calls: string[] = []
  const { promise: held, resolve: goOn } = Promise.withResolvers<void>()
  const hook = await startHook<{ target: string; undo: boolean }>(async ({ target, undo }) => {
    calls.push(`${undo ? 'undo' : 'update'} ${urls.indexOf(target)}`)
    if (!undo) await held
    return 200
  })
  const store = memoryStore()
  const stood = await stand(store, {}, rollingShop(urls, hook.url, { advance: 'time', bake: '1s' }))
  const { control, rollouts } = stood
  const [change, put] = [control.change.bind(control), store.put.bind(store)]
  const comeBack = () => {
    control.change = change
    store.put = put
  }
  onTestFinished(async () => {
    comeBack()
    await rollouts.close()
  })
  await rollouts.start()
  await rollouts.begin('shop', { to: 'blue', version: '2.0' }, 'test')
  await moving(stood, 'the first is updated', () => calls.length === 1)
  return {
    ...stood,
    urls,
    calls,
    goOn,
    goAway() {
      control.change = () => Promise.reject(away())
      store.put = () => Promise.reject(away())
    },
    comeBack,
    adminOf: (url) => control.snapshot().status['shop'].pools['blue'].targets[url].admin,
  }
}

const moving = ({ clock }: Stand, what: string, is: () => boolean) =>
  until(what, () => {
    clock.move(50)
    return is()
  })

test('a rolling release that goes forward waits for a store that is away, says so once, and goes on', async () => {
  const release = await rolling()
  const { rollouts, calls, goOn, goAway, comeBack, urls, adminOf, events, clock } = release
  goAway()
  goOn()
  const waits = () => rollouts.running('shop')?.next?.waitsFor ?? ''
  await moving(release, 'it waits', () => waits().includes('store'))
  expect(waits()).toContain(`store (${urls[0]}): The store cannot be reached`)
  clock.move(120_000)
  await moving(release, 'it still waits', () => waits().includes('store'))
  expect(rollouts.running('shop')).toMatchObject({ state: 'shifting', reason: null })
  const said = () => events.filter((message) => message.includes('waits:'))
  expect(said()).toEqual([expect.stringContaining(`${urls[0]} cannot be set to standby: The store cannot be reached`)])
  comeBack()
  await moving(release, 'it is done', () => rollouts.running('shop') === null)
  const [{ state, gates }] = rollouts.list('shop')
  expect(state).toBe('done')
  expect(gates.filter(({ gate }) => gate === 'store')).toMatchObject([{ at: urls[0], state: 'passed' }])
  expect(calls).toEqual(['update 0', 'update 1'])
  expect(urls.map(adminOf)).toEqual(['ready', 'ready'])
})

test('a rolling release waits for what was served first to be stored, and is not ended by it', async () => {
  const release = await rolling()
  const { rollouts, control, store, clock, goOn, events } = release
  const maintenance = (on: boolean, atOnce: boolean) =>
    control.change({ kind: 'maintenance', service: 'shop', on }, { actor: 'test', atOnce })
  await maintenance(true, false)
  const { commit } = store
  store.commit = () => Promise.reject(away())
  await expect(maintenance(false, true)).rejects.toMatchObject({ code: 'store_unavailable' })
  goOn()
  await moving(release, 'it waits', () => rollouts.running('shop')?.next?.waitsFor.includes('not stored yet') === true)
  clock.move(2_000)
  store.commit = commit
  await moving(release, 'it is done', () => rollouts.running('shop') === null)
  expect(rollouts.list('shop')[0].state).toBe('done')
  expect(events.filter((message) => message.includes('waits:'))).toHaveLength(1)
})

/** Its last step is made, and is reported as failed when `end` is called. */
async function endedUnheard(): Promise<Rolling & { end(): void }> {
  const release = await rolling()
  const { control } = release
  const { promise: held, reject } = Promise.withResolvers<never>()
  held.catch(() => {})
  const change = control.change.bind(control)
  let isMade = false
  control.change = async (sent, options) => {
    if (isMade || sent.kind !== 'shift' || sent.pool?.version === undefined) return change(sent, options)
    await change(sent, options)
    isMade = true
    return held
  }
  release.goOn()
  await moving(release, 'its last step is made', () => isMade)
  return { ...release, end: () => reject(away()) }
}

test('the last step of a rolling release, made again since nobody knew that it was, leaves what people have set since', async () => {
  const release = await endedUnheard()
  const { control, rollouts, end } = release
  const pools = { blue: { version: '3.0' } }
  await control.change({ kind: 'service.patch', service: 'shop', patch: { pools } }, { actor: 'eve', force: true })
  end()
  await moving(release, 'it is done', () => rollouts.running('shop') === null)
  expect(rollouts.list('shop')[0].state).toBe('done')
  expect(control.snapshot().services['shop'].pools['blue'].version).toBe('3.0')
})

test('a rolling release that is aborted while its last step is on its way restores its targets, and the version', async () => {
  const release = await endedUnheard()
  const { control, rollouts, calls, end, urls, adminOf } = release
  expect(control.snapshot().services['shop'].pools['blue'].version).toBe('2.0')
  const aborted = rollouts.command('shop', 'current', 'abort', 'test')
  await moving(release, 'it has gone back', () => rollouts.running('shop') === null)
  await aborted
  end()
  expect(rollouts.list('shop')[0]).toMatchObject({ state: 'rolledBack', reason: 'aborted by test' })
  expect(calls).toEqual(['update 0', 'update 1', 'undo 1', 'undo 0'])
  expect(control.snapshot().services['shop'].pools['blue'].version).toBe('1.0')
  expect(urls.map(adminOf)).toEqual(['ready', 'ready'])
})

test('aborted while it waits for the store, it goes back once that is there, and never gives the target its new version', async () => {
  const release = await rolling()
  const { rollouts, calls, goOn, goAway, comeBack, urls, adminOf, control } = release
  goAway()
  goOn()
  await moving(release, 'it waits', () => rollouts.running('shop')?.next?.waitsFor.includes('store') === true)
  const aborted = rollouts.command('shop', 'current', 'abort', 'test')
  await moving(release, 'it goes back', () => rollouts.running('shop')?.state === 'rollingBack')
  comeBack()
  const states: string[] = []
  const change = control.change.bind(control)
  control.change = (sent, options) => {
    if (sent.kind === 'target.state') states.push(sent.state)
    return change(sent, options)
  }
  await moving(release, 'it has gone back', () => rollouts.running('shop') === null)
  expect((await aborted).id).toBe('r-1')
  expect(rollouts.list('shop')[0].reason).toBe('aborted by test')
  expect(calls).toEqual(['update 0', 'undo 0'])
  expect(states).toEqual(['maint', 'standby', 'ready'])
  expect(urls.map(adminOf)).toEqual(['ready', 'ready'])
})

test('a way back waits for an update that is under way, so that no target is updated in both directions at once', async () => {
  const release = await rolling()
  const { rollouts, calls, goOn, urls, adminOf, clock } = release
  await rollouts.command('shop', 'current', 'abort', 'test')
  for (let look = 0; look < 20; look++) {
    clock.move(50)
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(calls).toEqual(['update 0'])
  expect(adminOf(urls[0])).toBe('maint')
  goOn()
  await moving(release, 'it has gone back', () => rollouts.running('shop') === null)
  expect(calls).toEqual(['update 0', 'undo 0'])
  expect(urls.map(adminOf)).toEqual(['ready', 'ready'])
})

test('a step that runs and cannot be kept waits for the store, and not for its time, which stands still', async () => {
  const stood = await begun({
    steps: [
      { weight: 10, for: '1s' },
      { weight: 50, for: '60s' },
    ],
    advance: 'time',
  })
  const { rollouts, store, clock } = stood
  const next = () => rollouts.running('shop')?.next
  const put = store.put.bind(store)
  store.put = (key, text) => (/"phase":"watching"/.test(text ?? '') ? Promise.reject(away()) : put(key, text))
  await moving(stood, 'it waits', () => next()?.waitsFor.startsWith('store') === true)
  clock.move(30_000)
  expect(rollouts.running('shop')).toMatchObject({
    weight: 50,
    next: { inMs: 60_000, waitsFor: expect.stringMatching(/^store: The store cannot be reached/) },
  })
  store.put = put
  await moving(stood, 'its time runs', () => next()?.waitsFor === 'its time')
})
