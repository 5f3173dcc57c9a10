/** Starts the targets (bench/upstream.ts) as a process of their own. */
import { fileURLToPath } from 'node:url'
import { firstLine, startChild } from './process.ts'

export interface Targets {
  readonly blue: number
  readonly green: number
  readonly pid: number
  stop(): Promise<void>
}

/** Resolves when both pools listen; `core` is where they run, null for anywhere. */
export async function startTargets(core: number | null): Promise<Targets> {
  const file = fileURLToPath(new URL('./upstream.ts', import.meta.url))
  const child = startChild([process.execPath, file], { core })
  const { blue, green } = JSON.parse(await firstLine(child))
  return { blue, green, pid: child.pid, stop: () => child.stop() }
}
