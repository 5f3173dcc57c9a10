/**
 * Every way in which a worker thread can be lost, each as a bug would make it: it is told with its reason, counted, replaced, and
 * the process lives on.
 */
import { expect, test } from 'vitest'
import { until } from '../helpers/raw.ts'
import { startNamed } from '../helpers/upstream.ts'
import { followWorkers } from '../helpers/worker-inspector.ts'
import { counted, startWorkers } from './stand-in.ts'

const LEAK = `globalThis.kept = []; (function leak() {
  for (let i = 0; i < 5_000; i++) kept.push({ i, text: 'number ' + i })
  setImmediate(leak)
})()`

/** Keeps most of the heap that it may have, and never needs more; its garbage is collected now and then. */
const KEEP = `(() => {
  const { getHeapStatistics } = process.getBuiltinModule('node:v8')
  globalThis.kept = []
  const full = (getHeapStatistics().heap_size_limit - 24 * 2 ** 20) * 0.75
  const text = () => Buffer.alloc(10_000, 65).latin1Slice()
  while (getHeapStatistics().used_heap_size < full) kept.push(text())
  ;(function litter() {
    new Array(50_000).fill(0)
    setTimeout(litter, 5)
  })()
})()`

const ways: readonly [way: string, code: string, reason: string, message: RegExp][] = [
  ['an uncaught error', `setImmediate(() => { throw new Error('broken') })`, 'crash', /^has failed: Error: broken\n/],
  ['something thrown that is no error', 'setImmediate(() => { throw null })', 'crash', /^has failed: null$/],
  ['a rejection that nobody handles', `Promise.reject(new Error('rejected'))`, 'crash', /^has failed: Error: rejected/],
  ['its exit', 'process.exit(3)', 'crash', /^has exited with code 3$/],
  ['a heap that runs over', LEAK, 'memory', /^has run out of heap$/],
  ['a heap that is nearly full for good', KEEP, 'memory', /^has run out of heap$/],
  ['an endless loop', 'for (;;) {}', 'loop', /^is in an endless loop$/],
  [
    'an endless queue of microtasks',
    '(function next() { Promise.resolve().then(next) })()',
    'loop',
    /^is in an endless/,
  ],
]

for (const [way, code, reason, message] of ways) {
  test(`a worker that is lost by ${way} is replaced, with its reason, and the process lives on`, async () => {
    const threads = followWorkers()
    const blue = await startNamed('blue')
    const started = await startWorkers({ heapMb: 96 })
    await started.route(blue.url)
    expect(await started.served()).toBe('blue')

    threads.run(0, code)
    await until('it is replaced', () => started.replaced.length === 1 && started.workers.ready)
    expect(started.losses).toEqual([{ index: 0, reason, message: expect.stringMatching(message), pauseMs: 0 }])
    expect(counted(started)).toEqual({ [reason]: 1 })
    expect(await started.served()).toBe('blue')
  })
}
