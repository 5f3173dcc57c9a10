/** What was cut at the end of a process: added up over workers, and in words. */
import { expect, test } from 'vitest'
import { CutCount, endEvent } from '../src/cuts.ts'

test('what workers have cut is added up by service, the most cut first', () => {
  const [one, other, all] = [new CutCount(), new CutCount(), new CutCount()]
  one.add('shop', 'requests')
  one.add('api', 'tunnels')
  other.add('shop', 'requests')
  other.add('shop', 'refused')
  for (const { byService } of [one, other]) all.addAll(byService)
  const { message, data } = endEvent({ cuts: all.byService, silent: 0, limitMs: 30_000 })
  expect(message).toBe(
    '2 requests cut, 1 tunnel cut, 1 waiting request refused (shop, api): not over within 30 s (timeouts.shutdown)',
  )
  expect(data).toEqual({
    ...{ requests: 2, tunnels: 1, refused: 1, silent: 0, services: ['shop', 'api'] },
    byService: { shop: { requests: 2, tunnels: 0, refused: 1 }, api: { requests: 0, tunnels: 1, refused: 0 } },
  })
})

test('nothing is told as nothing, and a worker that said nothing is not taken for one that cut nothing', () => {
  expect(endEvent({ cuts: new Map(), silent: 0, limitMs: 1_000 }).message).toBe('nothing was cut')
  const { message } = endEvent({ cuts: new Map(), silent: 1, limitMs: 1_000 })
  expect(message).toBe('nothing was cut; 1 worker did not say what it had under way')
})

test('of many services all are named and twenty have their numbers', () => {
  const count = new CutCount()
  for (let i = 0; i < 30; i++) count.add(`s${i}`, 'requests')
  const { message, data } = endEvent({ cuts: count.byService, silent: 0, limitMs: 1_000 })
  expect(message).toMatch(/^30 requests cut \(s0, s1, s2 …\): /)
  expect((data['services'] as string[]).length).toBe(30)
  expect(Object.keys(data['byService'] as object)).toHaveLength(20)
})
