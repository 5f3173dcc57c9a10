import { expect, test } from 'vitest'
import { AccessLog } from '../../src/dataplane/access-log.ts'
import { giveBack, linesIn } from '../../src/log/page.ts'

/** What the main thread would get. */
class Reader {
  dropped = 0
  pages = 0
  readonly memories = new Set<SharedArrayBuffer>()
  text = ''
  readonly log: AccessLog
  readonly #kept: SharedArrayBuffer[] = []
  /** Keeps the pages until `catchUp`. */
  slow = false

  constructor(sample = 1) {
    this.log = new AccessLog(
      sample,
      (memory, length) => {
        this.pages++
        this.memories.add(memory)
        this.text += Buffer.from(linesIn(memory, length)).toString()
        if (this.slow) this.#kept.push(memory)
        else giveBack(memory)
      },
      () => this.dropped++,
    )
  }

  catchUp(): void {
    for (const memory of this.#kept.splice(0)) giveBack(memory)
  }

  /** The lines so far; each must be whole. */
  lines(): string[] {
    this.log.flush()
    expect(this.text === '' || this.text.endsWith('\n')).toBe(true)
    return this.text.split('\n').slice(0, -1)
  }
}

interface Facts {
  readonly requestId?: string
  readonly client?: string
  readonly method?: string
  readonly host?: string
  readonly path?: string
  readonly version?: string
}

/** Logs a request, and gives the line that must come of it. */
function write(log: AccessLog, wallMs: number, facts: Facts, numbers: Partial<Record<string, number>> = {}, by = {}) {
  const { requestId = 'id', client = '::1', method = 'GET', host = 'shop.test', path = '/', version = '1.0' } = facts
  const pool = { name: 'blue', version }
  const { bytesIn = 0, bytesOut = 0, durationMs = 1.5, ttfbMs = -1, epoch = 7 } = numbers
  const outcome = {
    status: 200,
    bytesIn,
    bytesOut,
    durationMs,
    ttfbMs,
    waitedMs: 0,
    heldMs: 0,
    attempt: 'good' as const,
    error: null,
    ...by,
  }
  const decision = { service: { name: 'shop' }, pool, reason: 'bucket' }
  const target = { authority: '127.0.0.1:8080', pool }
  const dispatch = { decision, target, placement: { epoch, address: client }, retries: { count: 2 }, ...by }
  log.write(wallMs, { requestId, method, host, path } as never, dispatch as never, outcome)
  const chosen = dispatch.decision as typeof decision | null
  const micros = (ms: number) => Math.round(ms * 1000) / 1000
  return JSON.stringify({
    time: new Date(wallMs).toISOString(),
    requestId,
    client,
    method,
    host,
    path,
    status: outcome.status,
    service: chosen?.service.name ?? null,
    pool: chosen?.pool.name ?? null,
    version: chosen?.pool.version ?? null,
    target: (dispatch.target as typeof target | null)?.authority ?? null,
    reason: chosen?.reason ?? null,
    epoch,
    bytesIn,
    bytesOut,
    durationMs: micros(durationMs),
    ttfbMs: ttfbMs < 0 ? null : micros(ttfbMs),
    retries: 2,
    attempt: 'good',
    error: outcome.error,
  })
}

test('a line tells how long its request has waited for room, if it has', () => {
  const reader = new Reader()
  write(reader.log, 0, {}, {}, { waitedMs: 12.5 })
  expect(JSON.parse(reader.lines()[0])).toMatchObject({ waitedMs: 12.5 })
})

test('while nobody takes the lines, they are dropped and counted instead of piling up', () => {
  const reader = new Reader()
  reader.slow = true
  const line = () => reader.log.writeRefusal(0, 'x'.repeat(1000), 400, 'bad_request')
  for (let i = 0; i < 20_000; i++) line()
  expect(reader.dropped).toBeGreaterThan(10_000)
  expect(reader.lines().length + reader.dropped).toBe(20_000)
  expect(reader.text.length).toBeLessThan(8_400_000)
  const before = reader.dropped
  line()
  expect(reader.dropped).toBe(before + 1)
  reader.catchUp()
  for (let i = 0; i < 5_000; i++) line()
  expect(reader.dropped).toBe(before + 1)
  expect(new Set(reader.lines()).size).toBe(1)
})

test('a slow reader is not sent pages that are nearly empty, so as many lines wait for it as when there are many', () => {
  const reader = new Reader()
  reader.slow = true
  let written = 0
  for (; written < 2_000; written++) {
    write(reader.log, 0, {})
    reader.log.sweep()
  }
  expect(reader.dropped).toBe(0)
  expect(reader.pages).toBeLessThan(2_000 / 50)
  expect(reader.lines()).toHaveLength(written)
})

test('a sweep sends what there is, and nothing when there is nothing', () => {
  const reader = new Reader()
  reader.log.sweep()
  expect(reader.pages).toBe(0)
  const line = write(reader.log, 0, {})
  reader.log.sweep()
  expect(reader.text).toBe(line + '\n')
  reader.log.sweep()
  reader.log.flush()
  expect(reader.pages).toBe(1)
})

test('long lines take no more of what may wait than they have bytes', () => {
  const reader = new Reader()
  reader.slow = true
  while (reader.dropped === 0) write(reader.log, 0, { path: '/' + 'p'.repeat(7_000) })
  reader.lines()
  expect(reader.text.length).toBeGreaterThan(7_500_000)
})

test('pages are used again, and those that only a slow reader made necessary are let go', () => {
  const reader = new Reader()
  for (let i = 0; i < 3_000; i++) write(reader.log, 0, {})
  expect(reader.pages).toBeGreaterThan(3)
  expect(reader.memories.size).toBe(1)
  const backlog = () => {
    reader.slow = true
    const before = reader.dropped
    while (reader.dropped === before) write(reader.log, 0, { path: '/' + 'p'.repeat(1_000) })
    reader.catchUp()
    return reader.memories.size
  }
  const size = backlog()
  expect(backlog()).toBe(size)
  reader.log.sweep()
  expect(backlog()).toBeGreaterThan(1.5 * size)
})

test('every n-th request is logged by the sample share', () => {
  const { log } = new Reader(0.25)
  const wanted = Array.from({ length: 100 }, () => log.wanted())
  expect(wanted.filter((yes) => yes).length).toBe(25)
})

test('every line is to the byte what JSON.stringify makes of it, whatever characters a request or a version has', () => {
  const reader = new Reader()
  const expected: string[] = []
  const nowhere = { decision: null, target: null, status: 404, error: 'no_route' }
  const every = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code))
  const odd = ['/', '/a"b', '/a\\b\\', '/\x7f\x01', '/\xe9', '/~', ...every, every.join('')]
  for (const wallMs of [0, 7.9, 999.9, 1_000, 1_795_234_960_007.25, 1_795_234_960_070]) {
    for (const text of odd) {
      const facts = {
        requestId: 'id' + text,
        client: text,
        host: 'h' + text,
        path: text,
        version: '1 "ü\u2028\\😀' + text,
      }
      expected.push(write(reader.log, wallMs, facts), write(reader.log, wallMs, facts, {}, nowhere))
    }
  }
  expect(reader.lines()).toEqual(expected)
})

