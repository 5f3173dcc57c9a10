/** Places of SRV records: which of them count, with what weights, and how the records of a name are looked up. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { parseResolvConf } from '../../src/names/resolv-conf.ts'
import { NO_RECORDS, onSrvLookup, placesOf, SRV_MS, type SrvRecord, type SrvState } from '../../src/names/srv.ts'
import { lookUpSrv } from '../../src/names/srv-lookup.ts'
import { type NameState, UNASKED } from '../../src/names/state.ts'
import { services, startNameServer, type Zone } from '../helpers/name-server.ts'

/** `priority weight port host` each. */
const recordsOf = (...texts: string[]): SrvRecord[] =>
  texts.map((text) => {
    const [priority, weight, port, host] = text.split(' ')
    return { priority: Number(priority), weight: Number(weight), port: Number(port), host }
  })
const stateOf = (...texts: string[]): SrvState => onSrvLookup(NO_RECORDS, { from: 'web', records: recordsOf(...texts) })

const at = (...addresses: string[]): NameState => ({
  ...UNASKED,
  addresses: addresses.map((address) => ({ address, alternate: null })),
  fault: null,
})
const lost: NameState = { ...UNASKED, fault: { reason: 'timeout', message: 'no answer' }, failures: 1 }

/** The places of these records; hosts that are not given were not asked yet. */
const places = (state: SrvState, hosts: Record<string, NameState>, before: NameState = UNASKED): NameState =>
  placesOf(
    before,
    state,
    (host) => hosts[host.replace(/\.$/, '')] ?? UNASKED,
    (host) => host.replace(/\.$/, '') in hosts,
  )
const weights = ({ addresses }: NameState) =>
  Object.fromEntries(addresses.map(({ address, srv }) => [address, srv?.weight]))

describe('the places of SRV records', () => {
  test('only records of the lowest priority count of which a host has an address', () => {
    const state = stateOf('1 1 80 a', '1 1 81 b', '2 1 82 c')
    expect(weights(places(state, { a: at('10.0.0.1'), b: lost, c: at('10.0.0.3') }))).toEqual({ '10.0.0.1:80': 1 })
    expect(weights(places(state, { a: lost, b: lost, c: at('10.0.0.3') }))).toEqual({ '10.0.0.3:82': 1 })
  })

  test('weights count by their ratio, and all that are 0 are the same', () => {
    const hosts = { a: at('10.0.0.1'), b: at('10.0.0.2') }
    expect(weights(places(stateOf('1 30 80 a', '1 20 80 b'), hosts))).toEqual({ '10.0.0.1:80': 3, '10.0.0.2:80': 2 })
    expect(weights(places(stateOf('1 0 80 a', '1 0 80 b'), hosts))).toEqual({ '10.0.0.1:80': 1, '10.0.0.2:80': 1 })
  })

  test('beside others, weight 0 is a hundredth of the smallest', () => {
    const hosts = { a: at('10.0.0.1'), b: at('10.0.0.2') }
    expect(weights(places(stateOf('1 0 80 a', '1 7 80 b'), hosts))).toEqual({ '10.0.0.1:80': 1, '10.0.0.2:80': 100 })
  })

  test('one host on two ports is two places', () => {
    const { addresses } = places(stateOf('1 1 80 a', '1 1 81 a'), { a: at('10.0.0.1') })
    expect(addresses.map(({ address }) => address)).toEqual(['10.0.0.1:80', '10.0.0.1:81'])
  })

  test('two records that lead to one place are one with the weights of both', () => {
    const hosts = { a: at('10.0.0.1'), b: at('10.0.0.1'), c: at('10.0.0.2') }
    const found = places(stateOf('1 1 80 a', '1 1 80 b', '1 1 80 c'), hosts)
    expect(weights(found)).toEqual({ '10.0.0.1:80': 2, '10.0.0.2:80': 1 })
  })

  test('a failure takes nothing away, of the records or of all their hosts', () => {
    const state = stateOf('1 1 80 a')
    const known = places(state, { a: at('10.0.0.1') })
    const failed = onSrvLookup(state, { fault: { reason: 'not_found', message: 'gone' } })
    expect(places(failed, { a: at('10.0.0.1') }, known)).toMatchObject({
      addresses: known.addresses,
      fault: { reason: 'not_found' },
    })
    expect(places(state, { a: lost }, known)).toMatchObject({
      addresses: known.addresses,
      fault: { reason: 'timeout', message: 'a: no answer' },
      failingHosts: ['a'],
    })
  })

  test('a host that fails keeps the addresses that it had', () => {
    const found = places(stateOf('1 1 80 a', '1 1 80 b'), {
      a: { ...at('10.0.0.1'), fault: lost.fault },
      b: at('10.0.0.2'),
    })
    expect(found).toMatchObject({ fault: null, failingHosts: ['a'] })
    expect(weights(found)).toEqual({ '10.0.0.1:80': 1, '10.0.0.2:80': 1 })
  })

  test('new records wait until each of their hosts was asked', () => {
    const known = places(stateOf('1 1 80 a'), { a: at('10.0.0.1') })
    const next = stateOf('1 1 80 b', '1 1 80 c')
    expect(places(next, { b: at('10.0.0.2') }, known).addresses).toEqual(known.addresses)
    expect(weights(places(next, { b: at('10.0.0.2'), c: lost }, known))).toEqual({ '10.0.0.2:80': 1 })
  })

  test('64 places are used, and those beyond are counted', () => {
    const texts = Array.from({ length: 70 }, (_, n) => `1 1 ${8000 + n} a`)
    const found = places(stateOf(...texts), { a: at('10.0.0.1') })
    expect([found.addresses.length, found.unused]).toEqual([64, 6])
    const two = places(stateOf(...texts.slice(0, 40)), { a: at('10.0.0.1', '10.0.0.2') })
    expect([two.addresses.length, two.unused]).toEqual([64, 16])
  })

  test('the order of an answer changes nothing', () => {
    const record = fc.record({
      priority: fc.integer({ min: 0, max: 2 }),
      weight: fc.integer({ min: 0, max: 65_535 }),
      port: fc.integer({ min: 1, max: 3 }),
      host: fc.constantFrom('a', 'b', 'c'),
    })
    const hosts = { a: at('10.0.0.1'), b: lost, c: at('10.0.0.3', '10.0.0.1') }
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 20 }), (records) => {
        const of = (list: SrvRecord[]) => places(onSrvLookup(NO_RECORDS, { from: 'web', records: list }), hosts)
        expect(of(records.toReversed()).addresses).toEqual(of(records).addresses)
        for (const { srv } of of(records).addresses) expect(srv?.weight).toBeGreaterThanOrEqual(1)
      }),
    )
  })
})

