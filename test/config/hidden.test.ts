/** What a viewer is not shown of the settings of rollouts. */
import { expect, test } from 'vitest'
import { validateService } from '../../src/config/check.ts'
import { withoutSecrets } from '../../src/config/hidden.ts'

const HOOKS = [
  { at: 'AfterBake', url: 'https://me:pass@ci/hook?token=abc', secret: 's3cret', timeout: '30s' },
  { at: 'AfterBake', url: 'https://ci/hook', timeout: '30s' },
  { at: 'AfterBake', command: ['/opt/hooks/x', '--token', 'abc'] },
  { at: 'AfterBake', command: ['/opt/hooks/x'] },
]
const NOTIFY = [
  { url: 'https://hooks.slack.com/services/T0/B0/abc' },
  { url: 'https://chat?abc' },
  { url: 'https://u:p@h/x' },
]

test('secrets, queries, arguments and where notifications go are hidden, wherever they stand', () => {
  const hooks = [
    { at: 'AfterBake', url: 'https://ci/hook?(hidden)', secret: '(hidden)', timeout: '30s' },
    { at: 'AfterBake', url: 'https://ci/hook', timeout: '30s' },
    { at: 'AfterBake', command: ['/opt/hooks/x', '(hidden)'] },
    { at: 'AfterBake', command: ['/opt/hooks/x'] },
  ]
  const notify = [{ url: 'https://hooks.slack.com/(hidden)' }, { url: 'https://chat/(hidden)' }, { url: '/(hidden)' }]
  const rollout = { hooks: HOOKS, notify: NOTIFY, bake: '5m' }
  for (const [shown, hidden] of [
    [rollout, { hooks, notify, bake: '5m' }],
    [{ services: [{ spec: { rollout } }] }, { services: [{ spec: { rollout: { hooks, notify, bake: '5m' } } }] }],
    [
      { entries: [{ change: { patch: { rollout: { notify: NOTIFY } } } }] },
      { entries: [{ change: { patch: { rollout: { notify } } } }] },
    ],
  ]) {
    expect(withoutSecrets(shown)).toEqual(hidden)
  }
})

test('all else stays the very same', () => {
  for (const value of [
    null,
    1,
    'secret',
    [],
    {},
    { secret: 'a header may be called so' },
    { hooks: 7, notify: 'x' },
    { a: [{ b: 1 }] },
  ]) {
    expect(withoutSecrets(value)).toBe(value)
  }
})

test('what is hidden is refused as a value, so that nobody puts it back', () => {
  const service = {
    routes: [{}],
    pools: { blue: { targets: [] } },
    rollout: { hooks: HOOKS.slice(0, 1), notify: NOTIFY.slice(0, 1) },
  }
  const checked = validateService(withoutSecrets(service))
  expect('faults' in checked && checked.faults.map(({ pointer }) => pointer)).toEqual([
    '/rollout/hooks/0/url',
    '/rollout/hooks/0/secret',
    '/rollout/notify/0/url',
  ])
})