test('of requests to one target each line has its own reason, epoch and end', () => {
  const reader = new Reader()
  const pool = { name: 'blue', version: '1.0' }
  const target = { authority: '127.0.0.1:8080', pool }
  const decided = (reason: string | null) => ({ target, decision: { service: { name: 'shop' }, pool, reason } })
  const expected: string[] = []
  for (const epoch of [1, 2, 1]) {
    for (const reason of ['bucket', 'pin', null, 'bucket']) {
      expected.push(write(reader.log, 0, {}, { epoch }, decided(reason)))
      const ends = { retries: { count: 0 }, attempt: 'failed', error: 'upstream_reset' }
      const line = JSON.parse(write(reader.log, 0, {}, { epoch }, { ...decided(reason), ...ends }))
      expected.push(JSON.stringify({ ...line, retries: 0, attempt: 'failed' }))
    }
  }
  expect(reader.lines()).toEqual(expected)
})

test('numbers are written as JSON.stringify writes them', () => {
  const reader = new Reader()
  const times = [0, 0.0004, 0.0005, 0.001, 0.01, 0.1, 0.12, 1, 1.005, 9.999, 10, 59_999.9996, 86_400_000.001, 3e9]
  const sizes = [0, 1, 9, 10, 99, 100, 65_536, 2 ** 30 - 1, 2 ** 30, 2 ** 31, 2 ** 32 + 5, 2 ** 53 - 1]
  const expected = [
    ...times.map((ms) => write(reader.log, 0, {}, { durationMs: ms, ttfbMs: ms / 3 })),
    ...Array.from({ length: 2_000 }, (_, i) => write(reader.log, 0, {}, { durationMs: i / 1000, ttfbMs: i * 1.237 })),
    ...sizes.map((bytes) => write(reader.log, 0, {}, { bytesIn: bytes, bytesOut: bytes })),
  ]
  expect(reader.lines()).toEqual(expected)
})

test('a line may be longer than a page, and those around it are whole and in order', () => {
  const reader = new Reader()
  const expected: string[] = []
  for (const length of [10, 300_000, 20, 40_000, 40_000, 1_000_000, 30]) {
    for (const character of ['a', '\xe9', '\x01']) {
      expected.push(write(reader.log, 0, { path: '/' + character.repeat(length) }))
    }
  }
  expect(reader.lines()).toEqual(expected)
  expect(reader.dropped).toBe(0)
})
