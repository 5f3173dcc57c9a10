import type { Logger } from 'pino'
import { isTurnoutError } from '../errors.ts'
import type { Kept } from './kept.ts'

export interface EachAloneDeps {
  readonly log: Pick<Logger, 'error'>
}

/**
 * Does something with each rollout: what goes wrong with one is told, and keeps no other from it; `lose` is called with its service. Rejects with a
 * failure that is expected, such as a store that is away: all of them have it.
 */
export async function eachAlone<T extends { readonly kept: Kept }>(
  { log }: EachAloneDeps,
  all: readonly T[],
  work: (each: T) => void | Promise<void>,
  lose: (service: string) => void = () => {},
): Promise<void> {
  for (const each of all) {
    try {
      await work(each)
    } catch (err) {
      if (isTurnoutError(err)) throw err
      const { service, rollout } = each.kept
      log.error({ err, service, rollout: rollout.id }, `rollout ${rollout.id} of ${service} cannot be taken up`)
      lose(service)
    }
  }
}
