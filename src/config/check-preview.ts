/** What the schema cannot say of the preview hosts of a service: that each of its pools has one, which is a host, and whose. */
import { parseRouteHost } from './address.ts'
import { checkNetworks } from './check-condition.ts'
import type { Report } from './check-service.ts'
import { child } from './pointer.ts'
import { POOL_MARK, previewHosts, previewOf } from './preview.ts'
import type { ServiceSpec } from './schema.ts'

/** Adds every fault of `preview`, at `at`. */
export function checkPreview(report: Report, at: string, spec: Pick<ServiceSpec, 'pools' | 'preview'>): void {
  const preview = previewOf(spec.preview)
  if (preview === null || !report.sound(at)) return
  const hostAt = typeof spec.preview === 'string' ? at : child(at, 'host')
  const marks = preview.host.split(POOL_MARK).length - 1
  if (marks !== 1 || preview.host.includes('*')) {
    report.add(hostAt, `${JSON.stringify(preview.host)} must have ${POOL_MARK} in it once, and no "*"`)
    return
  }
  for (const [pool, host] of previewHosts(spec)) {
    const parsed = parseRouteHost(host)
    if ('bad' in parsed) report.add(hostAt, `the preview host of pool ${JSON.stringify(pool)}: ${parsed.bad}`)
  }
  checkNetworks(report, child(at, 'from'), preview.from ?? [])
}
