/** The sample of the last requests: what is kept, what it stands for, and that it stays within its bytes. */
import { expect, test } from 'vitest'
import { type Sample, Samples, samplesIn } from '../../src/dataplane/samples.ts'
import { makePlan, makeTable } from '../table/make.ts'

const serviceIn = (slot: number) => makeTable(makePlan(), { slot }).services.get('shop')!
const shop = serviceIn(3)
const other = serviceIn(4)

function make(bytesMax: number, seed = 1) {
  const head = { text: '' }
  const clock = { nowMs: 1_000 }
  let state = seed
  const random = () => {
    state = (state * 48_271) % 2_147_483_647
    return state / 2_147_483_647
  }
  const time = { ...clock, wallMs: () => 1_800_000_000_000 + time.nowMs }
  const samples = new Samples(bytesMax, head, time, random)
  const ask = (text: string, service: typeof shop | null = shop, address = '192.0.2.1', isTrusted = false) => {
    head.text = text
    samples.note(service, address, isTrusted)
  }
  return {
    samples,
    time,
    ask,
    of: (service = shop): Sample[] => samples.lend().flatMap((lent) => [...samplesIn(lent, service.slot)]),
  }
}

test('a few requests are all kept, as they came, each for itself', () => {
  const { ask, of, time } = make(100_000)
  ask('GET /gr\xc3\xbc\xc3\x9fe HTTP/1.1\r\nHost: a\r\n\r\n', shop, '2001:db8::1', true)
  time.nowMs += 5
  ask('GET /2 HTTP/1.1\r\nHost: a\r\n\r\n')
  ask('GET /other HTTP/1.1\r\nHost: b\r\n\r\n', other)
  ask('GET /3 HTTP/1.1\r\nHost: a\r\n\r\n')
  ask('GET /nowhere HTTP/1.1\r\nHost: c\r\n\r\n', null)
  expect(of()).toEqual([
    {
      atMs: 1_800_000_001_000,
      weight: 1,
      address: '2001:db8::1',
      isTrusted: true,
      head: 'GET /gr\xc3\xbc\xc3\x9fe HTTP/1.1\r\nHost: a\r\n\r\n',
    },
    {
      atMs: 1_800_000_001_005,
      weight: 1,
      address: '192.0.2.1',
      isTrusted: false,
      head: 'GET /2 HTTP/1.1\r\nHost: a\r\n\r\n',
    },
    expect.objectContaining({ weight: 1, head: 'GET /3 HTTP/1.1\r\nHost: a\r\n\r\n' }),
  ])
  expect(of(other)).toMatchObject([{ head: 'GET /other HTTP/1.1\r\nHost: b\r\n\r\n', weight: 1 }])
})

test('without bytes nothing is kept', () => {
  const { ask, of } = make(0)
  for (let n = 0; n < 100; n++) ask('GET / HTTP/1.1\r\n\r\n')
  expect(of()).toEqual([])
})

test('a head that is larger than the room is left out, and the next stands for it', () => {
  const { ask, of } = make(1_000)
  ask('x'.repeat(2_000))
  ask('small')
  expect(of()).toMatchObject([{ weight: 2, head: 'small' }])
})

test('under a flood the last ones stay, in bounds, and stand for all that were seen between them', () => {
  const bytesMax = 64_000
  const { samples, ask, of, time } = make(bytesMax)
  const head = `GET / HTTP/1.1\r\n${'x'.repeat(200)}\r\n\r\n`
  let asked = 0
  for (let second = 0; second < 1_200; second++) {
    time.nowMs += 1_000
    samples.sweep()
    for (let n = 0; n < 500; n++) ask(`${asked++} ${head}`)
  }
  const kept = of()
  expect(samples.lend().reduce((sum, { used }) => sum + used, 0)).toBeLessThanOrEqual(bytesMax)
  expect(kept.length).toBeGreaterThan(60)
  const numbers = kept.map(({ head: text }) => Number(text.split(' ')[0]))
  expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
  // All but the first stands for the requests since the one before.
  for (let at = 1; at < kept.length; at++) expect(kept[at].weight).toBe(numbers[at] - numbers[at - 1])
  // Half of the room lasts for about five minutes, so all of it for five to ten.
  const spanMs = kept.at(-1)!.atMs - kept[0].atMs
  expect([spanMs > 200_000, spanMs < 900_000]).toEqual([true, true])
})

test('after a flood the next requests are not waited for: within two turns all are kept again', () => {
  const { samples, ask, of, time } = make(64_000)
  for (let n = 0; n < 200_000; n++) ask('x'.repeat(500))
  for (let turn = 0; turn < 40; turn++) {
    time.nowMs += 10_000
    samples.sweep()
    ask(`quiet ${turn}`)
  }
  expect(of().filter(({ head }) => head.startsWith('quiet')).length).toBeGreaterThan(20)
  const last = of().at(-1)!
  expect([last.head, last.weight]).toEqual(['quiet 39', 1])
})

test('a client that asks for four things in turn is sampled evenly', () => {
  const counts = [0, 0, 0, 0]
  for (let seed = 1; seed <= 40; seed++) {
    const { ask, of } = make(400_000, seed)
    for (let n = 0; n < 50_000; n++) ask(`${n % 4}${'x'.repeat(100)}`)
    for (const { head, weight } of of()) if (weight > 1) counts[Number(head[0])] += weight
  }
  const fair = counts.reduce((sum, count) => sum + count, 0) / 4
  // A distance that is not drawn finds one of the four alone.
  for (const count of counts) expect(Math.abs(count - fair) / fair).toBeLessThan(0.15)
})

test('what is lent stays as it is, however much comes after it', () => {
  const { samples, ask, of } = make(2_000)
  ask('the first')
  const [lent] = samples.lend()
  const seen = () => [...samplesIn(lent, shop.slot)].map(({ head }) => head)
  for (let n = 0; n < 500; n++) ask(`${n} ${'x'.repeat(300)}`)
  expect(of().some(({ head }) => head === 'the first')).toBe(false)
  expect(seen()).toEqual(['the first'])
})
