/** A config file that is written of what runs loads as the same services again, and tells no secret. */
import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parseSpec } from '../../src/config/load.ts'
import type { Services } from '../../src/config/schema.ts'
import { writtenFile, yamlOf } from '../../src/config/written-file.ts'

function loaded(text: string, env: Record<string, string> = {}): Services {
  const result = parseSpec(text, { env, source: 'file' })
  if ('faults' in result) throw new Error(JSON.stringify(result.faults))
  return result.spec.services
}

const FOLDER = new URL('../../config/', import.meta.url)
const EXAMPLES = readdirSync(FOLDER).filter((name) => name.endsWith('.yaml'))

test.each(EXAMPLES)('what %s says comes back, and nothing is spelled out that was not said', (name) => {
  const env = new Proxy(
    {},
    {
      get: () => '0123456789abcdef',
      has: () => true,
      getOwnPropertyDescriptor: () => ({ configurable: true, value: '' }),
    },
  )
  const services = loaded(readFileSync(new URL(name, FOLDER), 'utf8'), env)
  const { config, variables } = writtenFile(services)
  const text = yamlOf(config)
  expect(loaded(text, Object.fromEntries(variables.map((each) => [each, '0123456789abcdef'])))).toEqual(services)
  for (const filled of ['maxAge: 7d', 'sameSite: lax', 'balance: least-request']) expect(text).not.toContain(filled)
})

const POOLS = {
  blue: { version: '1.10', targets: ['http://127.0.0.1:1'], weights: { 'http://127.0.0.1:1': 3 } },
  green: { targets: [] },
}
const route = (host: string) => [{ host, path: '/' }]
const HOOKS = [
  { at: 'BeforeAllowTraffic', url: 'https://ci.test/hook?token=query', secret: 'a-signature' },
  { at: 'AfterAllowTraffic', command: ['/opt/hooks/notify', '--key', 'argument'] },
]

/** Everything that may go wrong on the way into text and back. */
const CONFIG = {
  rolloutCommands: ['/opt/hooks'],
  services: {
    'a-b': {
      routes: route('a.test'),
      pools: POOLS,
      split: { blue: 90, green: 10 },
      sticky: { pool: true, maxAge: '1d' },
      health: { path: '/ok', json: { 'db.ok': true, n: 1.5, no: 'null' } },
      rules: [
        { name: 'odd', when: { header: { 'x-a': '$${x} # "\' : yes' } }, to: 'green' },
        { name: 'both', when: { not: { all: [{ cookie: { on: '1' } }, { method: 'GET' }] } }, to: 'blue' },
      ],
      rollout: {
        hooks: HOOKS,
        notify: [{ url: 'https://chat.test/services/T0/B0' }],
        steps: [5, { weight: 50, for: '2m' }],
      },
    },
    'a.b': { routes: route('b.test'), pools: POOLS, live: 'blue', sticky: false, rollout: { hooks: [HOOKS[0]] } },
  },
}

test('secrets are variables of their own, whoever has those gets the same services, and nothing else is taken for one', () => {
  const services = loaded(JSON.stringify(CONFIG))
  const { config, variables } = writtenFile(services)
  const text = yamlOf(config)
  for (const secret of ['query', 'a-signature', 'argument', 'T0']) expect(text).not.toContain(secret)
  expect(variables).toEqual([
    'A_B_ROLLOUT_HOOKS_0_URL',
    'A_B_ROLLOUT_HOOKS_0_SECRET',
    'A_B_ROLLOUT_HOOKS_1_COMMAND_1',
    'A_B_ROLLOUT_HOOKS_1_COMMAND_2',
    'A_B_ROLLOUT_NOTIFY_0_URL',
    'A_B_ROLLOUT_HOOKS_0_URL_2',
    'A_B_ROLLOUT_HOOKS_0_SECRET_2',
  ])
  const [{ url = '', secret = '' }] = HOOKS
  const held = [url, secret, '--key', 'argument', 'https://chat.test/services/T0/B0', url, secret]
  expect(loaded(text, Object.fromEntries(variables.map((name, at) => [name, held[at]])))).toEqual(services)
})

test('what a viewer is not shown is a variable too, since it would be refused as a value', () => {
  const services = loaded(JSON.stringify(CONFIG))
  const hidden = JSON.parse(JSON.stringify(services).replaceAll('a-signature', '(hidden)')) as Services
  expect(yamlOf(writtenFile(hidden).config)).not.toContain('(hidden)')
})
