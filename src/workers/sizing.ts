/**
 * How many workers there are, and how much JavaScript heap each may use.
 *
 * The heap limit is what keeps a leak in one worker from taking the process: a worker that has too much in use is ended, while
 * without a limit the system would end the process. So it is enough for all that the limits let clients make us hold, and
 * never so much that all workers at their limit leave nothing for what is not JavaScript heap (sockets, TLS, buffers: bounded
 * per connection) and for the main thread. `--max-old-space-size`, given to Node, goes before it.
 */
import { availableParallelism, totalmem } from 'node:os'
import type { LimitsPlan } from '../config/plan.ts'
import type { Spec } from '../config/schema.ts'
import { FULL_SHARE } from '../dataplane/heap.ts'

const MIB = 1_048_576
/** Heap of a worker beside its connections: code, tables, buffers of heads. */
const BASE_BYTES = 256 * MIB
/** Heap of a connection beside the head that it has sent. */
const CONNECTION_BYTES = 8_192
/** Part of the memory that the heaps of all workers may reach together. */
const MEMORY_SHARE = 0.75
const HEAP_MB_MIN = 128

/** Number of workers: one to each core, unless told otherwise. */
export function workerCount({ workers }: Pick<Spec, 'workers'>): number {
  // Elsewhere several sockets cannot share an address, or do not share its connections evenly.
  if (process.platform !== 'linux') return 1
  return workers === 'auto' ? availableParallelism() : workers
}

/** Heap limit of one of `count` workers in MiB; `memoryBytes` (default: of the container or the machine) are for all. */
export function workerHeapMb(
  { connectionsMax, headBytesMax }: Pick<LimitsPlan, 'connectionsMax' | 'headBytesMax'>,
  count: number,
  memoryBytes = processMemory(),
): number {
  const inUseBytes = BASE_BYTES + connectionsMax * (headBytesMax + CONNECTION_BYTES)
  const shareBytes = (memoryBytes * MEMORY_SHARE) / count
  return Math.max(HEAP_MB_MIN, Math.floor(Math.min(inUseBytes / FULL_SHARE, shareBytes) / MIB))
}

function processMemory(): number {
  // Without a limit it is 0 or a number beyond all memory.
  const limitBytes = process.constrainedMemory()
  return limitBytes > 0 ? Math.min(limitBytes, totalmem()) : totalmem()
}
