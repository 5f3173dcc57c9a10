/** What is known of a name, and which of its addresses are used. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ADDRESSES_MAX, chooseAddresses, isUsable, plainAddress } from '../../src/names/address.ts'
import { parseHosts } from '../../src/names/hosts-file.ts'
import { completeNames, parseResolvConf } from '../../src/names/resolv-conf.ts'
import { type Lookup, type NameState, onLookup, sameAddresses, UNASKED } from '../../src/names/state.ts'

const found = (v4: string[], v6: string[] = [], ttlS = 30, from = 'api.test'): Lookup => ({
  from,
  v4: { addresses: v4, ttlS },
  v6: { addresses: v6, ttlS },
})
const failed = (reason: 'timeout' | 'not_found' = 'timeout'): Lookup => ({ fault: { reason, message: reason } })
const stateAfter = (...lookups: Lookup[]): NameState =>
  lookups.reduce((state, one) => onLookup(state, one, false), UNASKED)
const plain = (state: NameState) => state.addresses.map(({ address }) => address)

describe('what is known of a name', () => {
  test('a failure keeps what was known, and an answer ends it', () => {
    const known = stateAfter(found(['10.0.0.1']), failed(), failed('not_found'))
    expect(plain(known)).toEqual(['10.0.0.1'])
    expect(known.fault).toMatchObject({ reason: 'not_found' })
    expect(onLookup(known, found(['10.0.0.2']), false)).toMatchObject({
      addresses: [{ address: '10.0.0.2' }],
      fault: null,
      failures: 0,
    })
  })

  test('once it had an address, it always has one', () => {
    const some = fc.array(fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.3'), { minLength: 1 })
    const family = fc.option(fc.record({ addresses: some, ttlS: fc.nat() }), { nil: null })
    const lookup = fc.oneof(
      fc.constant(failed()),
      fc.record({ from: fc.constantFrom('a', 'b'), v4: fc.record({ addresses: some, ttlS: fc.nat() }), v6: family }),
    )
    fc.assert(
      fc.property(fc.array(lookup), (lookups) => {
        let state = stateAfter(found(['10.0.0.9']))
        for (const one of lookups) {
          state = onLookup(state, one, false)
          expect(state.addresses.length).toBeGreaterThan(0)
          expect(state.nextMs).toBeGreaterThan(0)
          expect(state.nextMs).toBeLessThanOrEqual(60_000)
        }
      }),
    )
  })

  test('a TTL counts between 5 and 60 seconds, and the shortest one', () => {
    expect(stateAfter(found(['10.0.0.1'], [], 0)).nextMs).toBe(5_000)
    expect(stateAfter(found(['10.0.0.1'], [], 31_536_000)).nextMs).toBe(60_000)
    expect(stateAfter(found(['10.0.0.1'], [], 17)).nextMs).toBe(17_000)
    const both: Lookup = { from: 'x', v4: { addresses: ['10.0.0.1'], ttlS: 40 }, v6: { addresses: ['::2'], ttlS: 20 } }
    expect(stateAfter(both).nextMs).toBe(20_000)
  })

  test('a failed lookup is tried again soon, then less and less often, at least every ten seconds', () => {
    let state = UNASKED
    const gaps = Array.from({ length: 8 }, () => {
      state = onLookup(state, failed(), false)
      return state.nextMs
    })
    expect(gaps).toEqual([500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000, 10_000])
  })

  test('a family that could not be asked keeps its addresses while the name is the same', () => {
    const half = (from: string): Lookup => ({ from, v4: { addresses: ['10.0.0.1', '10.0.0.2'], ttlS: 60 }, v6: null })
    const both = found(['10.0.0.1'], ['fd00::1'])
    expect(stateAfter(both, half('api.test'))).toMatchObject({ found: { v6: ['fd00::1'] }, nextMs: 5_000 })
    expect(stateAfter(both, half('other.test'))).toMatchObject({ found: { v6: [] } })
  })

  test('the order of an answer changes nothing', () => {
    expect(
      sameAddresses(stateAfter(found(['10.0.0.1', '10.0.0.2'])), stateAfter(found(['10.0.0.2', '10.0.0.1']))),
    ).toBe(true)
    expect(sameAddresses(stateAfter(found(['10.0.0.1'])), stateAfter(found(['10.0.0.1'], ['::1'])))).toBe(false)
  })
})

describe('which addresses are used', () => {
  const choose = (v4: string[], v6: string[], prefersV6 = false) => chooseAddresses({ v4, v6 }, prefersV6)

  test('one of each family is one address with an alternate', () => {
    expect(choose(['127.0.0.1'], ['::1'])).toEqual({
      addresses: [{ address: '127.0.0.1', alternate: '::1' }],
      unused: 0,
    })
    expect(choose(['127.0.0.1'], ['::1'], true).addresses).toEqual([{ address: '::1', alternate: '127.0.0.1' }])
  })

  test('of several, those of IPv4 are used, and those of IPv6 where there are no others', () => {
    const used = (...args: Parameters<typeof choose>) => choose(...args).addresses.map(({ address }) => address)
    expect(used(['10.0.0.2', '10.0.0.1'], ['fd00::1'])).toEqual(['10.0.0.1', '10.0.0.2'])
    expect(used([], ['fd00::2', 'fd00::1'])).toEqual(['fd00::1', 'fd00::2'])
    expect(used(['10.0.0.1'], ['fd00::2', 'fd00::1'], true)).toEqual(['fd00::1', 'fd00::2'])
    expect(used(['10.0.0.1', '10.0.0.2'], [], true)).toEqual(['10.0.0.1', '10.0.0.2'])
  })

  test('beyond the limit, the same ones are left out whatever their order, and counted', () => {
    const many = Array.from({ length: ADDRESSES_MAX + 3 }, (_, i) => `10.0.0.${i + 1}`)
    const chosen = choose(many, [])
    expect(chosen.addresses).toHaveLength(ADDRESSES_MAX)
    expect(chosen.unused).toBe(3)
    expect(choose(many.toReversed(), [])).toEqual(chosen)
  })

  test('an address has one spelling, and one with a zone is none', () => {
    expect(plainAddress('FD00:0:0::1')).toBe('fd00::1')
    expect(plainAddress('10.0.0.1')).toBe('10.0.0.1')
    for (const bad of ['fe80::1%eth0', 'x', '', '10.0.0', '010.0.0.1']) expect(plainAddress(bad), bad).toBeNull()
  })

  test('addresses that lead to this machine by accident, to groups or nowhere are not used', () => {
    for (const bad of ['0.0.0.0', '0.0.0.1', '239.1.1.1', '255.255.255.255', '::', 'ff02::1', 'fe80::1', 'febf::1']) {
      expect(isUsable(bad), bad).toBe(false)
    }
    for (const good of ['127.0.0.1', '10.0.0.1', '169.254.1.1', '223.255.255.255', '::1', 'fd00::1', 'fec0::1']) {
      expect(isUsable(good), good).toBe(true)
    }
  })
})

describe('the files of the system', () => {
  test('a hosts file is read with its comments, its aliases and its faults', () => {
    const hosts = parseHosts(
      '# c\n127.0.0.1\tlocalhost\r\n10.0.0.1 DB.test db # x\n::1 db\nbad db\n10.0.0.1 db\n\n0.0.0.0 ads',
    )
    expect(hosts.get('db')).toEqual({ v4: ['10.0.0.1'], v6: ['::1'] })
    expect(hosts.get('db.test')).toEqual({ v4: ['10.0.0.1'], v6: [] })
    expect(hosts.get('ads')).toBeUndefined()
    expect([...hosts.keys()]).toEqual(['localhost', 'db.test', 'db'])
  })

  test('a resolv.conf says how names are completed', () => {
    const conf = parseResolvConf(
      'domain old.test\nsearch A.test. b.test .\n# search c.test\noptions rotate ndots:2 ; x',
    )
    expect(conf).toEqual({ search: ['a.test', 'b.test'], ndots: 2 })
    expect(completeNames('api', conf)).toEqual(['api.a.test', 'api.b.test', 'api'])
    expect(completeNames('api.x', conf)).toEqual(['api.x.a.test', 'api.x.b.test', 'api.x'])
    expect(completeNames('api.x.y', conf)).toEqual(['api.x.y', 'api.x.y.a.test', 'api.x.y.b.test'])
    expect(completeNames('api.', conf)).toEqual(['api'])
  })

  test('what is said twice counts as it was said last, and limits hold', () => {
    expect(parseResolvConf('search a.test\ndomain b.test c.test').search).toEqual(['b.test'])
    expect(parseResolvConf('').ndots).toBe(1)
    expect(parseResolvConf('options ndots:99').ndots).toBe(15)
    expect(parseResolvConf(`search ${'x.test '.repeat(99)}`).search).toHaveLength(32)
    expect(completeNames('x'.repeat(250), parseResolvConf('search a.test'))).toEqual(['x'.repeat(250)])
  })
})
