/** Any character at all. The `binary` unit of fast-check is the same, but takes seconds to list all before the first text. */
import fc from 'fast-check'

const SURROGATES = 0xd800
const SURROGATES_END = 0xe000
const isHalf = (code: number): boolean => code >= SURROGATES && code < SURROGATES_END

/** A unit of `fc.string`: one code point of Unicode, which is no half of a pair. */
export const anyCodePoint = fc
  .nat(0x10ffff)
  .map((code) => String.fromCodePoint(isHalf(code) ? code - SURROGATES : code))
