/**
 * Every attack as data: what its clients do, what its target does, and the limits and time-outs of the proxy that it meets.
 * Read by the attacker, the tests and the bench.
 *
 * All of them ask under `/evil`, which is a service of its own with the attacker's target behind it, so that the target of
 * the victims has nothing to do with it and only the proxy stands between them. Time-outs are short for them to be met within
 * a round; limits are those that Turnout has by default, unless the attack is on that very limit. Rates are in swarm.ts.
 */
import type { Socket } from 'node:net'
import type { Script } from './swarm.ts'
import {
  acceptsAndCloses,
  answersEmpty,
  answersLists,
  endless1xx,
  LISTS,
  largeAnswers,
  neverAnswers,
  switches,
  trickles,
} from './targets.ts'

export interface Attack {
  /** What is done, for people. */
  readonly what: string
  readonly scripts: readonly Script[]
  /** What the attacker's target does with a connection. */
  readonly target?: (socket: Socket) => void
  /** There is no room for newcomers while it goes on, by its nature. */
  readonly fillsUp?: true
  readonly limits?: Readonly<Record<string, number>>
  readonly timeouts?: Readonly<Record<string, string>>
  /** Time-outs of the service `evil`. */
  readonly serviceTimeouts?: Readonly<Record<string, string>>
}

/** The head of a request to the attacker's target. */
const head = (method: string, fields: string, path = '/evil'): string =>
  `${method} ${path} HTTP/1.1\r\nHost: evil\r\n${fields}\r\n`
const GET = head('GET', '')
/** Answered by Turnout itself. */
const NOWHERE = GET.replace('/evil', '/nowhere')
const UNFINISHED = 'GET /evil HTTP/1.1\r\nHost: evil\r\nX-Endless: '
const COUNTED = head('POST', 'Content-Length: 1000000\r\n')
const CHUNKED = head('POST', 'Transfer-Encoding: chunked\r\n')
/** Before, in and behind the head, and behind the request. */
const IN_EVERY_PHASE = ['', UNFINISHED, `${COUNTED}x`, GET]
/** Many fields, and a list that each of them has to be compared with. */
const LISTED = head('GET', LISTS)
const UPGRADE = 'Connection: Upgrade\r\nUpgrade: websocket\r\n'

/** The attacks by clients. */
const BY_CLIENTS = {
  slowHead: {
    what: '300 clients send a head a byte at a time, behind a whole one',
    // The first head of a connection would also end by the deadline that the connection has from its beginning.
    scripts: [{ size: 300, perSecond: 600, first: NOWHERE + UNFINISHED, drip: 'x', dripMs: 100 }],
    timeouts: { head: '400ms' },
  },
  slowBody: {
    what: '150 clients send a body a byte at a time, 150 stop in the middle',
    scripts: [
      { size: 150, perSecond: 600, first: `${COUNTED}x`, drip: 'x', dripMs: 100 },
      { size: 150, perSecond: 600, first: `${COUNTED}x` },
    ],
    target: neverAnswers,
    // Ten times the pause of a drip, for those who share the machine with others.
    timeouts: { body: '1s' },
  },
  slowReader: {
    what: '40 clients ask for 8 MB and read 80 KB/s',
    scripts: [{ size: 40, perSecond: 200, first: GET, readBytes: 4_096 }],
    target: largeAnswers,
  },
  neverReads: {
    what: '40 clients ask for 8 MB a hundred times over and read nothing',
    scripts: [{ size: 40, perSecond: 80, first: GET.repeat(100), readBytes: 0 }],
    target: largeAnswers,
    timeouts: { send: '400ms' },
  },
  endlessHead: {
    what: '40 clients send 400 KB/s of a field without an end',
    scripts: [{ size: 40, perSecond: 200, first: UNFINISHED, drip: 'x'.repeat(4_096), dripMs: 10 }],
  },
  hugeHeaderCounts: {
    what: '100 heads a second with 10,000 fields',
    scripts: [{ size: 20, perSecond: 100, first: head('GET', 'A: b\r\n'.repeat(10_000)) }],
  },
  connectionLists: {
    what: '2,000 heads a second with 125 fields beside a Connection field of 340 names',
    scripts: [{ size: 40, perSecond: 40, first: LISTED.repeat(50), answersMax: 50 }],
    target: answersEmpty,
  },
  endlessExtensions: {
    what: '40 clients send 400 KB/s of a chunk extension without an end',
    scripts: [{ size: 40, perSecond: 200, first: `${CHUNKED}1;`, drip: 'x'.repeat(4_096), dripMs: 10 }],
    target: neverAnswers,
  },
  halfOpen: {
    what: '400 clients fall silent, without a FIN, in every phase of a request',
    scripts: IN_EVERY_PHASE.map((first) => ({ size: 100, perSecond: 400, first, neverEnds: true })),
    target: answersEmpty,
    timeouts: { head: '400ms', body: '400ms', keepAlive: '2s' },
  },
} satisfies Record<string, Attack>

