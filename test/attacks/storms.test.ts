/** Clients that begin and leave at once, over and over: nothing is left of any of them. */
import { expect, test } from 'vitest'
import { until } from '../helpers/raw.ts'
import { attack } from './arena.ts'

const AT_EVIL = 'service="evil"'

test('upgrades that are left at once leave no tunnel and no connection to the target', async () => {
  const { tally, count } = await attack('upgradeStorm', async (during) => {
    await until('many were upgraded', async () => (await during('turnout_tunnels_opened_total', AT_EVIL)) >= 100)
  })
  expect(tally['101']).toBeGreaterThanOrEqual(100)
  await until('none is left', async () => (await count('turnout_upstream_connections', AT_EVIL)) === 0)
})

test('connections that are reset in any phase leave nothing under way and no connection to the target', async () => {
  const { count } = await attack('rstStorm', async (during) => {
    const accepted = () => during('turnout_accepted_connections_total')
    await until('many came', async () => (await accepted()) >= 300)
    // Those reset behind a whole request; their target never answers.
    await until('many left', async () => (await during('turnout_aborted_total', AT_EVIL)) >= 20)
  })
  await until('none is left', async () => (await count('turnout_upstream_connections', AT_EVIL)) === 0)
  expect(await count('turnout_upstream_failures_total')).toBe(0)
})
