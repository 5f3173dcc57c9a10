/** What the schema cannot say about the limits of a service. */
import type { Report } from './check-service.ts'
import { child } from './pointer.ts'
import type { ServiceSpec } from './schema.ts'

/** Adds every fault of the limits, at `at`; false when the schema has refused any of them. */
export function checkCapacity(report: Report, at: string, capacity: NonNullable<ServiceSpec['capacity']>): boolean {
  if (!report.sound(at)) return false
  const { requestsPerTarget, requestsPerPool } = capacity
  if (requestsPerTarget === undefined && requestsPerPool === undefined) {
    report.add(at, 'missing key "requestsPerTarget" (or "requestsPerPool"): without a limit nothing ever waits', {
      about: 'key',
    })
  } else if (requestsPerTarget !== undefined && requestsPerPool !== undefined && requestsPerPool < requestsPerTarget) {
    const why = `a pool that carries ${requestsPerPool} requests never gives one target ${requestsPerTarget}`
    report.add(child(at, 'requestsPerPool'), why)
  }
  return true
}
