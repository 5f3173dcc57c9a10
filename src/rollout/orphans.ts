/** Services that a rollout has set apart, of which nothing is known any more. */
import type { Logger } from 'pino'
import type { Control } from '../change.ts'
import type { Clock } from '../clock.ts'
import { own } from '../config/record.ts'
import type { Archive } from './archive.ts'
import { retry } from './retry.ts'

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

/** Has what was written in the store without our knowledge taken over: what a change would come upon is read before it is tried. */
export async function takeOver(control: Control, service: string): Promise<void> {
  const spec = own(control.snapshot().services, service)
  if (spec === undefined) return
  const change = { kind: 'split', service, weights: spec.split ?? {} } as const
  await control.change(change, { actor: 'rollouts', dryRun: true }).catch(() => {})
}

/** One that has failed to begin leaves nothing behind, also where its first shift was reported as failed and had happened; tried until it is so. */
export async function undoBegin(
  { control, clock, log }: { readonly control: Control; readonly clock: Clock; readonly log: Pick<Logger, 'warn'> },
  archive: Pick<Archive, 'forget'>,
  service: string,
  isWanted: () => boolean,
): Promise<void> {
  const undo = async () => {
    await archive.forget(service)
    await takeOver(control, service)
    await freeOrphans(control, log, (name) => name !== service)
  }
  const failed = (error: unknown) =>
    log.warn({ err: error, service }, 'a rollout that has not begun cannot be undone yet')
  await retry(clock, undo, failed, isWanted)
}
