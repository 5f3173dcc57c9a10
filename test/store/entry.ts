/** What the store tests write: small, and different for every number. Without vitest, for the child process too. */
import type { ServiceSpec } from '../../src/config/schema.ts'
import { type Commit, NOWHERE, type Position, type Store, type WrittenService } from '../../src/store/store.ts'

export const serviceSpec = (version = '1.0'): ServiceSpec =>
  ({ routes: [{ host: '*', path: '/' }], pools: { blue: { version, targets: [] } }, split: { blue: 100 } }) as never

/** A service as it is written. */
export const service = (n: number): WrittenService => ({
  spec: serviceSpec(`${n}`),
  intent: { release: `r${n}`, pools: { blue: { admin: 'standby', drainUntilMs: 0, targets: {} } }, previous: null },
})

const audit = (n: number) => ({
  atMs: 1_700_000_000_000.25 + n,
  actor: 'test',
  change: { kind: 'split', service: 'shop', weights: { blue: n } },
})

/** The change of service `shop` to its state n, from the one before. */
export const entry = (n: number, before: WrittenService | null = n > 1 ? service(n - 1) : null): Commit => ({
  ...audit(n),
  releaseLast: n,
  services: { shop: { before, after: service(n) } },
})

/** The document after entry n, and that revision. */
export const document = (n: number) => ({
  releaseLast: n,
  services: { shop: { ...service(n), revision: n } },
  unchanged: [],
  hasLost: false,
})
export const revision = (n: number) => ({ revision: n, ...audit(n), services: { shop: service(n) } })

/** Commits entries 1 to `count` to an empty store. */
export async function commitAll(store: Store, count: number): Promise<Position> {
  let position = NOWHERE
  for (let n = 1; n <= count; n++) position = await store.commit(position, entry(n))
  return position
}
