/** The lines by which a sender says where a body ends (RFC 9112 6, 7.1). Written from parsed values, never copied. */

import { flat } from './syntax.ts'

/** The lines of lengths below this, most of all, are made once. */
const KEPT_MAX = 4_096
const kept: string[] = new Array(KEPT_MAX).fill('')

/** `Content-Length` or `Transfer-Encoding` as a line, or nothing; a length below 0 is none. */
export function framingLine(chunked: boolean, contentLength: number): string {
  if (chunked) return 'Transfer-Encoding: chunked\r\n'
  if (contentLength < 0) return ''
  if (contentLength >= KEPT_MAX) return lengthLine(contentLength)
  if (kept[contentLength] === '') kept[contentLength] = flat(lengthLine(contentLength))
  return kept[contentLength]
}

const lengthLine = (length: number): string => 'Content-Length: ' + length + '\r\n'

/** The end of a chunked body, with its trailer lines. */
export function lastChunk(trailers: string): string {
  return '0\r\n' + trailers + '\r\n'
}
