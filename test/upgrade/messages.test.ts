/** What two processes of different versions may say to each other, and which socket belongs to which listener. */
import { expect, test } from 'vitest'
import { matchListeners } from '../../src/upgrade/match.ts'
import { isSaid, type Offer, readFromSuccessor, readHanded, readOffer, sealed } from '../../src/upgrade/messages.ts'

const listener = (host: string, port: number, descriptors: number[], bound = port) => ({
  host,
  port,
  bound,
  descriptors,
})

const OFFER: Offer = {
  protocol: 1,
  from: { pid: 7, version: '0.1.0' },
  store: 'sqlite:/var/lib/turnout/turnout.db',
  listeners: [listener('', 8080, [5, 6])],
  admin: listener('127.0.0.1', 9900, [7]),
  isShared: false,
  lifeline: 4,
  earlier: [{ pid: 7, version: '0.1.0', descriptor: 8 }],
}

test('an offer is read as it was written', () => {
  expect(readOffer(JSON.stringify(OFFER))).toEqual(OFFER)
  expect(readOffer(JSON.stringify({ ...OFFER, lifeline: null, news: 'of a later version' }))).toMatchObject({
    lifeline: null,
  })
  // One of a version that did not tell of those before it.
  const { earlier: _, ...less } = OFFER
  expect(readOffer(JSON.stringify(less))).toEqual(less)
})

test('an offer of another protocol, or of no shape that is known, is refused with the reason', () => {
  expect(readOffer(JSON.stringify({ ...OFFER, protocol: 2 }))).toMatch(/takes over by protocol 1, and was offered 2/)
  for (const text of ['', '7', 'null', '[]', '{"from":1}'])
    expect(readOffer(text), text).toMatch(/not the offer|was offered/)
  for (const fault of [
    { from: { pid: -1, version: '1' } },
    { store: 3 },
    { listeners: [listener('', 8080, [0.5])] },
    { listeners: {} },
    { admin: null },
    { isShared: 'no' },
    { lifeline: 'x' },
    { earlier: [7] },
    { earlier: [{ pid: 7, version: '0.1.0', descriptor: -1 }] },
  ])
    expect(readOffer(JSON.stringify({ ...OFFER, ...fault })), JSON.stringify(fault)).toMatch(
      /not an offer of protocol 1/,
    )
})

const READY = { pid: 9, version: '0.2.0', listeners: ['http://a'], admin: 'http://b', revision: 3, taken: [true] }

test('what the new process says is understood when it is one of the messages, and nothing else is', () => {
  for (const type of ['built', 'probed', 'asks'] as const) expect(readFromSuccessor(sealed({ type }))).toEqual({ type })
  expect(readFromSuccessor(sealed({ type: 'failed', message: 'no' }))).toEqual({ type: 'failed', message: 'no' })
  expect(readFromSuccessor(sealed({ type: 'ready', ...READY }))).toEqual({ type: 'ready', ...READY })
  const routed = { type: 'routed', change: { kind: 'release', services: ['shop'] }, revision: 3 }
  expect(readFromSuccessor(sealed(routed))).toEqual(routed)
  for (const sent of [
    null,
    'built',
    { type: 'built' },
    { protocol: 2, type: 'built' },
    sealed({ type: 'yours' }),
    sealed({ type: 'failed' }),
    sealed({ type: 'ready', ...READY, taken: [1] }),
    sealed({ type: 'ready' }),
    sealed({ ...routed, change: 'release' }),
    sealed({ ...routed, revision: -1 }),
  ])
    expect(readFromSuccessor(sent), JSON.stringify(sent)).toBeNull()
  expect(isSaid(sealed({ type: 'yours' }), 'yours')).toBe(true)
  expect(isSaid(sealed({ type: 'yours' }), 'drained')).toBe(false)
  expect(isSaid({ protocol: 2, type: 'yours' }, 'yours')).toBe(false)
})

test('a listener gets the sockets of the address that is written the same; new addresses get none, and what is gone is left', () => {
  const offered = [listener('', 8080, [5, 6]), listener('10.0.0.1', 8443, [7])]
  expect(
    matchListeners(
      [
        { host: '', port: 9090 },
        { host: '', port: 8080 },
      ],
      offered,
    ),
  ).toEqual({
    descriptors: [[], [5, 6]],
    taken: [true, false],
  })
  expect(matchListeners([{ host: '0.0.0.0', port: 8080 }], offered).descriptors).toEqual([[]])
})

test('port 0 is the same port again: several in their order, also where it is named meanwhile', () => {
  const offered = [listener('127.0.0.1', 0, [5], 41_001), listener('127.0.0.1', 0, [6], 41_002)]
  const zero = { host: '127.0.0.1', port: 0 }
  expect(matchListeners([zero, zero, zero], offered).descriptors).toEqual([[5], [6], []])
  expect(matchListeners([{ host: '127.0.0.1', port: 41_002 }, zero], offered).descriptors).toEqual([[6], [5]])
})

test('an address whose sockets could not be told is opened anew', () => {
  expect(matchListeners([{ host: '', port: 1 }], [listener('', 1, [])])).toEqual({ descriptors: [[]], taken: [false] })
})

test('what the old one says of those that it lets go is understood when all of it is sound', () => {
  const counts = { closed: 3, cut: 0, moved: 1, left: 2, went: 0, state: 0 }
  const pool = { service: 'shop', pool: 'blue', counts }
  const handed = { pools: [pool], gone: [[-7, 1, 0, 0]] }
  expect(readHanded(sealed({ type: 'letGo', handed }))).toEqual(handed)
  const passedOn = { ...handed, pools: [pool, { ...pool, pid: 7 }] }
  expect(readHanded(sealed({ type: 'letGo', handed: passedOn }))).toEqual(passedOn)
  for (const fault of [
    null,
    {},
    { ...handed, pools: [{ ...pool, pool: 1 }] },
    { ...handed, pools: [{ ...pool, pid: '7' }] },
    { ...handed, pools: [{ ...pool, counts: { ...counts, left: -1 } }] },
    { ...handed, pools: [{ ...pool, counts: null }] },
    { ...handed, gone: [[7, 1, 0]] },
    { ...handed, gone: [[7, 1, 0, 1]] },
    { ...handed, gone: [[0.5, 1, 0, 0]] },
    { ...handed, gone: {} },
  ])
    expect(readHanded(sealed({ type: 'letGo', handed: fault })), JSON.stringify(fault)).toBeNull()
  expect(readHanded(sealed({ type: 'drained', handed }))).toBeNull()
})
