/**
 * What visitors of a service in maintenance are given, ready to be sent: made with the first request that gets it, and kept as long as what it was made
 * of. Clients that read slowly share its memory. Whoever asks for JSON gets the error as such, with the status of the page.
 */
import { ERRORS } from '../errors.ts'
import type { SharedMemory } from '../metrics/layout.ts'
import { maintenanceOffset } from '../metrics/maintenance.ts'
import type { MaintenancePlan } from '../table/plan.ts'
import type { ServiceTable } from '../table/types.ts'
import type { Lookups } from './lookups/lookups.ts'

/** One page as it is answered; `body` never changes. */
export interface Page {
  readonly status: number
  /** 0: clients are not told. */
  readonly retryAfterS: number
  readonly contentType: string
  readonly body: Buffer
}

const DEFAULT_BODY = Buffer.from(`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Down for maintenance</title></head>
<body><h1>Down for maintenance</h1><p>We are working on it, and will be back soon.</p></body>
</html>
`)

export class MaintenancePages {
  readonly #counts: Float64Array
  readonly #index: number
  readonly #lookups: Pick<Lookups, 'pageOf'>
  readonly #bodies = new WeakMap<MaintenancePlan, Buffer>()

  /** For worker `index`. */
  constructor({ maintenance }: Pick<SharedMemory, 'maintenance'>, index: number, lookups: Pick<Lookups, 'pageOf'>) {
    this.#counts = maintenance
    this.#index = index
    this.#lookups = lookups
  }

  /** The page for a request to a service that is in maintenance, which is counted. */
  take({ maintenance, slot }: ServiceTable, json: boolean, requestId: string): Page {
    const { plan } = maintenance!
    this.#counts[maintenanceOffset(this.#index, slot)]++
    const { status, retryAfterS, contentType } = plan
    if (!json || contentType.includes('json')) return { status, retryAfterS, contentType, body: this.#bodyOf(plan) }
    const { message } = ERRORS.maintenance
    const body = Buffer.from(JSON.stringify({ status, code: 'maintenance', message, requestId }) + '\n')
    return { status, retryAfterS, contentType: 'application/json', body }
  }

  #bodyOf(plan: MaintenancePlan): Buffer {
    if (plan.file !== null) return this.#lookups.pageOf(plan.file) ?? DEFAULT_BODY
    if (plan.body === null) return DEFAULT_BODY
    let body = this.#bodies.get(plan)
    if (body === undefined) {
      body = Buffer.from(plan.body, 'latin1')
      this.#bodies.set(plan, body)
    }
    return body
  }
}
