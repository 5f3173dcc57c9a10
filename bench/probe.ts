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

/** The worker stands still while its heap is written: until the main thread does it, its watchdog is to wait so much longer. */
const PATIENCE_MS = 10_000
/** How often the main thread gives the signs of life of such a worker, which on a busy machine is silent for longer than any may be. */
const ALIVE_MS = 100

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

/** From a worker to the main thread: where its signs of life are, while it writes its heap, and again when it has. */
interface Writing {
  readonly lanes: Float64Array
  readonly aliveAt: number
  readonly goesOn: boolean
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
  const { lanes } = memory
  const at = index * WORKER_FIELDS + WORKER_FIELD.patienceMs
  const aliveAt = index * WORKER_FIELDS + WORKER_FIELD.aliveMs
  lanes[at] += PATIENCE_MS
  channel.postMessage({ lanes, aliveAt, goesOn: true } satisfies Writing)
  try {
    return work()
  } finally {
    // It has moved, which it would say by itself only after this.
    lanes[aliveAt] = performance.now()
    lanes[at] -= PATIENCE_MS
    channel.postMessage({ lanes, aliveAt, goesOn: false } satisfies Writing)
  }
}

/** In the main thread, by where their signs of life are. */
const writers = new Map<number, NodeJS.Timeout>()

function keepAlive({ lanes, aliveAt, goesOn }: Writing): void {
  clearInterval(writers.get(aliveAt))
  if (goesOn) writers.set(aliveAt, setInterval(() => void lanes[aliveAt]++, ALIVE_MS).unref())
}

const channel = new BroadcastChannel('turnout-bench-probe')
if (isMainThread) {
  process.on('message', (asked: ExchangeRequest) => {
    process.send?.(answer(asked))
    channel.postMessage(asked)
  })
  process.channel?.unref()
  channel.onmessage = ({ data }) => {
    if ('goesOn' in data) keepAlive(data as Writing)
    else process.send?.(data)
  }
} else {
  // The other workers' answers come along here too.
  channel.onmessage = ({ data }) => {
    if ('what' in data) channel.postMessage(answer(data as ExchangeRequest))
  }
}
// The types leave it out, as browsers have none.
;(channel as unknown as { unref(): void }).unref()
