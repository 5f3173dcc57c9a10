/** Targets with several addresses, or none: each address is a place of its own, and the target keeps its identity. */
import { describe, expect, test } from 'vitest'
import { decide } from '../../src/table/decide.ts'
import type { Balance } from '../../src/table/plan.ts'
import type { AddressStatus } from '../../src/table/status.ts'
import type { OwnCookie } from '../../src/table/types.ts'
import { browser, decideOne, makeDraw, makeOwn, makePlan, makeTable, makeView, NOW_MS, noLoad, sticky } from './make.ts'

const API = 'http://api.test:80'
const WEB = 'http://web.test:80'
const at = (...list: string[]): AddressStatus[] =>
  list.map((address, n) => ({ address, alternate: null, health: 'healthy', ejectedUntilMs: 0, slot: n + 1 }))

interface Given {
  readonly balance?: Balance
  readonly keeps?: boolean
  readonly web?: readonly AddressStatus[]
}

/** A pool of two names with these addresses. */
function tableOf(api: readonly AddressStatus[], { balance = 'least-request', keeps = false, web = [] }: Given = {}) {
  const pools = [{ name: 'blue', version: '1', targets: [API, WEB] }]
  const plan = makePlan({ pools, weights: { blue: 1 }, balance, sticky: { ...sticky, target: keeps } })
  return makeTable(plan, { targets: { [API]: { addresses: api }, [WEB]: { addresses: web } } })
}
const placesOf = (table: ReturnType<typeof tableOf>) => table.services.get('shop')!.pools[0].targets
const seenBy = (table: ReturnType<typeof tableOf>, count = 100) => {
  const draw = makeDraw()
  return new Set(Array.from({ length: count }, () => decideOne(table, {}, draw).target?.address))
}

test('each address is a place with its own counters; all share the name of the target', () => {
  const places = placesOf(tableOf(at('10.0.0.1', '10.0.0.2')))
  expect(places).toMatchObject([
    { url: API, authority: 'api.test:80', host: 'api.test', address: '10.0.0.1', slot: 1 },
    { url: API, authority: 'api.test:80', host: 'api.test', address: '10.0.0.2', slot: 2 },
  ])
  expect(places[0].tag).not.toBe(places[1].tag)
  expect(places[0].targetTag).toBe(places[1].targetTag)
})

test('places of SRV records share the weight that the target has at each of them, by the ratio of theirs', () => {
  const url = 'srv+http://_web._tcp.test'
  const place = (address: string, host: string, port: number, weight: number, slot: number): AddressStatus => ({
    address: `${address}:${port}`,
    alternate: null,
    srv: { host, ip: address, port, weight },
    health: 'healthy',
    ejectedUntilMs: 0,
    slot,
  })
  const compiled = (weights: readonly [number, number], weight = 1) => {
    const pools = [{ name: 'blue', version: '1', targets: [url, WEB], weights: { [url]: weight } }]
    const plan = makePlan({ pools, weights: { blue: 1 } })
    const addresses = [place('10.0.0.1', 'a.test', 81, weights[0], 1), place('10.0.0.2', 'b.test', 82, weights[1], 2)]
    const [pool] = makeTable(plan, { targets: { [url]: { addresses } } }).services.get('shop')!.pools
    return pool
  }
  const pool = compiled([3, 1])
  expect(pool.targets.slice(0, 2)).toMatchObject([
    { url, authority: 'a.test:81', host: 'a.test', address: '10.0.0.1', port: 81, weight: 1.5, tls: false },
    { url, authority: 'b.test:82', host: 'b.test', address: '10.0.0.2', port: 82, weight: 0.5, tls: false },
  ])
  expect(pool.isEven).toBe(false)
  // The sum is that of a target of two plain addresses, whatever the weights of the records are.
  for (const weights of [
    [3, 1],
    [1, 1],
    [65_535, 2],
  ] as const) {
    const [one, two, other] = compiled(weights, 5).targets.map(({ weight }) => weight)
    expect([one + two, other]).toEqual([10, 1])
  }
  expect(compiled([7, 7]).isEven).toBe(true)
})

test('requests go to the addresses that are well', () => {
  const [one, two, three] = at('10.0.0.1', '10.0.0.2', '10.0.0.3')
  const table = tableOf([one, { ...two, health: 'unhealthy' }, { ...three, ejectedUntilMs: NOW_MS + 1 }])
  expect(seenBy(table)).toEqual(new Set(['10.0.0.1']))
})

