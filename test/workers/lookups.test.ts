/** What workers look requests up in: each has what was given, and none what was taken back, nor has one that comes later. */
import { expect, test } from 'vitest'
import { visitorsIn } from '../../src/lookups/content.ts'
import { until } from '../helpers/raw.ts'
import { startNamed } from '../helpers/upstream.ts'
import { followWorkers } from '../helpers/worker-inspector.ts'
import { startWorkers } from './stand-in.ts'

test('a file that is taken back is looked up by no worker, nor by the next one', async () => {
  const threads = followWorkers()
  const blue = await startNamed('blue')
  const started = await startWorkers()
  const { workers } = started
  const rules = [{ name: 'barred', when: { visitor: { file: 'barred.txt' } }, deny: 'blue' }]
  await started.route(blue.url, { rules, visitor: ['address'] })
  expect(await started.served()).toBe('blue')
  const { memory } = await visitorsIn(Buffer.from('127.0.0.1\n'), [1, 2])
  const lookup = { kind: 'visitors', name: 'barred.txt' } as const
  workers.give({ ...lookup, memory })
  await expect.poll(() => started.served()).not.toBe('blue')
  const another = async () => {
    const { length } = started.replaced
    threads.run(0, 'process.exit(1)')
    await until('it is replaced', () => started.replaced.length > length && workers.ready)
  }
  await another()
  expect(await started.served()).not.toBe('blue')
  workers.takeBack(lookup)
  await expect.poll(() => started.served()).toBe('blue')
  await another()
  expect(await started.served()).toBe('blue')
})
