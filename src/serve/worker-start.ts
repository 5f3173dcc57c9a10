/** What every worker is started with: from the spec, and from what the system allows. */
import { networkOf } from '../config/address.ts'
import { planLimits, planTimeouts } from '../config/plan.ts'
import { countryHeaderOf, tokenPlanOf } from '../lookups/start.ts'
import { descriptorsMax, withinDescriptors } from '../workers/descriptors.ts'
import type { WorkersOptions } from '../workers/workers.ts'
import type { CookieSecrets } from './cookie-secrets.ts'
import type { ServeOptions } from './options.ts'

/** The same for all workers. */
export function workerStart(options: ServeOptions, cookies: CookieSecrets): WorkersOptions['start'] {
  const { spec } = options
  return {
    // Also for a single worker, whose successor may have to start while it still closes its connections.
    reusePort: process.platform === 'linux',
    limits: withinDescriptors(planLimits(spec.limits), descriptorsMax()),
    timeouts: planTimeouts(spec.timeouts),
    trustedProxies: spec.trustedProxies.map(networkOf),
    countryHeader: countryHeaderOf(spec),
    tokens: tokenPlanOf(spec),
    ...cookies,
    accessSample: spec.log.access ? spec.log.sample : 0,
    sharedReads: options.sharedReads ?? true,
    splices: options.splices ?? true,
  }
}
