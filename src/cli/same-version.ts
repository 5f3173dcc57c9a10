/** Whether a rollout brings what runs already: a job with an old tag looks just like one with a new one. Pure. */
import { own } from '../config/record.ts'

interface Deployed {
  readonly pools: Readonly<Record<string, { readonly version?: string }>>
  readonly split: Readonly<Record<string, number>>
}

/** What is said of a version that every other pool with traffic has already, or the pool itself where it has all traffic; else null. */
export function sameInWords({ pools, split }: Deployed, service: string, to: string, sent?: string): string | null {
  const version = sent ?? own(pools, to)?.version ?? ''
  const serving = Object.keys(split).filter((pool) => split[pool] > 0)
  const others = serving.filter((pool) => pool !== to)
  const live = others.length > 0 ? others : serving
  if (version === '' || live.length === 0 || live.some((pool) => own(pools, pool)?.version !== version)) return null
  return `version ${version} runs already (pool ${live.join(', ')} of ${service}), and is rolled out once more; for another one end this (turnout rollout abort ${service}) and give its --version`
}
