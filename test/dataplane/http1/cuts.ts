/** A message delivered whole, byte by byte, and in two pieces cut at every place. */
import { expect } from 'vitest'
import type { Reading } from './reading.ts'

/** Bytes up to which a message is no flood: reading a flood at every cut takes seconds. */
const SHORT_BYTES_MAX = 10_000

/** Whether a message of the corpus is no flood. */
export const isShort = ({ bytes }: { readonly bytes: string }) => bytes.length <= SHORT_BYTES_MAX

/** Near its ends a message is cut at every place, whatever the step. */
const ENDS_BYTES = 200

/** Fails when so many bytes are read in another way once they are cut, at any place (of every `step`) or at all of them. */
export function expectSameHoweverCut(length: number, read: (cuts: readonly number[]) => Reading, step = 1): void {
  const whole = read([])
  const expected = JSON.stringify(whole)
  for (let at = 1; at < length; at += at < ENDS_BYTES || at > length - ENDS_BYTES ? 1 : step) {
    const cut = read([at])
    if (JSON.stringify(cut) !== expected) expect({ at, ...cut }).toEqual({ at, ...whole })
  }
  expect(read(Array.from({ length: length - 1 }, (_, i) => i + 1))).toEqual(whole)
}