describe('a lookup of SRV records', () => {
  const ask = async (zone: Zone, conf = '', name = '_web._tcp.test') => {
    const server = await startNameServer({ '_web._tcp.test': zone })
    const resolvConf = parseResolvConf(conf)
    const context = { clock: systemClock, hosts: new Map(), resolvConf, servers: [server.address], from: null }
    return { server, found: await lookUpSrv(`SRV ${name}`, context) }
  }

  test('gives the records, hosts in lower case', async () => {
    const { found } = await ask({ answers: services(['1 5 8080 A.Test', '2 0 81 b.test']) })
    if ('fault' in found) throw new Error(found.fault.message)
    expect(found.from).toBe('_web._tcp.test')
    expect(onSrvLookup(NO_RECORDS, found)).toMatchObject({
      records: recordsOf('1 5 8080 a.test', '2 0 81 b.test'),
      nextMs: SRV_MS,
    })
  })

  test('a record for the root says that the service is not offered', async () => {
    const { found } = await ask({ answers: services(['0 0 0 .']) })
    expect(found).toEqual({
      fault: { reason: 'no_address', message: 'the service is not offered (its SRV record names the root)' },
    })
  })

  test('a record without a port is not used', async () => {
    expect((await ask({ answers: services(['0 0 0 a.test', '0 0 80 b.test']) })).found).toMatchObject({
      records: recordsOf('0 0 80 b.test'),
    })
    expect((await ask({ answers: services(['0 0 0 a.test']) })).found).toMatchObject({
      fault: { reason: 'no_address', message: 'its SRV records have no host and port that can be used' },
    })
  })

  test('a record whose host is none is not used', async () => {
    const texts = ['0 0 80 a\r\nx:b.test', '0 0 80 a/b.test', '0 0 80 b.test']
    expect((await ask({ answers: services(texts) })).found).toMatchObject({ records: recordsOf('0 0 80 b.test') })
  })

  test('a name without such records, one that is not there, and a server that fails are told apart', async () => {
    expect((await ask({ answers: [] })).found).toMatchObject({ fault: { message: 'the name has no SRV records' } })
    expect((await ask({ rcode: 'nxdomain' })).found).toMatchObject({ fault: { reason: 'not_found' } })
    expect((await ask({ rcode: 'servfail' })).found).toMatchObject({ fault: { reason: 'server_failure' } })
  })

  test('a server that compresses the hosts of its records is told as such, since Node does not take that', async () => {
    const message = expect.stringMatching(/is malformed, or it compresses the hosts of its records/)
    expect((await ask({ answers: services(['0 0 80 @']) })).found).toMatchObject({ fault: { message } })
  })

  test('the search list of the system is gone through', async () => {
    const { found } = await ask({ answers: services(['0 1 80 a.test']) }, 'search test\noptions ndots:3', '_web._tcp')
    expect(found).toMatchObject({ from: '_web._tcp.test' })
  })

  test('an answer of 40 records that was cut short by UDP comes by TCP', async () => {
    const texts = Array.from({ length: 40 }, (_, n) => `0 1 ${8000 + n} host-${n}.test`)
    const { found, server } = await ask({ answers: services(texts), truncated: true })
    expect(found).toMatchObject({ records: { length: 40 } })
    expect(server.asked).toEqual(['_web._tcp.test SRV', '_web._tcp.test SRV tcp'])
  })
})
