/**
 * `node bench/judged.ts`: what it costs to be judged: a request to Turnout while a rollout of its service runs, of what it costs while
 * none does. Both at once on one core (pair.ts), with the same weights; the rollout waits at its first step to be promoted.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { median } from './measure.ts'
import { readOptions } from './options.ts'
import { measurePair, pairPlan } from './pair.ts'
import { GREEN_PERCENT, type Peer } from './peers/peer.ts'
import { startTurnout, turnoutPeer } from './peers/turnout.ts'
import { decimal, occasion, writeSection } from './report.ts'
import { SCENARIOS } from './scenario.ts'

const USAGE = 'usage: node bench/judged.ts [options]'
const options = readOptions(USAGE, { rounds: 6, seconds: 2 })

interface Told {
  readonly state: string
  readonly weight: number
  readonly verdict: { readonly canary: { readonly requests: number } } | null
}

/** Begins a rollout that stays at the weight of the bench, and waits until traffic is watched. */
async function beginRollout(adminPort: number): Promise<void> {
  // Clients are served before the admin API is there.
  const isReady = () =>
    fetch(`http://127.0.0.1:${adminPort}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    )
  while (!(await isReady())) await sleep(50)
  const url = `http://127.0.0.1:${adminPort}/v1/services/shop/rollouts`
  const steps = [{ weight: GREEN_PERCENT, until: 'promoted', for: '1d' }]
  const body = JSON.stringify({ to: 'green', strategy: 'canary', steps })
  const begun = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
  if (!begun.ok) throw new Error(`the rollout has not begun: ${await begun.text()}`)
  for (let tries = 0; tries < 300; tries++) {
    const told = (await (await fetch(`${url}/current`)).json()) as Told
    if (told.state === 'shifting' && told.weight === GREEN_PERCENT) return
    await sleep(100)
  }
  throw new Error('the rollout has not come to its first step')
}

const judged: Peer = {
  ...turnoutPeer('judged', {}),
  async start(config) {
    const running = await startTurnout(config, {})
    await beginRollout(running.adminPort)
    return running
  },
}
const scenarios = SCENARIOS.slice(0, options.quick ? 1 : 2)
const found = await measurePair([turnoutPeer('Turnout', {}), judged], scenarios, pairPlan(options))
const lines = [...found].map(
  ([{ title }, ratios]) =>
    `- ${title}: ${decimal(median(ratios), 3)} × (by start: ${ratios.map((ratio) => decimal(ratio, 3)).join(', ')})`,
)
const text = `## While a rollout is judged

${occasion(new Date())}

CPU per request while a rollout of the service waits at its first step, of what it is without one. Both at once on the one core
(bench/pair.ts), with what the main thread does for it:

${lines.join('\n')}
`
if (!options.quick) writeSection('judged', text)
console.log(text)
