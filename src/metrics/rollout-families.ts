/**
 * The metrics of rollouts: of the one of a service that runs, else of its last. A service that never had one has none of them.
 *
 * The state is a state set, as Prometheus has it: a series for each state, 1 for the present one and 0 for the others, so that an alarm on a
 * state ends when the state does, and a graph has no gaps.
 */

import { STATES } from '../rollout/rollout.ts'
import type { ToldRollout } from '../rollout/told.ts'
import type { Family, Sample, Scrape, ScrapedRollout } from './family.ts'

/** Those of services that are in the spec. */
const present = ({ rollouts, snapshot }: Scrape): readonly ScrapedRollout[] =>
  rollouts.filter(({ last }) => Object.hasOwn(snapshot.services, last.service))

/** A gauge with one series for each service; null where there is nothing to tell. */
function ofLast(name: string, help: string, of: (rollout: ToldRollout) => number | null): Family {
  const read = (scrape: Scrape): Sample[] =>
    present(scrape).flatMap(({ last }) => {
      const value = of(last)
      return value === null ? [] : [{ value, labels: { service: last.service } }]
    })
  return { name, type: 'gauge', help, read }
}

/** In the order of the exposition. */
export const ROLLOUT_FAMILIES: readonly Family[] = [
  {
    name: 'turnout_rollout_state',
    type: 'gauge',
    help: '1 for the state of the rollout that runs, or of the last one; 0 for every other state.',
    read: (scrape) =>
      present(scrape).flatMap(({ last: { service, state } }) =>
        STATES.map((one) => ({ value: one === state ? 1 : 0, labels: { service, state: one } })),
      ),
  },
  ofLast('turnout_rollout_weight', 'Per cent of the traffic that the new version has.', ({ weight }) => weight),
  ofLast('turnout_rollout_step', 'Number of the present step, from 1 on; 0 before the first.', ({ step }) => step + 1),
  ofLast('turnout_rollout_steps', 'Number of steps that there are.', ({ steps }) => steps.length),
  ofLast(
    'turnout_rollout_evidence',
    'How much speaks against the new version: from 0 to 1, where it has failed.',
    ({ verdict }) => verdict?.evidence ?? 0,
  ),
  ofLast(
    'turnout_rollout_instances',
    'Instances that the verdict is pooled from and that are heard; absent where there is one only.',
    ({ verdict }) => verdict?.instances.filter(({ silentMs }) => silentMs === 0).length || null,
  ),
  ofLast(
    'turnout_rollout_harm',
    'Failed answers of the new version that have reached clients.',
    ({ harm }) => harm.failed,
  ),
  ofLast('turnout_rollout_harm_budget', 'So many of them may; absent without a cap.', ({ harm }) => harm.budget),
  {
    name: 'turnout_rollouts_total',
    type: 'counter',
    help: 'Rollouts that ended while this process runs, by outcome.',
    read: (scrape) =>
      present(scrape).flatMap(({ last: { service }, ended }) =>
        Object.entries(ended).map(([outcome, value]) => ({ value, labels: { service, outcome } })),
      ),
  },
  {
    name: 'turnout_rollout_verbs_total',
    type: 'counter',
    help: 'What people have asked of rollouts and was done while this process runs, by verb.',
    read: (scrape) =>
      present(scrape).flatMap(({ last: { service }, asked }) =>
        Object.entries(asked).map(([verb, value]) => ({ value, labels: { service, verb } })),
      ),
  },
]
