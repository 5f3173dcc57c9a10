/**
 * The answer of a target on its way to the client: interim heads, the final head, the body, and where they end.
 *
 * The target's framing decides where the response ends on its connection; the client's version and method decide how it is
 * framed anew. HEAD, 204 and 304 have no body whatever the fields say (RFC 9112 6.3); bytes behind the end belong to nobody
 * and cost the target its connection. Nothing is sent to the client before the whole head was found valid.
 */
import type { Socket } from 'node:net'
import type { Client } from '../downstream/client.ts'
import { BodyReader } from '../http1/body.ts'
import { PREFIX, type ResponseHead } from '../http1/response-head.ts'
import { mayBeShared } from '../http1/shared-caching.ts'
import { listHas } from '../http1/syntax.ts'
import { type Plane, READ_BYTES } from '../plane.ts'
import { cutSocket } from '../socket/socket.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import { connectionLine, framingLine, responseLines } from './head-writer.ts'
import { lastChunk, moveBody, relayBody } from './relay.ts'
import type { ExchangeRequest } from './request.ts'

/** Interim responses that one request may get. */
const INTERIM_MAX = 32
/** Bodies up to this size that came with their head are sent as one string. */
const WHOLE_BYTES_MAX = 4_096

/** What became of the bytes that were taken. */
export type Progress = 'more' | 'complete' | 'tunnel' | 'malformed'

export class Response {
  readonly reader = new BodyReader('answer')
  /** Final status, or 0 before its head came. */
  status = 0
  /** A byte of a response has come. */
  begun = false
  /** The final head was written to the client. */
  answered = false
  keepAlive = false
  /** The target answered before the request was sent in full, and stays on the line for what is left of it. */
  drainsRequest = false
  bytes = 0
  #upstreamKeepAlive = false
  #chunked = false
  #interims = 0
  #continued = false
  /** An interim response has said that the connection will close. */
  #closes = false
  /** Offset in the last read behind what was taken. */
  #at = 0

  reset(): void {
    this.reader.start('none', 0)
    this.status = 0
    this.begun = false
    this.answered = false
    this.keepAlive = false
    this.bytes = 0
    this.drainsRequest = false
    this.#upstreamKeepAlive = false
    this.#interims = 0
    this.#continued = false
    this.#closes = false
  }

