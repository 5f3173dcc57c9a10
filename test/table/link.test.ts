/** Links by which people choose a version for themselves. */
import { expect, test } from 'vitest'
import { endOfLifeS } from '../../src/table/cookie-record.ts'
import { explainDecision } from '../../src/table/explain.ts'
import { decideOne, makeOwn, makePlan, makeRule, makeTable, NOW_MS, type StatusOptions, sticky } from './make.ts'

const plan = makePlan({ link: 'turnout', sticky, weights: { blue: 1, green: 0 } })
const table = (options?: StatusOptions) => makeTable(plan, options)
const endS = endOfLifeS(sticky, NOW_MS)

test('a link pins a newcomer to the pool, and sends it to the same place without the link', () => {
  const decision = decideOne(table(), { path: '/cart?a=1&turnout=green&b=%20' })
  expect(decision).toMatchObject({ target: null, error: null, reason: 'link', setCookie: null })
  expect(decision.redirect).toEqual({
    location: '/cart?a=1&b=%20',
    setCookie: {
      visitor: expect.any(String),
      service: 'shop',
      pool: 'green',
      release: 'r1',
      target: '',
      pinned: true,
      endS,
    },
  })
  expect(explainDecision(decision)).toBe('the link pins the client to green; the client is sent to /cart?a=1&b=%20')
})

test('a visitor keeps its id, and what it has chosen is followed from then on', () => {
  const own = makeOwn({ visitor: 'me', pool: 'blue' })
  const { setCookie } = decideOne(table(), { path: '/?turnout=green', own }).redirect!
  expect(setCookie!.visitor).toBe('me')
  expect(decideOne(table(), { own: setCookie })).toMatchObject({ pool: { name: 'green' }, reason: 'pin' })
})

test('off lets a visitor go, and sets nothing for whoever is not pinned', () => {
  const own = makeOwn({ visitor: 'me', pool: 'green', pinned: true })
  const off = decideOne(table(), { path: '/?turnout=off', own })
  expect(off.redirect).toEqual({ location: '/', setCookie: { ...own, target: '', pinned: false, endS } })
  expect(decideOne(table(), { own: off.redirect!.setCookie })).toMatchObject({ pool: { name: 'blue' } })
  expect(explainDecision(off)).toBe('the link lets the client go; the client is sent to /')
  for (const own of [null, makeOwn({ pool: 'blue' }), makeOwn({ service: 'other', pinned: true })]) {
    expect(decideOne(table(), { path: '/?turnout=off', own }).redirect).toEqual({ location: '/', setCookie: null })
  }
})

test.each([
  ['//evil.example/a?turnout=green', '/.//evil.example/a'],
  ['/\\evil.example?turnout=green', '/./\\evil.example'],
  ['/?turnout=green&turnout=blue', '/'],
  ['/?turnout=green&&x', '/?&x'],
])('%s is sent to %s, on the same host', (path, location) => {
  const { redirect } = decideOne(table(), { path })
  expect(redirect).toMatchObject({ location, setCookie: { pool: 'green' } })
  expect(new URL(location, 'http://shop.example.com/').host).toBe('shop.example.com')
})

test.each([
  ['a pool that there is not', { path: '/?turnout=red' }],
  ['another parameter', { path: '/?turnouts=green&xturnout=green' }],
  ['no value', { path: '/?turnout' }],
  ['a POST', { path: '/?turnout=green', method: 'POST' }],
])('%s is a request like any other', (_, options) => {
  expect(decideOne(table(), options)).toMatchObject({ pool: { name: 'blue' }, redirect: null })
})

test('nobody is pinned to a pool that takes nobody new, nor where there is no link', () => {
  const path = '/?turnout=green'
  expect(decideOne(table({ pools: { green: { admin: 'drain' } } }), { path }).redirect).toBeNull()
  expect(decideOne(makeTable(makePlan({ sticky })), { path }).redirect).toBeNull()
})

test('its name is as the config has it', () => {
  const named = makeTable(makePlan({ link: '_version', sticky }))
  expect(decideOne(named, { path: '/?_version=green' }).redirect).toMatchObject({ location: '/' })
  expect(decideOne(named, { path: '/?turnout=green' }).redirect).toBeNull()
})

test('a rule stands above what people choose', () => {
  const rules = [makeRule({ name: 'no', cidr: ['192.0.2.0/24'], deny: 'green' })]
  const denied = makeTable({ ...plan, rules })
  const { setCookie } = decideOne(denied, { path: '/?turnout=green' }).redirect!
  expect(decideOne(denied, { own: setCookie }).pool?.name).toBe('blue')
})
