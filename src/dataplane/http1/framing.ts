/** The lines by which a sender says where a body ends (RFC 9112 6, 7.1). Written from parsed values, never copied. */

/** `Content-Length` or `Transfer-Encoding` as a line, or nothing; a length below 0 is none. */
export function framingLine(chunked: boolean, contentLength: number): string {
  if (chunked) return 'Transfer-Encoding: chunked\r\n'
  return contentLength >= 0 ? 'Content-Length: ' + contentLength + '\r\n' : ''
}

/** The end of a chunked body, with its trailer lines. */
export function lastChunk(trailers: string): string {
  return '0\r\n' + trailers + '\r\n'
}
