/**
 * What a release may do to its users, as streams of requests: a rate, and what share of the answers of either version is bad or slow at
 * each second of a run.
 *
 * Times are in seconds since the rollout began. They suit half an hour at one weight (beside.ts) and a whole rollout of some six
 * minutes (rollouts.ts) alike.
 */

/** Share of bad answers at a second of the run. */
export type Share = (second: number) => number

export interface Stream {
  readonly title: string
  /** Requests a second, of both versions together. */
  readonly rate: number
  readonly control: Share
  readonly canary: Share
  /** How many times as long as the live version the canary takes. Default: 1. */
  readonly slower?: number
  /** Share of the canary's answers that take longer than any edge. Default: none. */
  readonly hanging?: number
  /** Share of the users for whom the canary always fails. Default: none. */
  readonly segment?: number
  /** Users stay with their version, and each counts as failed once in a step. Default: each request is decided by itself. */
  readonly isSticky?: boolean
  /** The first answers of each target of the canary: share of bad ones, and how many times as long they take. Default: none. */
  readonly cold?: { readonly answers: number; readonly bad: number; readonly slower: number }
  /** So many answers of a target go bad in a row, in either version. Default: each by itself. */
  readonly row?: number
}

const steady =
  (share: number): Share =>
  () =>
    share
const USUAL = steady(0.01)
const RATE = 100

/** Both versions fail alike. */
export function equal(rate: number, share: Share | number, title: string): Stream {
  const both = typeof share === 'number' ? steady(share) : share
  return { title, rate, control: both, canary: both }
}

/** The canary fails by a share of its own, the live version at 1 %. */
export function worse(rate: number, share: number, title: string): Stream {
  return { title, rate, control: USUAL, canary: steady(share) }
}

/** A failure of something that both versions need, from the third minute on. */
export const outage =
  (seconds: number): Share =>
  (second) =>
    second >= 120 && second < 120 + seconds ? 0.5 : 0.01

/** Ups and downs, of one version or of both. */
const FLAPPING: Share = (second) => (second % 60 >= 30 && second % 60 < 40 ? 0.3 : 0.01)
const RAMPING: Share = (second) => 0.01 + 0.19 * Math.min(1, second / 600)

/** Releases with a fault, each of its own kind; the live version fails at 1 %. */
export const FAULTS: readonly Stream[] = [
  { ...worse(RATE, 0.2, 'sudden: 1 → 20 % after 150 s'), canary: (second) => (second < 150 ? 0.01 : 0.2) },
  {
    ...worse(RATE, 0.01, 'ramping: 1 → 20 % in ten minutes'),
    canary: RAMPING,
  },
  { ...worse(RATE, 0.01, 'one segment: always for 5 % of users'), segment: 0.05 },
  { ...worse(RATE, 0.01, 'one segment: always for 5 % of users, sticky'), segment: 0.05, isSticky: true },
  { ...worse(RATE, 0.01, 'one segment: always for 20 % of users, sticky'), segment: 0.2, isSticky: true },
  { ...worse(RATE, 0.01, 'latency only: twice as slow'), slower: 2 },
  { ...worse(RATE, 0.01, 'latency only: 2 % hang'), hanging: 0.02 },
  {
    ...worse(RATE, 0.3, 'flapping: 30 % for 10 s of each minute'),
    canary: FLAPPING,
  },
  {
    ...worse(RATE, 0.01, 'cold start: first 20 of a target fail 20 %'),
    cold: { answers: 20, bad: 0.2, slower: 10 },
  },
]

/** Releases without a fault, in weather; the first is in none. */
export const WEATHER: readonly Stream[] = [
  equal(RATE, 0.01, 'nothing happens'),
  equal(
    RATE,
    (second) => 0.001 + 0.02 * Math.sin(second / 120) ** 2,
    'drifting: 0.1 to 2 % and back, every six minutes',
  ),
  { ...equal(RATE, 0.01, 'clustered: 5 answers of a target in a row'), row: 5 },
  { ...equal(RATE, 0.01, 'clustered: 30 answers of a target in a row'), row: 30 },
  equal(RATE, outage(60), 'shared outage: 50 % for 60 s'),
  { ...equal(RATE, 0.01, 'sticky users'), isSticky: true },
  equal(RATE, outage(300), 'shared outage: 50 % for 300 s'),
  equal(RATE, FLAPPING, 'both flap: 30 % for 10 s of each minute'),
  equal(RATE, RAMPING, 'both ramp: 1 → 20 % in ten minutes, and stay'),
  {
    ...equal(RATE, 0.01, 'cold start: first 20 of a target 10 times as slow'),
    cold: { answers: 20, bad: 0.01, slower: 10 },
  },
]

/** From one request a minute to a hundred thousand a second. */
export const RATES: readonly (readonly [rate: number, title: string])[] = [
  [1 / 60, '1/min'],
  [1, '1/s'],
  [10, '10/s'],
  [100, '100/s'],
  [1_000, '1,000/s'],
  [10_000, '10,000/s'],
  [100_000, '100,000/s'],
]
