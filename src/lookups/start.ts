/** What a running Turnout looks requests up in: by its workers, and by the main thread itself for explain and dry runs. */
import { randomInt } from 'node:crypto'
import type { Clock } from '../clock.ts'
import type { Spec } from '../config/schema.ts'
import { type Lookup, type LookupName, Lookups } from '../dataplane/lookups/lookups.ts'
import type { TokenPlan } from '../dataplane/lookups/tokens.ts'
import { LookupFiles, type LookupsDeps } from './lookups.ts'

/** Header by which trusted proxies tell the country of their client, as requests are asked for it; null for none. */
export const countryHeaderOf = ({ country }: Pick<Spec, 'country'>): string | null =>
  country?.header?.toLowerCase() ?? null

/** By what JWTs are verified; null: they are not. */
export function tokenPlanOf({ jwt }: Pick<Spec, 'jwt'>): TokenPlan | null {
  if (jwt === undefined) return null
  return { secret: jwt.secret ?? null, issuer: jwt.issuer ?? null, audience: jwt.audience ?? null }
}

/** The files, still to be opened, and what comes of them for this thread; the workers are given it too. */
export function startLookups(
  spec: Pick<Spec, 'country' | 'jwt'>,
  directory: string,
  { log, clock, find }: Pick<LookupsDeps, 'log' | 'find'> & { readonly clock: Clock },
  workers: { give(lookup: Lookup): void; takeBack(lookup: LookupName): void },
): { readonly lookups: Lookups; readonly files: LookupFiles } {
  const lookups = new Lookups([], countryHeaderOf(spec), tokenPlanOf(spec))
  const files = new LookupFiles({
    clock,
    find,
    directory,
    country: spec.country,
    jwt: spec.jwt,
    secret: () => [randomInt(2 ** 32), randomInt(2 ** 32)],
    give(lookup) {
      lookups.take(lookup)
      workers.give(lookup)
    },
    takeBack(lookup) {
      lookups.forget(lookup)
      workers.takeBack(lookup)
    },
    log,
  })
  return { lookups, files }
}