/** Floods, at a bounded rate. */
const FLOODS = {
  connectionFlood: {
    what: '2,000 new connections a second, against a cap of 400',
    scripts: [{ size: 4_000, perSecond: 2_000, first: '' }],
    limits: { connectionsMax: 400 },
    fillsUp: true,
  },
  addressFlood: {
    what: '2,000 new connections a second from one address, against a cap of 200 for it',
    scripts: [{ size: 4_000, perSecond: 2_000, first: '', from: '127.0.0.2' }],
    limits: { connectionsPerAddressMax: 200 },
  },
  pipeliningFlood: {
    what: '20,000 pipelined requests a second that Turnout answers itself, and as many as go to a target',
    scripts: [
      { size: 4, perSecond: 2, first: NOWHERE.repeat(10_000), answersMax: 10_000 },
      { size: 4, perSecond: 2, first: GET.repeat(10_000), answersMax: 10_000 },
    ],
    target: answersEmpty,
  },
  upgradeStorm: {
    what: '300 upgrades a second that are left at once',
    scripts: [{ size: 100, perSecond: 300, first: head('GET', UPGRADE), answersMax: 1 }],
    target: switches,
  },
  rstStorm: {
    what: '800 connections a second that are reset in every phase of a request',
    scripts: IN_EVERY_PHASE.map((first) => ({ size: 50, perSecond: 200, first, resets: true })),
    target: neverAnswers,
  },
} satisfies Record<string, Attack>

/** The attacks by targets; the clients only ask. */
const BY_TARGETS = {
  endless1xx: {
    what: 'a target answers with interim responses without an end',
    scripts: [{ size: 20, perSecond: 200, first: GET }],
    target: endless1xx,
  },
  neverAnswers: {
    what: 'a target takes 100 requests and answers none',
    scripts: [{ size: 100, perSecond: 400, first: GET }],
    target: neverAnswers,
    serviceTimeouts: { response: '400ms' },
  },
  byteASecond: {
    what: 'a target answers 100 requests a byte at a time, half of them even in the head',
    scripts: [{ size: 100, perSecond: 400, first: GET }],
    target: trickles,
    serviceTimeouts: { response: '400ms' },
  },
  listsInAnswers: {
    what: 'a target gives 2,000 answers a second with 125 fields beside a Connection field of 340 names',
    scripts: [{ size: 40, perSecond: 40, first: GET.repeat(50), answersMax: 50 }],
    target: answersLists,
  },
  acceptsAndCloses: {
    what: 'a target accepts and closes, 400 requests a second',
    scripts: [{ size: 100, perSecond: 400, first: GET, answersMax: 1 }],
    target: acceptsAndCloses,
  },
} satisfies Record<string, Attack>

/** The limits, time-outs and services of a proxy that is attacked: `calm` for the victims, `evil` for the rest. */
export function configOf(name: AttackName, calmPort: number, evilPort: number): Record<string, unknown> {
  const { limits = {}, timeouts = {}, serviceTimeouts = {} } = ATTACKS[name]
  const only = (port: number) => ({ only: { targets: [`http://127.0.0.1:${port}`] } })
  const services = {
    calm: { routes: [{ host: 'victim' }], pools: only(calmPort), live: 'only' },
    evil: { routes: [{ path: '/evil' }], pools: only(evilPort), live: 'only', timeouts: serviceTimeouts },
  }
  return { limits, timeouts, services }
}

const ALL = { ...BY_CLIENTS, ...FLOODS, ...BY_TARGETS }
export type AttackName = keyof typeof ALL
/** The attacks by name. */
export const ATTACKS: Readonly<Record<string, Attack>> & Readonly<Record<AttackName, Attack>> = ALL
