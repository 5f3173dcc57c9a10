/** What the schema cannot say of the page for maintenance: that there is one of it, that it fits, and that `allow` lets somebody in. */
import { octetsOfText } from '../table/octets.ts'
import { checkConditions } from './check-rules.ts'
import type { Report } from './check-service.ts'
import { durationMs } from './duration.ts'
import { child } from './pointer.ts'
import type { ServiceSpec } from './schema.ts'
import { PAGE_BYTES_MAX } from './schema-maintenance.ts'

/** A year: what is longer was meant otherwise. */
const RETRY_AFTER_MS_MAX = 31_536_000_000

/** Adds every fault of the page for maintenance; `sources` are those of the visitor. */
export function checkMaintenance(
  report: Report,
  at: string,
  spec: NonNullable<ServiceSpec['maintenance']>,
  sources: readonly string[],
): void {
  if (!report.present(at)) return
  const { body, file, retryAfter, allow } = spec
  if (body !== undefined && file !== undefined) report.add(child(at, 'file'), 'give either body or file, not both')
  if (body !== undefined && report.sound(child(at, 'body')) && octetsOfText(body).length > PAGE_BYTES_MAX) {
    report.add(child(at, 'body'), `has more than ${PAGE_BYTES_MAX} bytes`)
  }
  const retryAt = child(at, 'retryAfter')
  if (report.sound(retryAt) && durationMs(retryAfter) > RETRY_AFTER_MS_MAX) {
    report.add(retryAt, `${retryAfter} is too long: at most 365d`)
  }
  if (allow !== undefined) checkConditions(report, child(at, 'allow'), { when: allow, name: 'allow' }, sources)
}
