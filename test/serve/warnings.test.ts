/** What a file that was read again is told not to have changed. */
import { expect, test } from 'vitest'
import { parseSpec } from '../../src/config/load.ts'
import { type Spec, SpecSchema } from '../../src/config/schema.ts'
import { warnOfRestart } from '../../src/serve/warnings.ts'
import { service } from '../helpers/proxy.ts'

function specOf(config: Record<string, unknown>): Spec {
  const loaded = parseSpec(JSON.stringify(config), { env: {}, source: 'test' })
  if ('faults' in loaded) throw new Error(JSON.stringify(loaded.faults))
  return loaded.spec
}

/** What is warned of when a file that says nothing but its services says this instead. */
function warnedOf(config: Record<string, unknown>): unknown[] {
  const told: unknown[] = []
  const warn = ({ keys }: { keys: string[] }) => told.push(...keys)
  const running = specOf({ services: { shop: service({ blue: ['http://127.0.0.1:1'] }) } })
  warnOfRestart({ warn } as unknown as Parameters<typeof warnOfRestart>[0], running, specOf(config))
  return told
}

test('a change of anything but the services needs a restart, and is told to', () => {
  const { services: _, ...keys } = SpecSchema.properties
  const told = warnedOf({
    listeners: [{ address: '127.0.0.1:8081' }],
    admin: { address: '127.0.0.1:9998' },
    workers: 3,
    store: 'memory:',
    onPartition: 'unready',
    trustedProxies: ['10.0.0.0/8'],
    country: { header: 'X-Country' },
    jwt: { secret: 's'.repeat(32) },
    cookieKeys: ['0'.repeat(64)],
    limits: { headBytesMax: 16_000 },
    timeouts: { shutdown: '3s' },
    log: { level: 'warn' },
    rolloutCommands: ['/opt'],
    services: { shop: service({ blue: ['http://127.0.0.1:1'] }) },
  })
  expect(told).toEqual(Object.keys(keys))
  expect(warnedOf({ services: { shop: service({ blue: ['http://127.0.0.1:2'] }) } })).toEqual([])
})
