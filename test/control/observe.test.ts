/** Health and ejection: into the tables at once, together, and only where they belong. */
import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { questionIn } from '../../src/config/question.ts'
import { BLUE, BLUE2, GREEN, gate, put, shop, startControl } from './stand-in.ts'

const of = (target: string, pool = 'blue') => ({ service: 'shop', pool, target })

async function start() {
  const started = await startControl()
  await started.make(put())
  return started
}

test('an observation is in the tables when it resolves, without a new revision', async () => {
  const { control, deltas, target, store } = await start()
  await control.observe([{ ...of(BLUE), health: 'unhealthy', detail: 'GET /health answered 500' }])
  expect(target(BLUE)).toMatchObject({ health: 'unhealthy', admin: 'ready', ejectedUntilMs: 0 })
  expect(target(BLUE2).health).toBe('unknown')
  expect(deltas.at(-1)).toMatchObject({ epoch: 3, revision: 1 })
  expect(deltas.at(-1)?.services['shop']?.status.pools['blue'].targets[BLUE].health).toBe('unhealthy')
  expect(control.snapshot()).toMatchObject({ epoch: 3, revision: 1 })
  expect(await store.revisions(10)).toHaveLength(1)
})

test('only the axes that it names change: a passing probe ends neither a drain nor an ejection', async () => {
  const { control, make, target } = await start()
  await make({ kind: 'target.state', service: 'shop', pool: 'blue', target: BLUE, state: 'drain' })
  await control.observe([{ ...of(BLUE), ejectedUntilMs: 9_000_000 }])
  const before = target(BLUE)
  await control.observe([{ ...of(BLUE), health: 'healthy' }])
  const question = questionIn(shop(), 'blue')
  const addresses = before.addresses.map((address) => ({ ...address, health: 'healthy', question }))
  expect(target(BLUE)).toEqual({ ...before, health: 'healthy', addresses })
  expect(before).toMatchObject({ admin: 'drain', ejectedUntilMs: 9_000_000 })
})

test('what is so already, is unknown, or is under an inherited name costs no table', async () => {
  const { control, deltas } = await start()
  await control.observe([
    { ...of(BLUE), health: 'unknown' },
    { ...of('http://127.0.0.1:9'), health: 'unhealthy' },
    { ...of(BLUE, 'red'), health: 'unhealthy' },
    { ...of(GREEN), health: 'unhealthy' },
    { service: 'gone', pool: 'blue', target: BLUE, health: 'unhealthy' },
    { service: '__proto__', pool: 'constructor', target: 'toString', health: 'unhealthy' },
  ])
  await control.observe([])
  expect(deltas).toHaveLength(2)
  expect(control.events().filter(({ type }) => type === 'health')).toEqual([])
})

test('health of a service that is no longer probed is too late, ejection is not', async () => {
  const { control, make, target } = await start()
  const { health: _health, ...unprobed } = shop()
  await make(put(unprobed))
  await control.observe([{ ...of(BLUE), health: 'unhealthy', ejectedUntilMs: 5 }])
  expect(target(BLUE)).toMatchObject({ health: 'unknown', ejectedUntilMs: 5 })
})

test.each([
  ['a target', { kind: 'target.state', service: 'shop', pool: 'blue', target: BLUE }],
  ['a pool', { kind: 'pool.state', service: 'shop', pool: 'blue' }],
] as const)(
  'the health of %s in maintenance is forgotten, and what is told of it then is too late',
  async (_, place) => {
    const { control, make, target } = await start()
    await control.observe([{ ...of(BLUE), health: 'healthy', ejectedUntilMs: 9_000_000 }])
    await make({ ...place, state: 'maint' })
    const health = { health: 'unknown', addresses: [{ health: 'unknown' }] }
    expect(target(BLUE)).toMatchObject({ admin: place.kind === 'pool.state' ? 'ready' : 'maint', ...health })
    const told = control.events().length
    await control.observe([{ ...of(BLUE), health: 'healthy' }])
    expect(control.events()).toHaveLength(told)
    await make({ ...place, state: 'ready' })
    expect(target(BLUE)).toMatchObject({ ...health, ejectedUntilMs: 9_000_000 })
  },
)

test('what was known to fail is so in maintenance, and after it until a probe has passed', async () => {
  const { control, make, target } = await start()
  await control.observe([{ ...of(BLUE), health: 'unhealthy' }])
  for (const state of ['maint', 'ready'] as const)
    await make({ kind: 'pool.state', service: 'shop', pool: 'blue', state })
  expect(target(BLUE).health).toBe('unhealthy')
  await control.observe([{ ...of(BLUE), health: 'healthy' }])
  expect(target(BLUE).health).toBe('healthy')
})

test('what was seen is forgotten with its target or its probes, and nothing else with it', async () => {
  const { control, make, target } = await start()
  await control.observe([
    { ...of(BLUE), health: 'unhealthy', ejectedUntilMs: 9_000_000 },
    { ...of(BLUE2), health: 'healthy' },
  ])
  const { health: _health, ...unprobed } = shop()
  await make(put(unprobed))
  expect(target(BLUE)).toMatchObject({ health: 'unknown', ejectedUntilMs: 9_000_000 })
  await make(put())
  expect(target(BLUE2).health).toBe('unknown')
  await make({ kind: 'pool.put', service: 'shop', pool: 'blue', spec: { version: '1.0', targets: [BLUE2] } })
  await make({ kind: 'pool.put', service: 'shop', pool: 'blue', spec: { version: '1.0', targets: [BLUE, BLUE2] } })
  expect(target(BLUE)).toMatchObject({ health: 'unknown', ejectedUntilMs: 0 })
})

test('many observations that come while the workers are busy make one table', async () => {
  const { control, workers, deltas, target } = await start()
  const { promise, open } = gate()
  workers.gate = promise
  const first = control.observe([{ ...of(BLUE), health: 'unhealthy' }])
  await setImmediate()
  const later = [
    control.observe([{ ...of(BLUE), health: 'healthy' }]),
    control.observe([{ ...of(BLUE2), health: 'healthy' }]),
    control.observe([{ ...of(BLUE2), ejectedUntilMs: 7 }]),
  ]
  open()
  await Promise.all([first, ...later])
  expect(deltas).toHaveLength(4)
  expect(target(BLUE).health).toBe('healthy')
  expect(target(BLUE2)).toMatchObject({ health: 'healthy', ejectedUntilMs: 7 })
})

test('is told as an event that says what was and why', async () => {
  const { control } = await start()
  await control.observe([{ ...of(BLUE), health: 'unhealthy', ejectedUntilMs: 7, detail: 'no answer in 2s' }])
  const told = control.events(1)
  expect(told.map(({ type, service, message }) => [type, service, message])).toEqual([
    ['health', 'shop', `${BLUE} in pool blue of shop is unhealthy: no answer in 2s`],
    ['ejection', 'shop', `${BLUE} in pool blue of shop is ejected: no answer in 2s`],
  ])
  expect(told[0].data).toEqual({
    pool: 'blue',
    target: BLUE,
    detail: 'no answer in 2s',
    health: 'unhealthy',
    before: 'unknown',
  })
})
