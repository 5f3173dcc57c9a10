/**
 * The same bytes get the same verdict however they are cut (HTTP.md, gate 1): at parser level for every place and for single
 * bytes, and for every corpus message over real sockets, whole, in two pieces and byte by byte.
 */
import { describe, expect, test } from 'vitest'
import { REQUESTS, RESPONSES } from './codec/corpus.ts'
import { everyCut, type Reading, readRequests, readResponses } from './codec/reading.ts'

/** Places where a message of this length is cut in two; the long ones (floods) only at some. */
function placesOf(bytes: string): number[] {
  const step = bytes.length > 2_000 ? 997 : 1
  return everyCut(bytes).filter((at) => at % step === 0 || at < 64)
}

function verdicts(bytes: string, read: (cuts: readonly number[]) => Reading): void {
  const whole = read([])
  for (const at of placesOf(bytes)) {
    const cut = read([at])
    if (JSON.stringify(cut) !== JSON.stringify(whole)) expect({ at, ...cut }).toEqual({ at, ...whole })
  }
  expect(read(everyCut(bytes))).toEqual(whole)
}

describe('a request gets the same verdict however it is cut', () => {
  test.each(REQUESTS.map(({ name, bytes, error }) => [name, bytes, error] as const))('%s', (_name, bytes, error) => {
    verdicts(bytes, (cuts) => readRequests(bytes, cuts))
    const { verdict, messages } = readRequests(bytes)
    if (error !== null) expect(verdict).toBe(error)
    else {
      expect(['whole', 'last']).toContain(verdict)
      expect(messages.length).toBeGreaterThan(0)
      expect(messages.at(-1)?.end).toBe(bytes.length)
    }
  })
})

describe('a response gets the same verdict however it is cut', () => {
  test.each(RESPONSES.map(({ name, bytes, valid }) => [name, bytes, valid] as const))('%s', (_name, bytes, valid) => {
    verdicts(bytes, (cuts) => readResponses(bytes, false, cuts))
    const { messages } = readResponses(bytes)
    const final = messages.find(({ start }) => start === '200' || start === '299')
    expect(final?.body === 'ok').toBe(valid)
  })
})
