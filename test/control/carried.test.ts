/** Changes that would send more to a pool than it carries, by what is measured. */
import { expect, test } from 'vitest'
import { questionIn } from '../../src/config/question.ts'
import type { ServiceSpec } from '../../src/config/schema.ts'
import { applyChange, type Resolved as Change } from '../../src/control/apply.ts'
import { dryRunOf } from '../../src/control/guards.ts'
import type { Content } from '../../src/control/reconcile.ts'
import { hostOf } from '../../src/names/address.ts'
import { UNSEEN } from '../../src/table/status.ts'
import { literalAddresses } from '../helpers/literal-names.ts'
import { type Measured, measuredTraffic } from '../helpers/measured-traffic.ts'
import { contentOf, shop } from './stand-in.ts'

const NOW = 1_000_000
const tools = { drainMs: () => 30_000 }

const busy: Measured = { perSecond: 1_030, eachMs: 400 }
const idle: Measured = { perSecond: 0, eachMs: 0 }

/** Blue has everything; all of green's targets are healthy, of which there are two. */
function content(changes: Partial<ServiceSpec> = {}): Content {
  const pools = {
    blue: { version: '1.0', targets: ['http://127.0.0.1:3001'] },
    green: { version: '1.1', targets: ['http://127.0.0.1:3002', 'http://127.0.0.1:3003'] },
  }
  const capacity = { requestsPerTarget: 200, queue: { requests: 10, for: '1s' } }
  const made = contentOf({ shop: shop({ pools, capacity, ...changes } as Partial<ServiceSpec>) })
  const seen = Object.entries(pools).map(([pool, { targets }]) => {
    const healthy = { ...UNSEEN, health: 'healthy' as const, question: questionIn(made.services['shop'], pool) }
    return [pool, Object.fromEntries(targets.map((url) => [url, { [hostOf(url)]: healthy }]))]
  })
  return { ...made, observed: { shop: Object.fromEntries(seen) } }
}

function refused(
  change: Change,
  lately: Partial<Record<'blue' | 'green', Measured>>,
  before = content(),
  force = false,
) {
  const after = applyChange(before, change, NOW, tools)
  const { blue = busy, green = idle } = lately
  const traffic = () => measuredTraffic(blue, green)
  const known = { nowMs: NOW, addressesOf: literalAddresses, traffic }
  return dryRunOf({ before, after, change, changed: ['shop'], options: { force }, known }).refused
}

const service = 'shop'
const toGreen: Change = { kind: 'switch', to: { shop: 'green' } }

test('a switch to a pool that carries less than it would get is refused with the numbers, and by force is not', () => {
  expect(refused(toGreen, {})).toBe(
    'green of shop would get about 412 requests at once (measured 1,030 a second × 0.4 s) and its 2 healthy targets carry 400. ' +
      'Nothing has changed; with force it is done all the same.',
  )
  expect(refused(toGreen, {}, content(), true)).toBeNull()
  expect(refused(toGreen, { blue: { perSecond: 1_000, eachMs: 400 } })).toBeNull()
})

test('a split is refused by the share that grows, whichever change brings it', () => {
  const split = { blue: 50, green: 50 }
  const small = content({ capacity: { requestsPerTarget: 100, queue: { requests: 10, for: '1s' } } })
  const why = /^green of shop would get about 206 requests at once \(measured 1,030 a second × 50 % × 0\.4 s\)/
  expect(refused({ kind: 'split', service, weights: split }, {}, small)).toMatch(why)
  expect(refused({ kind: 'service.patch', service, patch: { split } }, {}, small)).toMatch(why)
  expect(refused({ kind: 'split', service, weights: split }, {})).toBeNull()
})

test('the time is that of the pool itself once it has answered enough', () => {
  expect(refused(toGreen, { green: { perSecond: 1, eachMs: 1 } })).toContain('× 0.4 s')
  expect(refused(toGreen, { green: { perSecond: 10, eachMs: 100 } })).toBeNull()
  const slow = refused(
    { kind: 'split', service, weights: { blue: 70, green: 30 } },
    { green: { perSecond: 10, eachMs: 2_000 } },
  )
  expect(slow).toContain('× 30 % × 2 s')
})

test('only healthy targets carry, and a pool carries no more than its own limit', () => {
  const before = content()
  const url = 'http://127.0.0.1:3003'
  const { green } = before.observed.shop
  const ill = { ...green, [url]: { [hostOf(url)]: { ...UNSEEN, health: 'unhealthy' as const } } }
  const sick = { ...before, observed: { shop: { ...before.observed.shop, green: ill } } }
  const half: Change = { kind: 'split', service, weights: { blue: 40, green: 60 } }
  expect(refused(half, {}, sick)).toContain('its 1 healthy target carries 200')
  const queue = { requests: 10, for: '1s' }
  const capped = content({ capacity: { requestsPerTarget: 200, requestsPerPool: 210, queue } })
  expect(refused(half, {}, capped)).toContain('its 2 healthy targets carry 210')
})

test('whom nobody had room for counts as well: they will ask the other pool', () => {
  const full = { perSecond: 500, eachMs: 400, shed: 510 }
  expect(refused(toGreen, { blue: { ...full, shed: 0 } })).toBeNull()
  expect(refused(toGreen, { blue: full })).toContain('about 404 requests at once')
})

test('a way back is never refused, nor a service without limits, nor what is not measured', () => {
  const before = applyChange(content(), toGreen, NOW, tools)
  expect(refused({ kind: 'back', service }, { green: busy, blue: idle }, before)).toBeNull()
  expect(refused({ kind: 'switch', to: { shop: 'blue' } }, { green: busy, blue: idle }, before)).toContain(
    'carries 200',
  )
  expect(refused(toGreen, {}, content({ capacity: undefined }))).toBeNull()
})
