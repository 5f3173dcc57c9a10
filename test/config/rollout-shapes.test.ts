/** Settings of a rollout of any shape get faults, and never break the check. */
import { expect, test } from 'vitest'
import { validateRollout, validateService } from '../../src/config/check.ts'
import { SHOP } from '../admin/stand-in.ts'
import { bulk } from '../helpers/bulk.ts'

const WHOLE = {
  strategy: 'canary',
  steps: [
    5,
    { weight: 25, for: '2m', requests: 10, until: 'promoted', hooks: [{ url: 'http://127.0.0.1:1/', secret: 's' }] },
  ],
  step: { for: '1m', requests: 100 },
  warmup: { requests: [{ path: '/' }], rate: 20, for: '30s', success: 0.99, p95: '500ms' },
  smoke: [{ path: '/', status: '200', within: '1s', json: { ok: true } }],
  hooks: [
    { at: 'BeforeStep', url: 'http://127.0.0.1:1/', timeout: '30s', secret: 's' },
    { at: 'AfterBake', command: ['/opt/x', 'y'] },
  ],
  rolling: { batchSize: 1, maxUnavailable: 1, within: '60s' },
  announces: { path: '/version', json: 'v' },
  capacity: { requestsPerTarget: 2 },
  fingerprint: { path: '/f', json: 'v', same: true },
  schedule: {
    notBefore: '2026-12-01T08:00',
    freeze: [
      { days: ['fri'], from: '16:00', to: '24:00' },
      { from: '2026-12-24', to: '2026-12-27' },
    ],
    window: [{ from: '22:00', to: '05:00' }],
    timezone: 'Europe/Berlin',
  },
  verdict: {
    alpha: 0.001,
    rate: { above: 0.05, over: '5m' },
    failing: '500-599',
    metrics: [
      { name: 'a', margin: 0.1 },
      { name: 'b', prometheus: 'http://127.0.0.1:9090', bad: 'x{p="{pool}"}', all: 'y{p="{pool}"}', every: '15s' },
      { name: 'c', prometheus: 'http://127.0.0.1:9090', query: 'z', above: 1, for: 2 },
    ],
  },
  standby: '1h',
  bake: '5m',
  notify: [{ url: 'http://127.0.0.1:1/' }],
}

const ODD = [null, true, 0, -1, '', 'x', '0000-00-00', '99:99', [], [null], ['x'], [[]], {}, { x: null }]

/** The value with each of its parts, one at a time, replaced by something odd. */
function* oddities(value: unknown): Generator<unknown> {
  yield* ODD
  if (typeof value !== 'object' || value === null) return
  for (const [key, part] of Object.entries(value)) {
    for (const odd of oddities(part)) {
      if (Array.isArray(value)) yield value.map((old, at) => (String(at) === key ? odd : old))
      else yield { ...value, [key]: odd }
    }
  }
}

/** The same check is made of it within a service, where it takes ten times as long. */
const IN_A_SERVICE = bulk(7, 1)

test('of a rollout, in a service and by itself', () => {
  expect(validateRollout(WHOLE)).not.toHaveProperty('faults')
  let count = 0
  for (const rollout of oddities(WHOLE)) {
    count++
    const text = JSON.stringify(rollout)
    expect(() => validateRollout(rollout), text).not.toThrow()
    if (count % IN_A_SERVICE === 0) expect(() => validateService({ ...SHOP, rollout }), text).not.toThrow()
  }
  expect(count).toBeGreaterThan(800)
})
