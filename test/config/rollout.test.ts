/** What is wrong with the settings of a rollout is told, whatever it is. */
import { expect, test } from 'vitest'
import { validateService } from '../../src/config/check.ts'

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
  [{ warmup: { requests: [] } }, /needs at least one entry/],
  [{ warmup: { requests: [{ path: 'x' }] } }, /is not a path/],
  [{ warmup: { requests: [{}], success: 2 } }, /at most 1/],
  [{ warmup: { requests: [{}], rate: 0 } }, /at least 0\.1/],
  [{ smoke: [{ status: 'fine' }] }, /is not a list of statuses/],
  [{ smoke: [{ json: 7 }] }, /expected a map/],
  [{ notify: [{}] }, /url/],
  [{ strategy: 'x'.repeat(129) }, /more than 128 characters/],
  [{ strategie: 'canary' }, /unknown key "strategie"/],
])('%j', (rollout, fault) => {
  expect(faults(rollout).join('\n')).toMatch(fault)
})

test('all of it may be said at once', () => {
  const rollout = {
    strategy: 'canary',
    steps: [{ weight: 0, for: '1m', requests: 1, until: 'promoted' }, 50],
    step: { for: '1m', requests: 100 },
    warmup: { requests: [{ path: '/' }], rate: 20, for: '30s', success: 0.99, p95: '500ms' },
    smoke: [{ path: '/', status: '200', json: { ok: true }, within: '1s' }],
    hooks: [{ at: 'BeforeAllowTraffic', url: 'https://ci/hook', timeout: '30s', secret: 's' }],
    verdict: { alpha: 0.001, beta: 0.05, margin: 0.02, tolerance: 1, harm: 50, rate: { above: 0.05, over: '5m' } },
    advance: 'verdict',
    keep: 5,
    bake: '5m',
    onFailure: 'rollback',
    insufficientAfter: '1h',
    onInsufficient: 'pause',
    notify: [{ url: 'https://chat/' }],
  }
  expect(faults(rollout)).toEqual([])
})