test('a target without an address is not there: the others serve, and alone it is refused', () => {
  expect(seenBy(tableOf([], { web: at('10.0.0.9') }))).toEqual(new Set(['10.0.0.9']))
  expect(decideOne(tableOf([]))).toMatchObject({ target: null, error: 'no_healthy_target' })
})

test('a retry leaves out the same place under whatever name, not the other addresses of the target', () => {
  const table = tableOf(at('10.0.0.1', '10.0.0.2'), { web: at('10.0.0.1') })
  const [failed] = placesOf(table)
  const draw = makeDraw()
  for (let n = 0; n < 50; n++) {
    const { target } = decide(makeView(), table, noLoad, draw, NOW_MS, { exclude: [failed], avoid: null, missing: [] })
    expect(target?.address).toBe('10.0.0.2')
  }
})

describe('visitors that are kept on their target', () => {
  const keeps = { keeps: true, web: at('10.0.9.9') }
  /** The cookie that a new browser gets, and where it was sent. */
  const visit = (table: ReturnType<typeof tableOf>, seed: number, own: OwnCookie | null = null) => {
    const { setCookie, target } = decideOne(table, { headers: browser, own }, makeDraw(seed))
    return { own: setCookie ?? own, address: target!.address }
  }

  test('stay at the address that they were sent to first, also when others come', () => {
    const two = tableOf(at('10.0.0.1', '10.0.0.2'), keeps)
    const four = tableOf(at('10.0.0.0', '10.0.0.1', '10.0.0.2', '10.0.0.3'), keeps)
    const first = new Set<string>()
    for (let seed = 0; seed < 100; seed++) {
      const { own, address } = visit(two, seed)
      first.add(address)
      for (const table of [two, four]) expect(visit(table, seed + 1_000, own)).toEqual({ own, address })
    }
    expect(first.size).toBe(3)
  })

  test('stay with the target when it moves to another address, and are noted there', () => {
    const before = tableOf(at('10.0.0.1'), keeps)
    const after = tableOf(at('10.0.0.7'), keeps)
    for (let seed = 0; seed < 50; seed++) {
      const { own, address } = visit(before, seed)
      if (address !== '10.0.0.1') continue
      const next = visit(after, seed + 1_000, own)
      expect(next.address).toBe('10.0.0.7')
      expect(next.own?.target).toBe(placesOf(after)[0].tag)
      expect(visit(after, seed, next.own)).toEqual(next)
    }
  })

  test('move on when their address fails', () => {
    const [one, two] = at('10.0.0.1', '10.0.0.2')
    const table = tableOf([{ ...one, health: 'unhealthy' }, two])
    const own = makeOwn({ target: placesOf(table)[0].tag })
    expect(decideOne(table, { headers: browser, own }).target?.address).toBe('10.0.0.2')
  })

  test('are kept through a drain of the target, at whichever address', () => {
    const plan = makePlan({
      pools: [{ name: 'blue', version: '1', targets: [API, WEB] }],
      weights: { blue: 1 },
      sticky: { ...sticky, target: true },
    })
    const table = (addresses: AddressStatus[]) =>
      makeTable(plan, {
        targets: {
          [API]: { addresses, admin: 'drain', drainUntilMs: NOW_MS + 1 },
          [WEB]: { addresses: at('10.0.9.9') },
        },
      })
    const own = makeOwn({ target: placesOf(table(at('10.0.0.1', '10.0.0.2')))[1].tag })
    expect(decideOne(table(at('10.0.0.1', '10.0.0.2')), { own }).target?.address).toBe('10.0.0.2')
    expect(decideOne(table(at('10.0.0.5')), { own }).target?.address).toBe('10.0.0.5')
    expect(decideOne(table(at('10.0.0.5'))).target?.address).toBe('10.0.9.9')
  })
})

test('by hash, an address that goes moves only its own keys, and a target that moves keeps them', () => {
  const keyed = (table: ReturnType<typeof tableOf>, key: number) =>
    decideOne(table, { headers: { 'x-user-id': `u${key}` } }).target!.address
  const hash = { balance: 'hash', web: at('10.0.9.9') } as const
  const three = tableOf(at('10.0.0.1', '10.0.0.2', '10.0.0.3'), hash)
  const two = tableOf(at('10.0.0.1', '10.0.0.3'), hash)
  const [one, moved] = [tableOf(at('10.0.0.1'), hash), tableOf(at('10.0.0.8'), hash)]
  for (let key = 0; key < 300; key++) {
    const before = keyed(three, key)
    if (before !== '10.0.0.2') expect(keyed(two, key)).toBe(before)
    expect(keyed(moved, key)).toBe(keyed(one, key) === '10.0.0.1' ? '10.0.0.8' : '10.0.9.9')
  }
})