  /**
   * Whether the connection to the target may carry another request, now that the response is complete. A full read into
   * `buffer`, or what was moved behind it, may have left bytes behind that belong to nobody. What is read by events comes in
   * a buffer of just its length, which says nothing of the room that the read had.
   */
  isReusable(upstream: UpstreamConnection, buffer: Buffer, length: number): boolean {
    if (!this.#upstreamKeepAlive || this.#at < length) return false
    const room = buffer === upstream.pool.plane.signBuffer ? buffer.length : READ_BYTES
    return length < room || upstream.isQuiet()
  }

  /** Takes `buffer[0, length)` from the target. `requestSent` says whether all of the request was written by now. */
  take(
    client: Client,
    upstream: UpstreamConnection,
    asked: ExchangeRequest,
    buffer: Buffer,
    length: number,
    requestSent: boolean,
  ): Progress {
    this.#at = 0
    this.begun = true
    while (!this.answered) {
      if (this.#at >= length) return 'more'
      const progress = this.#readHead(client, upstream, asked, buffer, length, requestSent)
      if (progress !== 'more') return progress
    }
    if (this.reader.done) return 'complete'
    return this.#relay(client, upstream, '', buffer, this.#at, length)
  }

  #readHead(
    client: Client,
    upstream: UpstreamConnection,
    asked: ExchangeRequest,
    buffer: Buffer,
    length: number,
    requestSent: boolean,
  ): Progress {
    const plane = client.plane
    const bytesMax = plane.limits.headBytesMax
    const before = upstream.partial.length
    const until = Math.min(length, this.#at + bytesMax + 1 - before)
    let text = buffer.latin1Slice(this.#at, until)
    if (before > 0) {
      const undecided = before >= PREFIX.length && text.indexOf('\n') < 0 && before + text.length <= bytesMax
      text = upstream.partial + text
      if (undecided) {
        upstream.partial = text
        this.#at = until
        return 'more'
      }
    }
    const head = plane.responseHead
    const headEnd = before > 0 ? head.parse(text) : head.parse(text, buffer, this.#at)
    if (headEnd < 0) return 'malformed'
    if (headEnd === 0) {
      upstream.partial = text
      this.#at = until
      return 'more'
    }
    upstream.partial = ''
    if (head.bindsConnection) upstream.bind()
    this.#at += headEnd - before
    if (head.status >= 200) return this.#final(client, upstream, asked, head, buffer, length, requestSent)
    if (head.status === 101) return offered(asked.upgrade, head.upgrade) ? 'tunnel' : 'malformed'
    return this.#interim(client, asked, head) ? 'more' : 'malformed'
  }

  /** RFC 9110 15.2: interim answers go to HTTP/1.1 clients only, and 100 only to those who asked, once. */
  #interim(client: Client, asked: ExchangeRequest, head: ResponseHead): boolean {
    if (++this.#interims > INTERIM_MAX) return false
    if (!head.keepAlive) this.#closes = true
    const wasContinued = this.#continued
    if (head.status === 100) this.#continued = true
    if (asked.minor === 0 || (head.status === 100 && (!asked.expectContinue || wasContinued))) return true
    const lines = responseLines(client.plane, head, asked.requestId)
    client.out.text('HTTP/1.1 ' + head.status + ' ' + head.reason + '\r\n' + lines + '\r\n')
    return true
  }

  #final(
    client: Client,
    upstream: UpstreamConnection,
    asked: ExchangeRequest,
    head: ResponseHead,
    buffer: Buffer,
    length: number,
    requestSent: boolean,
  ): Progress {
    this.status = head.status
    this.#frame(client.plane, upstream, asked, head, requestSent)
    const hasBody = this.reader.framing !== 'none'
    const showsLength = hasBody || (head.status !== 204 && !(asked.minor === 0 && head.chunked))
    const text =
      'HTTP/1.1 ' +
      head.status +
      ' ' +
      head.reason +
      '\r\n' +
      responseLines(client.plane, head, asked.requestId) +
      (asked.cookieLine === '' || mayBeShared(head.status, head.fields) ? '' : asked.cookieLine) +
      asked.answerLines +
      (showsLength ? framingLine(hasBody ? this.#chunked : head.chunked, head.contentLength) : '') +
      connectionLine(this.keepAlive, asked.minor, head.demandedUpgrade) +
      '\r\n'
    const at = this.#at
    if (this.reader.done) {
      client.out.text(text)
      this.answered = true
      return 'complete'
    }
    const size = head.contentLength
    if (this.reader.framing === 'length' && size <= WHOLE_BYTES_MAX && length - at >= size) {
      client.out.text(text + buffer.latin1Slice(at, at + size))
      this.reader.note(size)
      this.answered = true
      this.bytes = size
      this.#at = at + size
      return 'complete'
    }
    if (!this.#chunked && size > READ_BYTES) upstream.reads.expectLong(client.out)
    return this.#relay(client, upstream, text, buffer, at, length)
  }

  /** Passes a 101 on; returns the offset behind it in the last read. */
  writeSwitch(client: Client, asked: ExchangeRequest): number {
    const head = client.plane.responseHead
    this.status = 101
    this.answered = true
    client.out.text(
      'HTTP/1.1 101 ' +
        head.reason +
        '\r\n' +
        responseLines(client.plane, head, asked.requestId) +
        'Connection: Upgrade\r\nUpgrade: ' +
        head.upgrade +
        '\r\n\r\n',
    )
    return this.#at
  }

  /** Decides how the body ends on both sides, and which connections survive it. */
  #frame(
    plane: Plane,
    upstream: UpstreamConnection,
    asked: ExchangeRequest,
    head: ResponseHead,
    requestSent: boolean,
  ): void {
    const isEmpty = head.status === 204 || head.status === 304
    const noBody = asked.isHead || isEmpty
    const framing = noBody ? 'none' : head.chunked ? 'chunked' : head.contentLength >= 0 ? 'length' : 'close'
    this.reader.start(framing, head.contentLength, head.dropped)
    this.#chunked = asked.minor === 1 && (framing === 'chunked' || framing === 'close')
    // To HTTP/1.0 a body without a length ends with the connection.
    const endsByClose = asked.minor === 0 && (framing === 'chunked' || framing === 'close')
    const stays = head.keepAlive && framing !== 'close'
    // A client that waits for 100 (Continue) and gets this will send nothing.
    this.drainsRequest = stays && !requestSent && !endsByClose && (!asked.expectContinue || this.#continued)
    this.keepAlive = asked.mayStay && !plane.draining && (requestSent || this.drainsRequest) && !endsByClose
    // Many a target sends the body all the same; when it comes late, it must not meet the next request. To HEAD, one without
    // a length would have ended with the connection; 204 and 304 mostly have none, so there it is looked at once more.
    const mayFollow = noBody && (head.chunked || head.contentLength > 0 || (head.contentLength < 0 && !isEmpty))
    if (noBody) upstream.isSuspect = true
    this.#upstreamKeepAlive = stays && requestSent && !mayFollow && !this.#closes && upstream.applyKeepAliveHints(head)
  }

  #relay(
    client: Client,
    upstream: UpstreamConnection,
    prefix: string,
    buffer: Buffer,
    at: number,
    length: number,
  ): Progress {
    const { plane } = client
    const { reader } = this
    const before = reader.bytes
    if (relayBody(plane, reader, this.#chunked, prefix, buffer, at, length, client.out) < 0) return 'malformed'
    this.answered = true
    this.#at = reader.consumed
    if (length === buffer.length && !this.#chunked) moveBody(plane, reader, upstream.socket, client.out)
    this.bytes += reader.bytes - before
    return reader.done ? 'complete' : 'more'
  }

  /** The target has ended its side: true when that is the proper end of the body. */
  endOfStream(client: Client): boolean {
    if (!this.answered || this.reader.framing !== 'close') return false
    this.reader.done = true
    if (this.#chunked) client.out.text(lastChunk(this.reader))
    return true
  }

  /** Makes an answer that is over before its end look so: without length or chunks, a FIN would make half of it whole. */
  end(socket: Socket): void {
    this.reader.forget()
    if (this.answered && !this.reader.done && !this.#chunked && this.reader.framing !== 'length') cutSocket(socket)
  }
}

/** RFC 9110 7.8: whether a target switches to one of the protocols that it was offered. */
function offered(protocols: string, chosen: string): boolean {
  return protocols !== '' && chosen !== '' && listHas(protocols, chosen.toLowerCase())
}
