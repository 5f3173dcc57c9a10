/** What is wrong with the settings of a rollout is told, whatever it is. */
import { expect, test } from 'vitest'
import { completeService, validateService } from '../../src/config/check.ts'

function faults(rollout: unknown): string[] {
  const checked = validateService({ routes: [{}], pools: { blue: { targets: [] } }, rollout })
  return 'faults' in checked ? checked.faults.map(({ pointer, message }) => `${pointer} ${message}`) : []
}

test.each<[object, RegExp]>([
  [{ verdict: { alpha: 0 } }, /^\/rollout\/verdict\/alpha must be above 0, found 0$/],
  [{ verdict: { alpha: 1 } }, /at most 0\.2/],
  [{ verdict: { margin: -1 } }, /must be above 0/],
  [{ verdict: { tolerance: 0.5 } }, /at least 1/],
  [{ verdict: { harm: 1.5 } }, /a whole number/],
  [{ verdict: { rate: { over: 'long' } } }, /is not a duration/],
  [{ verdict: 7 }, /expected a map/],
  [{ steps: [] }, /needs at least one entry/],
  [{ steps: [5, 101] }, /\/rollout\/steps\/1 /],
  [{ steps: ['5'] }, /\/rollout\/steps\/0 /],
  [{ steps: [{}] }, /\/rollout\/steps\/0/],
  [{ steps: [{ weight: 5, until: 'later' }] }, /until/],
  [{ step: { for: 5 } }, /duration/],
  [{ keep: 51 }, /at most 50/],
  [{ advance: 'never' }, /"verdict" or "time"|verdict/],
  [{ onFailure: 'panic' }, /rollback/],
  [{ onInsufficient: 'panic' }, /wait/],
  [{ bake: '5 minutes' }, /is not a duration/],
  [{ hooks: [{ at: 'Noon', url: 'http://h' }] }, /\/rollout\/hooks\/0\/at/],
  [{ hooks: [{ at: 'AfterBake', url: 'ftp://h' }] }, /is not an http or https URL/],
  [{ hooks: [{ at: 'AfterBake' }] }, /url/],
  [{ hooks: [{ at: 'AfterBake', url: 'http://h', secret: '' }] }, /must not be empty/],
  [{ steps: [{ weight: 5, hooks: [{ at: 'AfterBake', url: 'http://h' }] }] }, /\/steps\/0/],
  [{ steps: [{ weight: 5, hooks: [{}] }] }, /\/steps\/0\/hooks\/0\/url missing key "url"/],
  [{ steps: [5, { weight: 9, hooks: [{ command: ['x'] }] }] }, /\/steps\/1\/hooks\/0\/command\/0 "x" is no whole path/],
  [{ steps: [{ weight: 5, hooks: [{ url: 'http://h', timeout: '30d' }] }] }, /\/hooks\/0\/timeout 30d is too long/],
  [{ warmup: { requests: [] } }, /needs at least one entry/],
  [{ warmup: { requests: [{ path: 'x' }] } }, /is not a path/],
  [{ warmup: { requests: [{}], success: 2 } }, /at most 1/],
  [{ warmup: { requests: [{}], rate: 0 } }, /at least 0\.1/],
  [{ smoke: [{ status: 'fine' }] }, /is not a list of statuses/],
  [{ smoke: [{ json: 7 }] }, /expected a map/],
  [{ notify: [{}] }, /url/],
  [{ schedule: { timezone: 'Europe/Berlyn' } }, /schedule\/timezone "Europe\/Berlyn" is no time zone/],
  [{ schedule: { notBefore: 'tomorrow' } }, /is not a date such as/],
  [{ schedule: { notBefore: '2026-02-30' } }, /2026-02-30 is no date/],
  [{ schedule: { freeze: [{ from: '25:00', to: '26:00' }] } }, /is not a time such as/],
  [{ schedule: { freeze: [{ from: '16:00' }] } }, /missing key "to"/],
  [{ schedule: { freeze: [{ from: '16:00', to: '2026-12-24' }] } }, /both be times of a day, or both be dates/],
  [{ schedule: { freeze: [{ from: '16:00', to: '16:00' }] } }, /the whole day is from "00:00" to "24:00"/],
  [{ schedule: { freeze: [{ from: '24:00', to: '10:00' }] } }, /write "00:00"/],
  [{ schedule: { freeze: [{ from: '2026-12-24', to: '2026-12-23' }] } }, /2026-12-23 is not after 2026-12-24/],
  [{ schedule: { freeze: [{ days: ['fri'], from: '2026-12-24', to: '2026-12-26' }] } }, /need no days/],
  [{ schedule: { freeze: [{ days: ['friday'], from: '10:00', to: '11:00' }] } }, /fri/],
  [{ schedule: { window: [] } }, /needs at least one entry/],
  [{ hooks: [{ at: 'AfterBake', url: 'http://h', command: ['/bin/x'] }] }, /either a url or a command, not both/],
  [{ hooks: [{ at: 'AfterBake', command: [] }] }, /needs at least one entry/],
  [{ hooks: [{ at: 'AfterBake', command: ['migrate'] }] }, /"migrate" is no whole path of a program/],
  [{ hooks: [{ at: 'AfterBake', command: ['/opt/hooks/../x'] }] }, /is no whole path/],
  [{ hooks: [{ at: 'AfterBake', command: ['/opt/x', 'a\0b'] }] }, /zero byte/],
  [{ hooks: [{ at: 'AfterBake', command: ['/opt/x'], secret: 's' }] }, /a command gets no signature/],
  [{ hooks: [{ at: 'AfterBake', command: ['/opt/x', '(hidden)'] }] }, /a viewer is not shown: write it out/],
  [{ hooks: [{ at: 'AfterBake', url: 'http://h', secret: '(hidden)' }] }, /a viewer is not shown: write it out/],
  [{ hooks: [{ at: 'AfterBake', url: 'http://h/x?(hidden)' }] }, /a viewer is not shown: write it out/],
  [{ notify: [{ url: 'https://chat/(hidden)' }] }, /\/notify\/0\/url .*a viewer is not shown/],
  [
    { hooks: [{ at: 'AfterBake', url: 'http://a:b@h' }] },
    /\/hooks\/0\/url a name and password in the URL are not sent/,
  ],
  [{ hooks: [{ at: 'AfterBake', url: 'http://[h' }] }, /"http:\/\/\[h" is not an http or https URL/],
  [{ notify: [{ url: 'http://a:b@h' }] }, /\/notify\/0\/url a name and password in the URL are not sent/],
  [{ step: { requests: 1e10 } }, /must be at most 1000000000/],
  [{ standby: '1ms' }, /too short/],
  [{ announces: { path: 'version' } }, /is not a path/],
  [{ announces: { json: '' } }, /must not be empty/],
  [{ fingerprint: { same: 'yes' } }, /true or false/],
  [{ capacity: {} }, /missing key "requestsPerTarget"/],
  [{ capacity: { requestsPerTarget: 0 } }, /at least 1/],
  [{ strategy: 'x'.repeat(129) }, /more than 128 characters/],
  [{ strategy: 'canery' }, /^\/rollout\/strategy no strategy is called "canery" \(did you mean "canary"\?\)/],
  [{ strategy: 'Linear0PercentEvery1Minute' }, /^\/rollout\/strategy no strategy is called/],
  [{ strategy: '50-10' }, /^\/rollout\/strategy the weights have to rise, and 10 comes after 50$/],
  [{ steps: [50, { weight: 10 }] }, /^\/rollout\/steps the weights have to rise, and 10 comes after 50$/],
  [{ strategy: 'rolling', steps: [5] }, /^\/rollout\/steps a rolling release has no steps of weight$/],
  [
    { strategy: 'nope', steps: [9, 5], keep: 51 },
    /at most 50, found 51\n.*strategy no strategy.*\n.*steps the weights/,
  ],
  [{ strategie: 'canary' }, /unknown key "strategie"/],
  [{ warmup: { requests: [{}], for: '2d' } }, /^\/rollout\/warmup\/for 2d is too long: at most 24h/],
  [{ smoke: [{ within: '30d' }] }, /^\/rollout\/smoke\/0\/within 30d is too long/],
  [{ hooks: [{ at: 'AfterBake', url: 'http://h', timeout: '30d' }] }, /hooks\/0\/timeout 30d is too long/],
])('%j', (rollout, fault) => {
  expect(faults(rollout).join('\n')).toMatch(fault)
})

