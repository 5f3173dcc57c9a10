/** What a rollout cannot be begun with. */
import { expect, test } from 'vitest'
import { SHOP } from '../admin/stand-in.ts'
import { stand } from './stand.ts'

const EMPTY = { ...SHOP, pools: { ...SHOP.pools, green: { version: '1.1', targets: [] } }, split: { blue: 100 } }
const HOOK = { at: 'BeforeInstall', url: 'http://127.0.0.1:1/' }

test('a pool without targets is refused at once, unless a hook or the time until it begins may bring some', async () => {
  const { rollouts } = await stand(undefined, {}, EMPTY)
  await expect(rollouts.begin('shop', { to: 'green' }, 'test')).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('Pool green has no targets'),
  })
  expect(rollouts.running('shop')).toBe(null)
  for (const sent of [{ hooks: [HOOK] }, { schedule: { notBefore: '2030-01-01T00:00' } }]) {
    const begun = await (await stand(undefined, {}, EMPTY)).rollouts.begin(
      'shop',
      { to: 'green', ...sent } as never,
      'test',
    )
    expect(begun.state).toBe('preflight')
  }
})
