/** Keys that people bring from other programs: they are told what it is called here, and of nothing else that comes of it. */
import { expect, test } from 'vitest'
import { keyCalledSo } from '../../src/config/foreign-keys.ts'
import { parseSpec } from '../../src/config/load.ts'

test.each([
  [
    'services: { s: { routes: [{ path: / }], backends: { b: { targets: ["http://h:1"] } }, live: b } }',
    'services.s: unknown key "backends" (did you mean "pools"?)',
  ],
  [
    'services: { s: { match: [{ path: / }], pools: { b: { targets: ["http://h:1"] } }, live: b } }',
    'services.s: unknown key "match" (did you mean "routes"?)',
  ],
  [
    'services: { s: { routes: [{ path: / }], pools: { b: { servers: ["http://h:1"] } }, live: b } }',
    'services.s.pools.b: unknown key "servers" (did you mean "targets"?)',
  ],
  [
    'services: { s: { routes: [{ path: / }], pools: { b: { targets: ["http://h:1"] } }, weights: { b: 1 } } }',
    'services.s: unknown key "weights" (did you mean "split"?)',
  ],
  [
    'services: { s: { routes: [{ path: / }], pools: { b: { targets: ["http://h:1"] } }, live: b, health_check: {} } }',
    'services.s: unknown key "health_check" (did you mean "health"?)',
  ],
  ['entryPoints: []\nservices: {}', 'unknown key "entryPoints" (did you mean "listeners"?)'],
])('%s', (text, message) => {
  const loaded = parseSpec(text, { env: {}, source: 'f' })
  if (!('faults' in loaded)) return expect.unreachable('it was taken')
  expect(JSON.stringify(loaded.faults)).toContain(JSON.stringify(message.replace(/^.*unknown/, 'unknown')).slice(1, -1))
})

test('a word that means something in another map only is left to who is nearest', () => {
  expect(keyCalledSo('weight', ['version', 'targets', 'weights'])).toBe(null)
  expect(keyCalledSo('constructor', ['pools'])).toBe(null)
  expect(keyCalledSo('backends', ['constructor'])).toBe(null)
})