const PROM = { name: 'orders', prometheus: 'http://prom:9090' }
const COUNTED = { ...PROM, bad: 'b{pool="{pool}"}', all: 'a{pool="{pool}"}' }
const BOUNDED = { ...PROM, query: 'q{pool="{pool}"}', above: 1 }

test.each<[object, RegExp]>([
  [{}, /^\/rollout\/verdict\/metrics\/0\/name missing key "name"$/],
  [{ name: 'a b' }, /"a b" is not a name/],
  [{ name: 'failures' }, /failures is what the verdict calls something else/],
  [{ name: 'x', margin: 0 }, /must be above 0/],
  [{ name: 'x', every: '5s' }, /\/0\/every x is posted, since it names no Prometheus: every says nothing of it$/],
  [{ name: 'x', bad: '{pool}', all: '{pool}' }, /missing key "prometheus": where Prometheus is/],
  [{ ...PROM }, /missing key "bad": .*\n.*missing key "all"/],
  [{ ...COUNTED, all: undefined }, /missing key "all": counters of all there was/],
  [{ ...COUNTED, bad: 'sum(failed)' }, /\/bad does not say \{pool\}, so both versions would be counted alike/],
  [{ ...COUNTED, above: 3 }, /orders is counted: above says nothing of it/],
  [{ ...COUNTED, every: '10ms' }, /too short: at least 1000ms/],
  [{ ...COUNTED, every: '2d' }, /too long: at most 1h/],
  [{ ...COUNTED, prometheus: 'prom:9090' }, /is not an http or https URL/],
  [{ ...COUNTED, prometheus: 'http://a:b@prom' }, /a name and password in the URL are not sent/],
  [{ ...COUNTED, prometheus: 'http://prom/?x=1' }, /must not have a query/],
  [{ ...COUNTED, prometheus: 'http://[prom' }, /"http:\/\/\[prom" is not an http or https URL/],
  [{ ...BOUNDED, above: undefined }, /needs either above or below/],
  [{ ...BOUNDED, below: 0 }, /needs either above or below/],
  [{ ...BOUNDED, bad: '{pool}' }, /orders has a query, so it is one value: bad says nothing of it/],
  [{ ...BOUNDED, margin: 0.1 }, /margin says nothing of it/],
  [{ ...BOUNDED, for: 0 }, /at least 1/],
  [{ ...BOUNDED, query: 'x'.repeat(2_001) }, /more than 2000 characters/],
  [{ ...COUNTED, promethius: 'x' }, /unknown key "promethius"/],
])('metric %j', (metric, fault) => {
  expect(faults({ verdict: { metrics: [metric] } }).join('\n')).toMatch(fault)
})

