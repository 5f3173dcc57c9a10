/**
 * The text that Prometheus scrapes: our families (families.ts) and the process figures of prom-client, by a registry each.
 *
 * prom-client's own Counter and Histogram hold values that somebody feeds them. Ours already stand in shared memory, so
 * each family is registered as an object with `get()`, the one method that a registry asks a metric for, and answers with
 * samples read at the scrape; formatting and escaping stay prom-client's. Counters are read once for each scrape.
 * Only the time of switches is a real Histogram: it is fed by the events of control.
 */
import { collectDefaultMetrics, Histogram, type Metric, Registry } from 'prom-client'
import type { Control } from '../change.ts'
import type { Clock } from '../clock.ts'
import { FAMILIES, readScrape } from './families.ts'
import type { Family, Sample, Scrape, Told } from './family.ts'
import { Inventory } from './inventory.ts'
import type { SharedMemory } from './layout.ts'

const SWITCH_BINS_S = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export interface Exposition {
  readonly contentType: string
  /** Reads every counter and writes the text. */
  text(): Promise<string>
  /** Stops listening to control. */
  close(): void
}

/** What a registry needs of a metric. */
interface ScrapedMetric {
  readonly name: string
  readonly help: string
  readonly type: Family['type']
  readonly aggregator: 'sum'
  get(): Promise<{ name: string; help: string; type: Family['type']; aggregator: 'sum'; values: Sample[] }>
  reset(): void
}

function scraped({ name, help, type, read }: Family, scrape: () => Scrape): ScrapedMetric {
  const about = { name, help, type, aggregator: 'sum' } as const
  return { ...about, get: async () => ({ ...about, values: read(scrape()) }), reset: () => {} }
}

let figures: Registry | null = null

/**
 * What prom-client tells of the process. It is one for all expositions: prom-client watches garbage collection and the event loop from
 * then on, and lets go of neither, so each further one would be kept for good, with all that its registry knows.
 */
function processFigures(): Registry {
  if (figures === null) {
    figures = new Registry()
    collectDefaultMetrics({ register: figures })
  }
  return figures
}

/** Registers every metric; `version` is that of Turnout itself, `tell` gives what other rooms tell of themselves. */
export function createExposition(
  control: Pick<Control, 'snapshot' | 'subscribe'>,
  memory: SharedMemory,
  clock: Clock,
  version: string,
  tell: () => Told = () => ({
    names: null,
    rollouts: [],
    lookups: [],
    instances: { count: 1, staleMs: 0, local: null, unreplicated: 0, isAway: false, failures: 0, bytes: null },
    letGoBefore: () => null,
  }),
): Exposition {
  const figuresOfProcess = processFigures()
  const registry = new Registry()
  const inventory = new Inventory()
  const readAll = (): Scrape => {
    const snapshot = control.snapshot()
    return { ...readScrape(snapshot, inventory.pools(snapshot), memory, clock), ...tell() }
  }
  let scrape = readAll()
  const info: Family = {
    name: 'turnout_info',
    type: 'gauge',
    help: 'Always 1; the version of Turnout.',
    read: () => [{ value: 1, labels: { version } }],
  }
  for (const family of [...FAMILIES, info]) {
    // The type asks for one of prom-client's own classes; the registry itself asks for name and get() only.
    registry.registerMetric(scraped(family, () => scrape) as unknown as Metric)
  }
  const switches = new Histogram({
    name: 'turnout_switch_duration_seconds',
    help: 'From a validated change to its commit in every worker.',
    buckets: SWITCH_BINS_S,
    registers: [registry],
  })
  const close = control.subscribe(({ type, data }) => {
    if (type === 'change' && typeof data['appliedInMs'] === 'number') switches.observe(data['appliedInMs'] / 1_000)
  })
  return {
    contentType: registry.contentType,
    async text() {
      scrape = readAll()
      const texts = await Promise.all([figuresOfProcess.metrics(), registry.metrics()])
      // prom-client writes `Nan` where it has no figure yet; the format says `NaN`.
      return texts.join('\n').replace(/ Nan$/gm, ' NaN')
    },
    close,
  }
}
