/**
 * The JavaScript heap of a worker: how much is used, and its end in good order before it is full.
 *
 * Node ends a worker whose heap reaches its limit, but only between two steps of JavaScript. If V8 needs one large piece at
 * that moment (a map of millions of entries doubles), it aborts the whole process. A leak passes through many full garbage
 * collections before that. So after each full collection we look at what is still in use: above `FULL_SHARE` of the limit the
 * worker throws, and is replaced as after any other error.
 */
import { constants, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks'
import { getHeapStatistics } from 'node:v8'
import { resourceLimits } from 'node:worker_threads'

/** Share of the old part of the heap that may be in use after a full garbage collection; a large table may double beside it. */
export const FULL_SHARE = 0.6
/** Sweeps between two looks at the heap; each costs some microseconds. */
const SWEEPS = 50

let sweeps = 0
let usedBytes = 0

/** Heap of this worker, as it was at most `SWEEPS` sweeps ago. */
export function heapBytes(): number {
  if (sweeps++ % SWEEPS === 0) usedBytes = getHeapStatistics().used_heap_size
  return usedBytes
}

/** From now on throws `ERR_WORKER_OUT_OF_MEMORY`, as Node does at the limit, when a full collection could not free enough. */
export function endWhenFull(): void {
  const youngBytes = (resourceLimits.maxYoungGenerationSizeMb ?? 0) * 1_048_576
  new PerformanceObserver((list) => {
    if (!list.getEntries().some(isFullCollection)) return
    const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics()
    if (used > (limit - youngBytes) * FULL_SHARE) {
      throw Object.assign(new Error('the heap is full'), { code: 'ERR_WORKER_OUT_OF_MEMORY' })
    }
  }).observe({ entryTypes: ['gc'] })
}

function isFullCollection(entry: PerformanceEntry): boolean {
  const { detail } = entry as PerformanceEntry & { readonly detail: { readonly kind: number } }
  return detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR
}
