/** An abort whose live pool has died meanwhile: done, as it always is; refused to whoever wants to be asked again. */
import { expect, onTestFinished, test } from 'vitest'
import { SHOP } from '../admin/stand-in.ts'
import { type Stand, stand, watching } from './stand.ts'

/** A rollout that watches its first tenth, where all was blue's before, and another's before that. */
async function begun(before = 'blue'): Promise<Stand> {
  const pools = { ...SHOP.pools, red: { version: '0.9', targets: ['http://127.0.0.1:3003'] } }
  const stood = await stand(undefined, {}, { ...SHOP, pools, split: { [before]: 1 } })
  const { control, rollouts } = stood
  if (before !== 'blue') await control.change({ kind: 'switch', to: { shop: 'blue' } }, { actor: 'test' })
  onTestFinished(() => rollouts.close())
  await rollouts.start()
  const steps = [{ weight: 10, for: '1h' }]
  await rollouts.begin(
    'shop',
    { to: 'green', steps, keep: 0 } as object as Parameters<typeof rollouts.begin>[1],
    'alice',
  )
  await watching(stood, 10)
  return stood
}

/** From now on the pool fails. */
async function kill({ control, clock }: Stand, pool: string): Promise<void> {
  const [[target, { addresses }]] = Object.entries(control.snapshot().status['shop'].pools[pool].targets)
  const ejectedUntilMs = clock.steadyMs() + 3_600_000
  await control.observe([
    { service: 'shop', pool, target, address: addresses[0].address, ejectedUntilMs, detail: 'a test' },
  ])
}

test('it is refused where only the new version answers, unless with force, which is the default', async () => {
  const stood = await begun()
  const { control, rollouts } = stood
  await kill(stood, 'blue')
  const { revision } = control.snapshot()
  await expect(rollouts.command('shop', 'current', 'abort', 'bob', { force: false })).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringMatching(
      /^Nobody would be left to answer for shop: rollout r-1 goes back to blue, where no target can answer now\. Nothing has changed; with force /,
    ),
  })
  expect([control.snapshot().revision, rollouts.running('shop')?.state]).toEqual([revision, 'shifting'])
  expect((await rollouts.command('shop', 'current', 'abort', 'bob')).state).toMatch(/rollingBack|rolledBack/)
})

test.each([[[]], [['blue', 'green']]])(
  'with %j dead it is done: somebody answers, or nobody did before either',
  async (dead) => {
    const stood = await begun()
    for (const pool of dead) await kill(stood, pool)
    const told = await stood.rollouts.command('shop', 'current', 'abort', 'bob', { force: false })
    expect(told.state).toMatch(/rollingBack|rolledBack/)
  },
)

test('it is done where the pool that takes over would answer then, as before the rollout', async () => {
  const stood = await begun('red')
  await kill(stood, 'blue')
  const told = await stood.rollouts.command('shop', 'current', 'abort', 'bob', { force: false })
  expect(told.state).toMatch(/rollingBack|rolledBack/)
  expect(stood.control.snapshot().status['shop'].fallback).toEqual(['red'])
})
