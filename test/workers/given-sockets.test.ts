/** Which worker gets which of the sockets that were there before it. */
import { fstatSync, openSync } from 'node:fs'
import { expect, test } from 'vitest'
import { GivenSockets } from '../../src/workers/given-sockets.ts'

test('of sockets that are handed on each goes to one worker, whatever their number, and once only', () => {
  const fewer = new GivenSockets([[10, 11, 12], [20]], 2)
  expect(fewer.of(0)).toEqual([[10, 12], [20]])
  expect(fewer.of(1)).toEqual([[11], []])
  // A worker that comes after a lost one opens its own.
  expect(fewer.of(0)).toEqual([[], []])
  const more = new GivenSockets([[10]], 3)
  expect([0, 1, 2].map((worker) => more.of(worker))).toEqual([[[10]], [[]], [[]]])
})

test('sockets that stay here are given as duplicates, again and again, and shared where there are fewer than workers', () => {
  let last = 100
  const from: number[] = []
  const sockets = new GivenSockets([[10, 11], [], [30]], 3, (descriptor) => {
    from.push(descriptor)
    return ++last
  })
  expect([0, 1, 2, 0].map((worker) => sockets.of(worker))).toEqual([
    [[101], [], [102]],
    [[103], [], [104]],
    [[105], [], [106]],
    [[107], [], [108]],
  ])
  expect(from).toEqual([10, 30, 11, 30, 10, 30, 10, 30])
  expect(new GivenSockets([[10, 11, 12]], 2, (descriptor) => descriptor + 100).of(0)).toEqual([[110, 112]])
})

test('where there is no descriptor left for one of its duplicates, those that were made are closed again', () => {
  const made: number[] = []
  const sockets = new GivenSockets([[10], [11], [12]], 1, (descriptor) => {
    if (descriptor === 12) throw new Error('there is none left')
    made.push(openSync('/dev/null', 'r'))
    return made.at(-1)!
  })
  expect(() => sockets.of(0)).toThrow('there is none left')
  expect(made).toHaveLength(2)
  for (const descriptor of made) expect(() => fstatSync(descriptor)).toThrow('EBADF')
})

test('without any, every worker opens its own', () => {
  expect(new GivenSockets([], 2).of(1)).toEqual([])
})
