import { expect, test } from 'vitest'
import { mapNamed, own, withEntries, withEntry, withoutEntry } from '../../src/config/record.ts'

const NAMES = ['__proto__', 'constructor', 'toString', '7']
const of = (...names: string[]) => names.reduce((record, name) => withEntry(record, name, name), {})

test('a record takes any name, and has none that it was not given', () => {
  const record = of(...NAMES)
  expect(Object.keys(record).sort()).toEqual([...NAMES].sort())
  for (const name of NAMES) {
    expect(own(record, name)).toBe(name)
    expect(own({}, name)).toBeUndefined()
    expect(own(withoutEntry(record, name), name)).toBeUndefined()
    expect(own(withEntries(record, [[name, undefined]]), name)).toBeUndefined()
    expect(own(withEntries({}, [[name, 'new']]), name)).toBe('new')
  }
})

test('an entry that is replaced keeps its place, and the record of before is as it was', () => {
  const before = of('a', 'b', 'c')
  expect(Object.entries(withEntry(before, 'b', 'new'))).toEqual([
    ['a', 'a'],
    ['b', 'new'],
    ['c', 'c'],
  ])
  const later = withEntries<string>(before, [
    ['c', 'new'],
    ['d', 'd'],
  ])
  expect(Object.entries(later).join(' ')).toBe('a,a b,b c,new d,d')
  expect(Object.keys(withoutEntry(before, 'b'))).toEqual(['a', 'c'])
  expect(before).toEqual({ a: 'a', b: 'b', c: 'c' })
})

test('every other entry of a changed record is the very same object, and a record of which nothing changed is the very same record', () => {
  const before = Object.fromEntries(['a', 'b', 'c'].map((name) => [name, { name }]))
  const visited: string[] = []
  const after = mapNamed(before, ['b', 'gone'], (value, name) => {
    visited.push(name)
    return { ...value }
  })
  expect(visited).toEqual(['b'])
  expect(after.b).not.toBe(before.b)
  expect(after.a).toBe(before.a)
  expect(after.c).toBe(before.c)
  expect(mapNamed(before, ['b'], (value) => value)).toBe(before)
})
