/** Services that a rollout has set apart, of which nothing is known any more. */
import type { Logger } from 'pino'
import type { Control } from '../change.ts'

/** They belong to everybody again; their split stays. `isRun` tells of which services a rollout runs. */
export async function freeOrphans(
  control: Control,
  log: Pick<Logger, 'warn'>,
  isRun: (service: string) => boolean,
): Promise<void> {
  const { services, status } = control.snapshot()
  for (const [service, { trial }] of Object.entries(status)) {
    if (trial === undefined || isRun(service)) continue
    const weights = services[service].split ?? {}
    const change = { kind: 'shift', service, weights, trial: null, before: weights, rollout: '' } as const
    await control.change(change, { actor: 'rollouts', force: true })
    log.warn({ service }, 'of the rollout of this service nothing is known any more; its split stays as it is')
  }
}
