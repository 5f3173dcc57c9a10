/** Series for pools: one place for their labels. */
import type { Family, Sample, Scrape } from './family.ts'

/** Reads the samples of each pool of each service. */
export const perPool =
  (of: (scrape: Scrape, service: string, pool: string) => readonly Sample[]): Family['read'] =>
  (scrape) =>
    Object.entries(scrape.snapshot.services).flatMap(([service, { pools }]) =>
      Object.entries(pools).flatMap(([pool, { version }]) =>
        of(scrape, service, pool).map((sample) => ({ ...sample, sharedLabels: { service, pool, version } })),
      ),
    )
