/** What the store tests write: small, and different for every number. Without vitest, for the child process too. */
import type { ServiceSpec } from '../../src/config/schema.ts'
import type { RevisionEntry } from '../../src/store/store.ts'
import type { ServiceIntent } from '../../src/table/status.ts'

export const serviceSpec = (version = '1.0'): ServiceSpec =>
  ({ routes: [{ host: '*', path: '/' }], pools: { blue: { version, targets: [] } }, split: { blue: 100 } }) as never

export const serviceIntent = (releaseLast = 1): ServiceIntent => ({
  release: `r${releaseLast}`,
  releaseLast,
  pools: { blue: { admin: 'ready', drainUntilMs: 0, targets: {} } },
  previous: null,
})

export const entry = (n: number): Omit<RevisionEntry, 'revision'> => ({
  atMs: 1_700_000_000_000.25 + n,
  actor: 'test',
  change: { kind: 'split', service: 'shop', weights: { blue: n } },
  services: { shop: serviceSpec(`${n}`) },
  intents: { shop: serviceIntent(n) },
})
