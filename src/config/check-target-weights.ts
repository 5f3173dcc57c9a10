/** What the schema cannot say about the weights of targets within their pool. */
import { identityOf } from './address.ts'
import type { Report } from './check-service.ts'
import { didYouMean, nearest } from './nearest.ts'
import { child } from './pointer.ts'
import type { PoolSpec } from './schema.ts'

/** Adds every fault of the weights of a pool, at `at`: each is of one of its targets, and one is above 0. */
export function checkTargetWeights(report: Report, at: string, { targets, weights }: PoolSpec): void {
  const weightsAt = child(at, 'weights')
  if (weights === undefined || !report.sound(weightsAt) || !report.sound(child(at, 'targets'))) return
  const known = new Set(targets.map(identityOf))
  const seen = new Set<string>()
  for (const text of Object.keys(weights)) {
    const identity = identityOf(text)
    if (!known.has(identity)) {
      const hint = didYouMean(nearest(text, targets))
      report.add(child(weightsAt, text), `${JSON.stringify(text)} is not a target of this pool${hint}`, {
        about: 'key',
      })
    } else if (seen.has(identity)) report.add(child(weightsAt, text), `target ${identity} stands here twice`)
    seen.add(identity)
  }
  const zeros = Object.values(weights).filter((weight) => weight === 0).length
  if (zeros > 0 && zeros >= known.size)
    report.add(weightsAt, 'every weight is 0: at least one target must get requests')
}
