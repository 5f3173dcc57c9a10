/** What a running Turnout looks requests up in: by its workers, and by the main thread itself for explain and dry runs. */
import { randomInt } from 'node:crypto'
import type { Logger } from 'pino'
import type { Clock } from '../clock.ts'
import type { Spec } from '../config/schema.ts'
import { type Lookup, Lookups } from '../dataplane/lookups.ts'
import { LookupFiles } from './lookups.ts'

/** Header by which trusted proxies tell the country of their client, as requests are asked for it; null for none. */
export const countryHeaderOf = ({ country }: Pick<Spec, 'country'>): string | null =>
  country?.header?.toLowerCase() ?? null

/** The files, still to be opened, and what comes of them for this thread; `give` is for the workers. */
export function startLookups(
  spec: Pick<Spec, 'country'>,
  directory: string,
  log: Pick<Logger, 'info' | 'warn'>,
  clock: Clock,
  give: (lookup: Lookup) => void,
): { readonly lookups: Lookups; readonly files: LookupFiles } {
  const lookups = new Lookups([], countryHeaderOf(spec))
  const files = new LookupFiles({
    clock,
    directory,
    country: spec.country,
    secret: () => [randomInt(2 ** 32), randomInt(2 ** 32)],
    give(lookup) {
      lookups.take(lookup)
      give(lookup)
    },
    log,
  })
  return { lookups, files }
}
