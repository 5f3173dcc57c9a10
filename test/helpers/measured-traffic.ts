/** The traffic of a service with the pools blue and green, as though it had been measured over the last ten seconds. */
import { FIELD, FIELDS } from '../../src/metrics/layout.ts'
import type { ServiceTraffic, TargetTraffic } from '../../src/metrics/window.ts'

const WINDOW_MS = 10_000

/** What is measured of a pool: requests a second, the time of each, and those a second that found no room. */
export interface Measured {
  perSecond: number
  eachMs: number
  shed?: number
}

/** Each pool has one target. */
export function measuredTraffic(blue: Measured, green: Measured): ServiceTraffic {
  return {
    windowMs: WINDOW_MS,
    visitors: new Map(),
    visitorsWindowMs: WINDOW_MS,
    pools: new Map([
      ['blue', [trafficOf(blue)]],
      ['green', [trafficOf(green)]],
    ]),
  }
}

function trafficOf({ perSecond, eachMs, shed = 0 }: Measured): TargetTraffic {
  const recent = new Float64Array(FIELDS)
  recent[FIELD.requests] = (perSecond * WINDOW_MS) / 1_000
  recent[FIELD.durationSumMs] = recent[FIELD.requests] * eachMs
  recent[FIELD.shedQueueFull] = (shed * WINDOW_MS) / 1_000
  return { url: '', total: recent, recent, decidedSinceSplit: 0 }
}
