import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { planService } from '../../src/config/plan.ts'
import type { ServiceSpec } from '../../src/config/schema.ts'
import { applyChange, type Resolved as Change } from '../../src/control/apply.ts'
import type { Content } from '../../src/control/reconcile.ts'
import { isTurnoutError } from '../../src/errors.ts'
import { applyDelta, emptyTable } from '../../src/table/build.ts'
import { statusOf } from '../../src/table/status.ts'
import type { Table } from '../../src/table/types.ts'
import { bulk } from '../helpers/bulk.ts'
import { decideOne } from '../table/make.ts'
import { contentOf, NOTHING, placesOf, shop } from './stand-in.ts'

const tools = { drainMs: () => 30_000 }
const service = 'shop'
const target = (pool: string) => `http://${pool}.test:3000`
const pools = (names: string) =>
  Object.fromEntries([...names].map((name) => [name, { version: '1', targets: [target(name)] }]))
const threePools = (split: Record<string, number>, changes: Partial<ServiceSpec> = {}): ServiceSpec =>
  shop({
    routes: [{ host: '*', path: '/' }],
    pools: pools('abc'),
    split,
    health: undefined,
    visitor: ['header:x-user-id'],
    ...changes,
  })
const start = (split: Record<string, number>) => contentOf({ shop: threePools(split) })

const apply = (content: Content, ...changes: Change[]) =>
  changes.reduce((now, change) => applyChange(now, change, 1_000_000, tools), content)
const split = (weights: Record<string, number>): Change => ({ kind: 'split', service, weights })
const state = (pool: string, to: 'ready' | 'standby' | 'drain'): Change => ({
  kind: 'pool.state',
  service,
  pool,
  state: to,
})
const version = (pool: string, name: string): Change => ({
  kind: 'pool.put',
  service,
  pool,
  spec: { version: name, targets: [target(pool)] },
})

function tableOf({ services, intents }: Content): Table {
  const intent = structuredClone(intents[service])
  const status = statusOf(intent, undefined, placesOf(intent.pools))
  const change = { plan: planService(service, services[service]), status }
  return applyDelta(emptyTable(), { epoch: 1, revision: 1, services: { [service]: change } })
}

/** The pool of each of many visitors. */
function places(content: Content, count: number, headers: Record<string, string> = {}): (string | undefined)[] {
  const table = tableOf(content)
  return Array.from(
    { length: count },
    (_, n) => decideOne(table, { headers: { ...headers, 'x-user-id': `u${n}` } }).aimed?.name,
  )
}

/** Share of a pool among those that take new visitors; null when none does. */
function share(content: Content, pool: string): number | null {
  const weights = Object.entries(content.services[service].split ?? {})
  const taking = weights.filter(([name]) => content.intents[service].pools[name]?.admin === 'ready')
  const sum = taking.reduce((total, [, weight]) => total + weight, 0)
  return sum === 0 ? null : (taking.find(([name]) => name === pool)?.[1] ?? 0) / sum
}

function moves(before: Content, after: Content, count = 20_000): Set<string> {
  const now = places(after, count)
  return new Set(places(before, count).flatMap((pool, n) => (pool === now[n] ? [] : [`${pool}→${now[n]}`])))
}

const poolName = fc.constantFrom('a', 'b', 'c', 'd')
const anyChange: fc.Arbitrary<Change | number> = fc.oneof(
  { weight: 4, arbitrary: fc.dictionary(poolName, fc.nat(20), { noNullPrototype: true }).map(split) },
  poolName.map((pool): Change => ({ kind: 'switch', to: { shop: pool } })),
  fc.constant<Change>({ kind: 'back', service }),
  { weight: 3, arbitrary: fc.tuple(poolName, fc.constantFrom('ready', 'standby', 'drain')).map((of) => state(...of)) },
  fc.tuple(poolName, fc.constantFrom('1', '2')).map((of) => version(...of)),
  poolName.map((pool): Change => ({ kind: 'pool.delete', service, pool })),
  fc.subarray(['a', 'b', 'c', 'd'], { minLength: 1 }).map(
    (names): Change => ({
      kind: 'service.put',
      service,
      spec: threePools({ [names[0]]: 3, [names.at(-1)!]: 1 }, { pools: pools(names.join('')) }),
    }),
  ),
  fc.nat(10),
)

