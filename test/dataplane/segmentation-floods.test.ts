/**
 * The floods of the corpus, whole, byte by byte and cut at every one of their many thousand places: the same verdict each time.
 * (At every 17th, unless all is tested.) In a file of its own because it takes seconds; what is shorter is in segmentation.test.ts.
 */
import { expect, test } from 'vitest'
import { bulk } from '../helpers/bulk.ts'
import { REQUESTS, RESPONSES } from './http1/corpus.ts'
import { expectSameHoweverCut, isShort } from './http1/cuts.ts'
import { HEAD_BYTES_MAX, readRequests, readResponses } from './http1/reading.ts'

/** Shares no factor with the lengths of lines and chunks in the floods, so that every place of them is met. */
const STEP = bulk(17, 1)
/** No more than this of a head is looked at, by the limit that is read with here. */
const HEAD_LOOKED_AT_BYTES = HEAD_BYTES_MAX + 300
const upToLimit = (bytes: string) => (bytes.includes('chunked') ? bytes : bytes.slice(0, HEAD_LOOKED_AT_BYTES))

const floods = [
  ...REQUESTS.filter((flood) => !isShort(flood)).map(
    ({ name, bytes, error }) => [name, upToLimit(bytes), error] as const,
  ),
  ...RESPONSES.filter((flood) => !isShort(flood)).map(
    ({ name, bytes }) => [name, upToLimit(bytes), 'bad_response'] as const,
  ),
]

test.each(floods)('%s is refused in the same way however it is cut', { timeout: 120_000 }, (_name, bytes, error) => {
  const read = (cuts: readonly number[]) =>
    error === 'bad_response' ? readResponses(bytes, 0, cuts) : readRequests(bytes, cuts)
  expect(read([]).verdict).toBe(error)
  expectSameHoweverCut(bytes.length, read, STEP)
})

test('there are floods of heads, targets, chunk extensions and trailers', () => {
  expect(floods.length).toBeGreaterThanOrEqual(5)
})
