/** Series for pools: one place for their labels. */
import type { Family, Sample, Scrape, ScrapedPool } from './family.ts'

/** Reads the samples of each pool of each service. */
export const perPool =
  (of: (scrape: Scrape, pool: ScrapedPool) => readonly Sample[]): Family['read'] =>
  (scrape) => {
    const samples: Sample[] = []
    for (const pool of scrape.pools) {
      for (const sample of of(scrape, pool)) samples.push({ ...sample, sharedLabels: pool.labels })
    }
    return samples
  }
