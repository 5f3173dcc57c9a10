/** One lookup, against a real name server on loopback that answers and fails in every way. */
import { describe, expect, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { parseHosts } from '../../src/names/hosts-file.ts'
import { type LookupContext, lookUp } from '../../src/names/lookup.ts'
import { parseResolvConf } from '../../src/names/resolv-conf.ts'
import { addresses, startNameServer, type Zone } from '../helpers/name-server.ts'

async function setup(zones: Record<string, Zone>, more: Partial<LookupContext> & { conf?: string } = {}) {
  const server = await startNameServer(zones)
  const context: LookupContext = {
    clock: systemClock,
    hosts: new Map(),
    resolvConf: parseResolvConf(more.conf ?? ''),
    servers: [server.address],
    from: null,
    ...more,
  }
  return {
    server,
    ask: (name: string, changes: Partial<LookupContext> = {}) => lookUp(name, { ...context, ...changes }),
  }
}

const none = { addresses: [], ttlS: 0 }

describe('what name servers answer', () => {
  test('both families are asked for, each with its shortest TTL', async () => {
    const { ask } = await setup({
      'api.test': {
        answers: [...addresses(['10.0.0.2'], 90), ...addresses(['10.0.0.1'], 40), ...addresses(['fd00::1'], 7)],
      },
    })
    expect(await ask('api.test')).toEqual({
      from: 'api.test',
      v4: { addresses: ['10.0.0.2', '10.0.0.1'], ttlS: 40 },
      v6: { addresses: ['fd00::1'], ttlS: 7 },
    })
  })

  test('a name with IPv6 only is found', async () => {
    const { ask } = await setup({ 'six.test': { answers: addresses(['fd00::6']) } })
    expect(await ask('six.test')).toMatchObject({ v4: none, v6: { addresses: ['fd00::6'] } })
  })

  test('aliases are followed to their addresses', async () => {
    const { ask } = await setup({
      'www.test': {
        answers: [
          { type: 'CNAME', value: 'a.test', ttl: 300 },
          { type: 'CNAME', owner: 'a.test', value: 'b.test', ttl: 300 },
          { type: 'A', owner: 'b.test', value: '10.0.0.9', ttl: 20 },
        ],
      },
    })
    expect(await ask('www.test')).toMatchObject({ from: 'www.test', v4: { addresses: ['10.0.0.9'], ttlS: 20 } })
  })

  test('an alias that leads nowhere is a name without an address', async () => {
    const { ask } = await setup({ 'www.test': { answers: [{ type: 'CNAME', value: 'gone.test' }] } })
    expect(await ask('www.test')).toMatchObject({ fault: { reason: 'no_address' } })
  })

  test('an answer that is cut short is asked for again by TCP, however long it is', async () => {
    const many = Array.from({ length: 2_000 }, (_, i) => `10.1.${i >> 8}.${i & 255}`)
    const { ask, server } = await setup({ 'big.test': { answers: addresses(many), truncated: true } })
    const found = await ask('big.test')
    expect('v4' in found && found.v4?.addresses).toHaveLength(2_000)
    expect(server.asked).toContain('big.test A tcp')
  })

  test('addresses that lead to no other machine are left out', async () => {
    const bad = ['0.0.0.0', '0.1.2.3', '224.0.0.1', '255.255.255.255', 'ff02::1', 'fe80::1']
    const { ask } = await setup({
      'mixed.test': { answers: addresses([...bad, '10.0.0.1']) },
      'bad.test': { answers: addresses(bad) },
    })
    expect(await ask('mixed.test')).toMatchObject({ v4: { addresses: ['10.0.0.1'] }, v6: none })
    expect(await ask('bad.test')).toEqual({
      fault: { reason: 'no_address', message: 'the name has no usable address' },
    })
  })

  test('a slow answer is waited for', async () => {
    const { ask } = await setup({ 'slow.test': { answers: addresses(['10.0.0.1']), delayMs: 700 } })
    expect(await ask('slow.test')).toMatchObject({ v4: { addresses: ['10.0.0.1'] } })
  })

  test('a server that never answers for IPv6 costs a fraction of a second, and is not taken for a name without IPv6', async () => {
    const { ask } = await setup({ 'half.test': { answers: addresses(['10.0.0.1']), silent: ['AAAA'] } })
    const startedMs = performance.now()
    expect(await ask('half.test')).toMatchObject({ v4: { addresses: ['10.0.0.1'] }, v6: null })
    expect(performance.now() - startedMs).toBeLessThan(1_500)
  })
})

describe('how lookups fail', () => {
  const reasonOf = async (zone: Zone) => {
    const { ask } = await setup({ 'x.test': zone })
    const found = await ask('x.test')
    return 'fault' in found ? found.fault.reason : found
  }

  test('each failure has its reason', async () => {
    expect(await reasonOf({ rcode: 'nxdomain' })).toBe('not_found')
    expect(await reasonOf({})).toBe('no_address')
    expect(await reasonOf({ rcode: 'servfail' })).toBe('server_failure')
    expect(await reasonOf({ rcode: 'refused' })).toBe('refused')
  })

  test('a server that says nothing is given up within the limit', async () => {
    const startedMs = performance.now()
    expect(await reasonOf({ silent: true })).toBe('timeout')
    expect(performance.now() - startedMs).toBeLessThan(7_000)
  })

  test('where no server listens, that is said at once', async () => {
    const { ask } = await setup({})
    const startedMs = performance.now()
    expect(await ask('x.test', { servers: ['127.0.0.1:1'] })).toMatchObject({ fault: { reason: 'refused' } })
    expect(performance.now() - startedMs).toBeLessThan(2_000)
  })

  test('a text that can be no name is a name that does not exist', async () => {
    const { ask } = await setup({})
    expect(await ask('a..test')).toMatchObject({ fault: { reason: 'not_found' } })
    expect(await ask(`${'x'.repeat(64)}.test`)).toMatchObject({ fault: { reason: 'not_found' } })
    expect(await ask(`${'abc.'.repeat(80)}test`)).toMatchObject({ fault: { reason: 'not_found' } })
  })

  test('the next server is asked when one is silent, and when one refuses', async () => {
    const { server, ask } = await setup({ 'x.test': { answers: addresses(['10.0.0.1']) } })
    const dead = await startNameServer({ 'x.test': { silent: true } })
    const refusing = await startNameServer({ 'x.test': { rcode: 'refused' } })
    const failing = await startNameServer({ 'x.test': { rcode: 'servfail' } })
    for (const first of [dead, refusing, failing]) {
      const found = await ask('x.test', { servers: [first.address, server.address] })
      expect(found, first.address).toMatchObject({ v4: { addresses: ['10.0.0.1'] } })
    }
  })
})

describe('incomplete names', () => {
  const conf = 'search ns.svc.cluster.local svc.cluster.local corp.test\noptions ndots:5'

  test('the search list is gone through in its order, as Kubernetes relies on', async () => {
    const { ask, server } = await setup(
      { 'api.other.svc.cluster.local': { answers: addresses(['10.0.0.1']) } },
      { conf },
    )
    expect(await ask('api.other')).toMatchObject({ from: 'api.other.svc.cluster.local' })
    const names = server.asked.filter((question) => question.endsWith(' A'))
    expect(names).toEqual(['api.other.ns.svc.cluster.local A', 'api.other.svc.cluster.local A'])
  })

  test('a name from outside is found behind the search list, even when a domain of it fails', async () => {
    const { ask } = await setup(
      { 'api.example.com': { answers: addresses(['10.0.0.1']) }, 'api.example.com.corp.test': { rcode: 'servfail' } },
      { conf },
    )
    expect(await ask('api.example.com')).toMatchObject({ from: 'api.example.com' })
  })

  test('a name with a final dot is complete', async () => {
    const { ask, server } = await setup({ 'api.test': { answers: addresses(['10.0.0.1']) } }, { conf })
    expect(await ask('api.test.')).toMatchObject({ from: 'api.test' })
    expect(new Set(server.asked)).toEqual(new Set(['api.test A', 'api.test AAAA']))
  })

  test('while the name that is known cannot be asked, none behind it takes its place', async () => {
    const { ask, server } = await setup(
      { 'api.corp.test': { answers: addresses(['10.0.0.1']) }, api: { answers: addresses(['10.9.9.9']) } },
      { conf: 'search corp.test' },
    )
    server.set('api.corp.test', { rcode: 'servfail' })
    expect(await ask('api', { from: 'api.corp.test' })).toMatchObject({ fault: { reason: 'server_failure' } })
    server.set('api.corp.test', null)
    expect(await ask('api', { from: 'api.corp.test' })).toMatchObject({ from: 'api' })
  })

  test('a server that is silent is asked for one name of the list only', async () => {
    const silent = { silent: true } as const
    const { ask, server } = await setup(
      { 'api.a.test': silent, 'api.b.test': silent },
      { conf: 'search a.test b.test' },
    )
    expect(await ask('api')).toMatchObject({ fault: { reason: 'timeout' } })
    expect(server.asked.filter((question) => !question.startsWith('api.a.test'))).toEqual([])
  })
})

describe('names that no server is asked for', () => {
  test('localhost and what is below it are loopback, whatever the hosts file says', async () => {
    const { ask, server } = await setup({}, { hosts: parseHosts('10.0.0.1 localhost a.localhost') })
    for (const name of ['localhost', 'localhost.', 'a.localhost']) {
      expect(await ask(name)).toMatchObject({ v4: { addresses: ['127.0.0.1'] }, v6: { addresses: ['::1'] } })
    }
    expect(server.asked).toEqual([])
  })

  test('the hosts file comes first', async () => {
    const { ask, server } = await setup(
      { 'db.test': { answers: addresses(['10.0.0.9']) } },
      { hosts: parseHosts('10.0.0.1 db.test\n10.0.0.2 db.test') },
    )
    expect(await ask('db.test')).toMatchObject({ from: 'hosts', v4: { addresses: ['10.0.0.1', '10.0.0.2'] } })
    expect(await ask('db.test.')).toMatchObject({ from: 'hosts' })
    expect(server.asked).toEqual([])
  })
})
