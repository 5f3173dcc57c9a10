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