test('names of metrics are told apart, and there are at most ten', () => {
  const named = (name: string) => ({ name })
  expect(faults({ verdict: { metrics: [named('a'), named('b'), named('a')] } })).toEqual([
    '/rollout/verdict/metrics/2/name another metric has the name "a"',
  ])
  expect(faults({ verdict: { metrics: 'abcdefghijk'.split('').map(named) } }).join()).toMatch(/more than 10 entries/)
  const well = [
    { name: 'conversion', margin: 0.01, optional: true },
    { ...COUNTED, every: '15s', margin: 0.05 },
    { ...BOUNDED, name: 'p99', for: 3, every: '1m', optional: true },
  ]
  expect(faults({ verdict: { metrics: well } })).toEqual([])
})

test('all of it may be said at once', () => {
  const rollout = {
    strategy: 'canary',
    steps: [
      { weight: 0, for: '1m', requests: 1, until: 'promoted', hooks: [{ url: 'https://ci/hook' }] },
      { weight: 20, hooks: [{ at: 'BeforeStep', command: ['/opt/hooks/x'] }] },
      50,
    ],
    step: { for: '1m', requests: 100 },
    warmup: { requests: [{ path: '/' }], rate: 20, for: '30s', success: 0.99, p95: '500ms' },
    smoke: [{ path: '/', status: '200', json: { ok: true }, within: '1s' }],
    hooks: [
      { at: 'BeforeAllowTraffic', url: 'https://ci/hook', timeout: '30s', secret: 's' },
      { at: 'AfterBake', command: ['/opt/hooks/x', '-v'] },
    ],
    verdict: { alpha: 0.001, beta: 0.05, margin: 0.02, tolerance: 1, harm: 50, rate: { above: 0.05, over: '5m' } },
    advance: 'verdict',
    keep: 5,
    bake: '5m',
    onFailure: 'rollback',
    insufficientAfter: '1h',
    onInsufficient: 'pause',
    standby: '1h',
    notify: [{ url: 'https://chat/' }],
    schedule: {
      notBefore: '2026-12-01T08:00',
      freeze: [
        { from: '2026-12-24', to: '2026-12-27' },
        { days: ['fri'], from: '16:00', to: '24:00' },
      ],
      window: [{ from: '22:00', to: '04:00' }],
      timezone: 'Europe/Berlin',
    },
    announces: { path: '/version', json: 'build.version' },
    fingerprint: { path: '/schema', same: true },
    capacity: { requestsPerTarget: 200 },
  }
  expect(faults(rollout)).toEqual([])
})

test('every strategy that there is may stand in the settings, and a step at 0 may wait for what is sent', () => {
  for (const strategy of [
    'blue-green',
    'rolling',
    'Canary10Percent5Minutes',
    'CodeDeployDefault.LambdaAllAtOnce',
    '5-25',
  ])
    expect(faults({ strategy })).toEqual([])
  expect(faults({ steps: [0, 5, 100] })).toEqual([])
})

test('what is stored already stays, whatever its strategy', () => {
  const stored = { routes: [{}], pools: { blue: { targets: [] } }, rollout: { strategy: 'of-a-later-version' } }
  expect(completeService(stored)).toHaveProperty('spec')
})
