import { expect, test } from 'vitest'
import { AccessLog } from '../../src/dataplane/access-log.ts'

test('while nobody takes the lines, they are dropped and counted instead of piling up', () => {
  let sent = 0
  let taken = 2 ** 31 - 1000
  let dropped = 0
  const log = new AccessLog(
    1,
    (lines) => {
      sent += lines.length
    },
    () => taken | 0,
    () => {
      dropped++
    },
  )
  const line = () => log.writeRefusal(0, 'x'.repeat(1000), 400, 'bad_request')
  for (let i = 0; i < 20_000; i++) line()
  log.sweep()
  expect(dropped).toBeGreaterThan(10_000)
  expect(sent).toBeLessThan(9_000_000)
  taken += sent
  const before = dropped
  line()
  expect(dropped).toBe(before)
})

test('every n-th request is logged by the sample share', () => {
  const log = new AccessLog(
    0.25,
    () => {},
    () => 0,
    () => {},
  )
  const wanted = Array.from({ length: 100 }, () => log.wanted())
  expect(wanted.filter((yes) => yes).length).toBe(25)
})

test('every line is JSON that says the same again, whatever characters a request or a version has', () => {
  let text = ''
  const log = new AccessLog(
    1,
    (lines) => {
      text += lines
    },
    () => 0,
    () => {},
  )
  const pool = { name: 'blue', version: '1 "ü\u2028\\' }
  const target = { authority: '127.0.0.1:8080', pool }
  const outcome = { status: 200, bytesIn: 1, bytesOut: 2, durationMs: 1.5, ttfbMs: -1, error: null }
  const times = [0, 999.9, 1_000, 1_795_234_960_007.25]
  const odd = ['/', '/a"b', '/a\\b\\', '/\x7f\x01', '/\xe9']
  for (const wallMs of times) {
    for (const path of odd) {
      const asked = { requestId: 'id' + path, method: 'GET', host: 'h' + path, path }
      const decision = { service: { name: 'shop' }, pool, reason: 'bucket' }
      const dispatch = { decision, target, epoch: 7, address: '::1', connects: 1, repeats: 1 }
      log.write(wallMs, asked as never, dispatch as never, outcome)
      log.write(wallMs, asked as never, { ...dispatch, decision: null, target: null } as never, outcome)
    }
  }
  log.sweep()
  const lines = text.split('\n').slice(0, -1)
  expect(lines).toHaveLength(times.length * odd.length * 2)
  const went = { service: 'shop', pool: 'blue', version: pool.version, target: target.authority, reason: 'bucket' }
  const nowhere = { service: null, pool: null, version: null, target: null, reason: null }
  lines.forEach((line, i) => {
    const path = odd[Math.floor(i / 2) % odd.length]
    expect(JSON.parse(line)).toEqual({
      time: new Date(times[Math.floor(i / 2 / odd.length)]).toISOString(),
      requestId: 'id' + path,
      client: '::1',
      method: 'GET',
      host: 'h' + path,
      path,
      status: 200,
      ...(i % 2 === 0 ? went : nowhere),
      epoch: 7,
      bytesIn: 1,
      bytesOut: 2,
      durationMs: 1.5,
      ttfbMs: null,
      retries: 2,
      error: null,
    })
  })
})
