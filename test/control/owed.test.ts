/** What is served before it is stored: in which order it is stored, and as what. */
import { expect, test } from 'vitest'
import type { Change } from '../../src/change.ts'
import { Owed } from '../../src/control/owed.ts'
import type { Content } from '../../src/control/reconcile.ts'
import { contentOf, shop } from './stand-in.ts'

const asked = { actor: 'test' }
const release = (...services: string[]): Change => ({ kind: 'release', services })

const target = 'http://127.0.0.1:1'
const spec = (name: string, version: number) =>
  shop({ pools: { blue: { version: String(version), targets: [target] } }, split: { blue: 1 } }, `${name}.test`)

/** Each service has been changed so often, which its version tells. */
const served = (versions: Record<string, number>): Content =>
  contentOf(Object.fromEntries(Object.entries(versions).map(([name, version]) => [name, spec(name, version)])))
const versionsOf = ({ services }: Content) =>
  Object.fromEntries(Object.entries(services).map(([name, { pools }]) => [name, Number(pools['blue'].version)]))

test('a change of several services comes after what is owed of any of them, and not after that of others', () => {
  const owed = new Owed()
  const changes = [release('c'), release('b'), release('a', 'b'), release('a')]
  owed.add(changes[0], asked, ['c'], served({ a: 0, b: 0, c: 0 }))
  owed.add(changes[1], asked, ['b'], served({ a: 0, b: 0, c: 1 }))
  owed.add(changes[2], asked, ['a', 'b'], served({ a: 0, b: 1, c: 1 }))
  owed.add(changes[3], asked, ['a'], served({ a: 1, b: 2, c: 1 }))
  const present = served({ a: 2, b: 2, c: 1 })
  expect(owed.names).toEqual(['c', 'b', 'a'])
  expect(owed.first()?.change).toBe(changes[0])
  expect(owed.first(new Set(['c']))?.change).toBe(changes[1])
  expect(owed.first(new Set(['b', 'c']))).toBe(null)
  const stored: unknown[] = []
  for (let first = owed.firstBefore(changes[3], ['a']); first !== null; first = owed.firstBefore(changes[3], ['a'])) {
    stored.push([first.change, versionsOf(owed.asMade(first, present))])
    owed.stored(new Set(first.names), first)
  }
  expect(stored).toEqual([
    [changes[1], { a: 2, b: 1, c: 1 }],
    [changes[2], { a: 1, b: 2, c: 1 }],
  ])
  expect(owed.of(changes[3], ['a'])?.change).toBe(changes[3])
  expect(owed.names).toEqual(['c', 'a'])
  owed.stored(new Set(['a']), null)
  expect([owed.first()?.change, owed.names]).toEqual([changes[0], ['c']])
})

test('no more than a hundred are told apart, and nothing of what is served is lost by that', () => {
  const owed = new Owed()
  for (let n = 0; n < 250; n++) owed.add(release('a', String(n)), asked, ['a'], served({ a: n }))
  const versions: number[] = []
  let last: Change | null = null
  for (let first = owed.first(); first !== null; first = owed.first()) {
    versions.push(versionsOf(owed.asMade(first, served({ a: 250 })))['a'])
    last = first.change
    owed.stored(new Set(['a']), first)
  }
  expect(versions).toEqual([...Array.from({ length: 99 }, (_, n) => n + 1), 250])
  expect(last).toEqual(release('a', '249'))
  expect(owed.has('a')).toBe(false)
})

test('of what is made again only the services are that are still there, and are held', () => {
  const owed = new Owed()
  const hold = { id: 'h', forMs: 1, only: 'all', queueMax: 1, bytesMax: 1, untilMs: 9 } as never
  const before = served({ a: 0, b: 0 })
  const held: Content = { ...before, intents: { ...before.intents, a: { ...before.intents['a'], hold } } }
  owed.add(release('a', 'b'), asked, ['a'], held)
  const found = served({ a: 1 })
  const there: Content = { ...found, intents: { a: { ...found.intents['a'], hold } } }
  const { content, again } = owed.remade(there, () => false, 0)
  expect(content.intents['a'].hold).toBeUndefined()
  expect(again).toMatchObject([{ names: ['a'], change: release('a', 'b') }])
})
