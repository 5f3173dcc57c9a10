/** What an older Turnout has stored of a rollout, in the form of today. What is no record is an empty one. Pure. */
import { isRecord } from '../config/record.ts'

/** A record as it would be written today: those of an older Turnout had no rolling releases, another form of tests, and no metrics from outside. */
export function ofToday(stored: unknown): Readonly<Record<string, unknown>> {
  if (!isRecord(stored)) return {}
  const { wish, rollout, tests = null } = stored
  const wished = isRecord(wish) && {
    ...wish,
    plan: planIn(wish),
    verdict: isRecord(wish['verdict']) ? { given: [], ...wish['verdict'] } : wish['verdict'],
  }
  return {
    ...stored,
    tests,
    ...(wished && { wish: wished }),
    ...(isRecord(rollout) && { rollout: { begun: 0, ...rollout, plan: planIn(rollout) } }),
  }
}

/** A plan that could not be rolling said so otherwise. */
function planIn({ plan }: Readonly<Record<string, unknown>>): unknown {
  return isRecord(plan) && plan['batches'] === undefined && plan['batch'] === null ? { ...plan, batches: null } : plan
}
