/**
 * Preloaded into a measured Turnout (`node --expose-gc --import bench/probe.ts`), in its main thread and in every worker:
 * collects garbage, tells of memory, writes heap snapshots, when the bench asks (bench/probed.ts).
 *
 * The bench talks to the main thread by process messages, and that to the workers by a BroadcastChannel. Until it is asked it
 * costs nothing; it is used only where memory is measured, never where CPU is.
 */
import { writeHeapSnapshot } from 'node:v8'
import { isMainThread, threadId, workerData } from 'node:worker_threads'
import type { WorkerStart } from '../src/dataplane/messages.ts'
import { WORKER_FIELD, WORKER_FIELDS } from '../src/metrics/layout.ts'

/** The worker stands still while its heap is written, on a busy machine for seconds: its watchdog is to wait so much longer. */
const PATIENCE_MS = 50_000

/** What the bench asks; every thread answers. */
export interface ExchangeRequest {
  readonly id: number
  /** `collect`: garbage first, then memory; `memory`: as it is; `snapshot`: of workers, into `folder`, garbage first. */
  readonly what: 'collect' | 'memory' | 'snapshot'
  readonly folder: string
}

/** Memory of one thread in bytes. `external` includes `arrayBuffers`. */
export interface ThreadMemory {
  readonly id: number
  /** 0 is the main thread. */
  readonly thread: number
  readonly heapUsed: number
  readonly heapTotal: number
  readonly external: number
  readonly arrayBuffers: number
  /** Path of the snapshot; empty when there is none. */
  readonly snapshot: string
}

function answer({ id, what, folder }: ExchangeRequest): ThreadMemory {
  const { gc } = globalThis as { gc?: () => void }
  if (what !== 'memory') for (let i = 0; i < 3; i++) gc?.()
  const wanted = what === 'snapshot' && !isMainThread
  const snapshot = wanted ? patiently(() => writeHeapSnapshot(`${folder}/${id}-${threadId}.heapsnapshot`)) : ''
  const { heapUsed, heapTotal, external, arrayBuffers } = process.memoryUsage()
  return { id, thread: threadId, heapUsed, heapTotal, external, arrayBuffers, snapshot }
}

/** In a worker only. */
function patiently(work: () => string): string {
  const { memory, index } = workerData as WorkerStart
  const at = index * WORKER_FIELDS + WORKER_FIELD.patienceMs
  memory.lanes[at] += PATIENCE_MS
  try {
    return work()
  } finally {
    // It has moved, which it would say by itself only after this.
    memory.lanes[index * WORKER_FIELDS + WORKER_FIELD.aliveMs] = performance.now()
    memory.lanes[at] -= PATIENCE_MS
  }
}

const channel = new BroadcastChannel('turnout-bench-probe')
if (isMainThread) {
  process.on('message', (asked: ExchangeRequest) => {
    process.send?.(answer(asked))
    channel.postMessage(asked)
  })
  process.channel?.unref()
  channel.onmessage = ({ data }) => process.send?.(data)
} else {
  // The other workers' answers come along here too.
  channel.onmessage = ({ data }) => {
    if ('what' in data) channel.postMessage(answer(data as ExchangeRequest))
  }
}
// The types leave it out, as browsers have none.
;(channel as unknown as { unref(): void }).unref()
