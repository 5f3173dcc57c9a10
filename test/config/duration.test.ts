import { expect, test } from 'vitest'
import { durationMs } from '../../src/config/duration.ts'

test.each([
  ['500ms', 500],
  ['2s', 2_000],
  ['1.5s', 1_500],
  ['5m', 300_000],
  ['1h', 3_600_000],
  ['7d', 604_800_000],
  ['0s', 0],
  ['16.1s', 16_100],
  ['0.0001ms', 1],
  ['1.5ms', 2],
  ['999999.999999d', 86_399_999_999_914],
])('%s is %i milliseconds', (text, ms) => {
  expect(durationMs(text)).toBe(ms)
})

test.each(['', '5', 's', '-1s', '1 s', '1S', '1.s', '.5s', '1e3s', '5min', `${'9'.repeat(400)}d`, '1s\n'])(
  '%j is refused as invalid',
  (text) => {
    expect(() => durationMs(text)).toThrow(expect.objectContaining({ code: 'invalid' }))
  },
)
