/** The demo's fleet: `blue` 1.0 with two targets and `green` 1.1 with one, all real HTTP servers on loopback. */
import { startTarget } from './target.ts'

/** The pools of the demo, in the order of their ports. */
const FLEET = [
  { pool: 'blue', version: '1.0' },
  { pool: 'blue', version: '1.0' },
  { pool: 'green', version: '1.1' },
] as const

/** Ports that the fleet takes when they are free. */
export const FLEET_PORTS: readonly number[] = [3001, 3002, 3003]

export interface Fleet {
  /** Target URLs by pool. */
  readonly targets: { readonly blue: readonly string[]; readonly green: readonly string[] }
  stop(): Promise<void>
}

/** Starts the fleet; a port that is taken (or 0) becomes a free one. Default ports: 3001, 3002, 3003. */
export async function startFleet(options: { readonly ports?: readonly number[] } = {}): Promise<Fleet> {
  const ports = options.ports ?? FLEET_PORTS
  const targets = { blue: [] as string[], green: [] as string[] }
  const stops: (() => Promise<void>)[] = []
  for (const [index, { pool, version }] of FLEET.entries()) {
    const target = await startTarget(pool, version, ports[index] ?? 0)
    targets[pool].push(target.url)
    stops.push(target.stop)
  }
  return {
    targets,
    async stop() {
      await Promise.all(stops.map((stop) => stop()))
    },
  }
}
