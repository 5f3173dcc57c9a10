/** A request as HTTP/1.1 text, for a target. All framing is written here from parsed values (RFC 9112 6). */
import { framingLine, lastChunk } from '../http1/framing.ts'
import type { RequestToSend } from './upstream.ts'

/** The head, and behind it what of the body is at hand. */
export function requestText(request: RequestToSend): string {
  const { whole } = request
  const head =
    request.method +
    ' ' +
    request.target +
    ' HTTP/1.1\r\nHost: ' +
    request.authority +
    '\r\n' +
    request.lines +
    request.poolLines +
    framingLines(request) +
    '\r\n'
  if (!request.chunked || !request.bodyDone) return head + whole
  const chunk = whole === '' ? '' : whole.length.toString(16) + '\r\n' + whole + '\r\n'
  return head + chunk + lastChunk(request.trailers)
}

function framingLines({ upgrade, chunked, contentLength, expectContinue, bodyDone }: RequestToSend): string {
  if (upgrade !== '') return 'Connection: Upgrade\r\nUpgrade: ' + upgrade + '\r\n'
  const framing = framingLine(chunked, contentLength)
  return expectContinue && !bodyDone ? framing + 'Expect: 100-continue\r\n' : framing
}