function attempt(content: Content, change: Change): Content {
  try {
    return apply(content, change)
  } catch (error) {
    if (!isTurnoutError(error)) throw error
    return content
  }
}

test('whatever is changed, by whichever verb: who moves, moves from a share that shrank to one that grew', () => {
  fc.assert(
    fc.property(fc.array(anyChange, { maxLength: 12 }), (steps) => {
      let content = start({ a: 3, b: 2, c: 1 })
      const history = [content]
      for (const step of steps) {
        const then = history[typeof step === 'number' ? step % history.length : 0]
        const next = attempt(
          content,
          typeof step === 'number'
            ? { kind: 'restore', from: step, services: then.services, intents: then.intents }
            : step,
        )
        const someTake = [content, next].every((each) => share(each, 'a') !== null)
        for (const move of someTake ? moves(content, next, 300) : []) {
          const [from, to] = move.split('→')
          expect(share(next, from), `${move}: ${JSON.stringify(step)}`).toBeLessThan(share(content, from)!)
          expect(share(next, to), `${move}: ${JSON.stringify(step)}`).toBeGreaterThan(share(content, to)!)
        }
        content = next
        history.push(content)
      }
    }),
    { numRuns: bulk(60, 150) },
  )
})

describe('of 20,000 visitors', () => {
  test('nobody moves between two pools while a third one grows', () => {
    const before = start({ a: 80, b: 50, c: 50 })
    expect(moves(before, apply(before, split({ a: 160, b: 50, c: 50 })))).toEqual(new Set(['b→a', 'c→a']))
    const canary = start({ a: 50, b: 50, c: 0 })
    expect(moves(canary, apply(canary, split({ a: 45, b: 45, c: 10 })))).toEqual(new Set(['a→c', 'b→c']))
  })

  test('nobody moves when a pool takes another version in the midst of a split', () => {
    const before = start({ a: 80, b: 15, c: 5 })
    const after = apply(before, version('c', '2'))
    expect(after.intents[service].release).not.toBe(before.intents[service].release)
    expect(moves(before, after)).toEqual(new Set())
  })

  test('nobody moves when weights are changed and the table is built again from what was stored, as a restart does', () => {
    const content = apply(start({ a: 8, b: 1, c: 1 }), split({ a: 4, b: 3, c: 3 }), split({ a: 5, b: 4, c: 1 }))
    const stored = JSON.parse(JSON.stringify(content)) as Content
    expect(places(stored, 5_000)).toEqual(places(content, 5_000))
  })

  test('those of a pool in standby or drain return to it, and to no other, when it is ready again', () => {
    const before = apply(start({ a: 8, b: 1, c: 1 }), split({ a: 4, b: 3, c: 3 }))
    for (const to of ['standby', 'drain'] as const) {
      const without = apply(before, state('b', to))
      expect(moves(before, without)).toEqual(new Set(['b→a', 'b→c']))
      expect(moves(before, apply(without, state('b', 'ready')))).toEqual(new Set())
    }
  })

  test('each one is back where it was after `back`, from a split and from a switch', () => {
    const before = apply(start({ a: 8, b: 1, c: 1 }), split({ a: 4, b: 3, c: 3 }))
    for (const change of [split({ a: 1, b: 1, c: 8 }), { kind: 'switch', to: { shop: 'c' } } as const]) {
      expect(moves(before, apply(before, change, { kind: 'back', service }))).toEqual(new Set())
    }
  })

  test('those that a rule keeps out of a pool move only where the shares of the others say', () => {
    const rules = [{ name: 'careful', when: { header: { 'x-careful': '1' } }, deny: 'a' }]
    const before = contentOf({ shop: threePools({ a: 60, b: 20, c: 20 }, { rules }) })
    const after = apply(before, split({ a: 60, b: 10, c: 30 }))
    const [was, is] = [before, after].map((content) => places(content, 5_000, { 'x-careful': '1' }))
    const moved = new Set(was.flatMap((pool, n) => (pool === is[n] ? [] : [`${pool}→${is[n]}`])))
    expect(moved).toEqual(new Set(['b→c']))
    expect(Math.abs(is.filter((pool) => pool === 'b').length - 1_250)).toBeLessThan(100)
  })
})

test('a service that no change has touched stores no ranges', () => {
  expect(
    apply(NOTHING, { kind: 'service.put', service, spec: threePools({ a: 1, b: 1 }) }).intents[service],
  ).not.toHaveProperty('allotment')
})
