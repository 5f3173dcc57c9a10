/** What `serve` tells of a configuration that it cannot follow in full. */
import type { Logger } from 'pino'
import { type Spec, SpecSchema } from '../config/schema.ts'
import { EARLIER, type KeptAtStart } from '../control/config-file.ts'

/** Tells when the system allows fewer open files than `limits.connectionsMax` needs. */
export function warnOfDescriptors(log: Logger, { limits }: Spec, { connectionsMax }: { connectionsMax: number }): void {
  if (connectionsMax >= limits.connectionsMax) return
  const wish = `instead of the ${limits.connectionsMax} of limits.connectionsMax`
  log.warn(`the limit of open files (ulimit -n, LimitNOFILE) leaves ${connectionsMax} client connections, ${wish}`)
}

/** All but the services is read at start; a change of it is told, not half applied. */
export function warnOfRestart(log: Pick<Logger, 'warn'>, running: Spec, fresh: Spec): void {
  const keys = (Object.keys(SpecSchema.properties) as (keyof Spec)[]).filter(
    (key) => key !== 'services' && JSON.stringify(running[key]) !== JSON.stringify(fresh[key]),
  )
  if (keys.length > 0)
    log.warn({ keys }, `changed in the file, but read only at start: ${keys.join(', ')} (an upgrade reads it, too)`)
}

/** Tells what of the file was not applied at the start. */
export function warnOfKept(log: Logger, { isEarlier, gone, tried, switched }: KeptAtStart): void {
  if (isEarlier) log.warn(EARLIER)
  if (gone.length > 0) log.warn({ services: gone }, 'no longer in the file, and kept until it is applied with --prune')
  if (tried.length > 0) {
    log.warn({ services: tried }, 'a rollout of these runs: what the file says of them waits until it is applied again')
  }
  if (switched.length > 0) {
    const what = 'a switch of these is under way, or was when Turnout ended'
    log.warn({ services: switched }, `${what}: what the file says of them waits until it is applied again`)
  }
}
