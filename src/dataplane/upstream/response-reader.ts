/**
 * Reads the answer of a target from the bytes of its connection: interim heads, the final head, the body, and where it ends.
 * It knows no client: it tells the user of the connection, who decides what becomes of it, and nothing was passed on before
 * the whole head was found valid.
 *
 * The target's framing decides where the answer ends. HEAD, 204 and 304 have no body whatever the fields say (RFC 9112 6.3);
 * bytes behind the end belong to nobody and cost the target its connection.
 */
import { BodyReader, type Framing } from '../http1/body.ts'
import { PREFIX, type ResponseHead } from '../http1/response-head.ts'
import { listHas } from '../http1/syntax.ts'
import { type Buffers, READ_BYTES, SCRATCH_HEAD } from '../socket/buffers.ts'
import type { Reuse } from './reuse.ts'
import type { RawUser, UpstreamUser } from './upstream.ts'

/** Interim responses that one request may get. */
const INTERIM_MAX = 32
const NOTHING = Buffer.alloc(0)

/** The connection as its reader sees it. */
export interface ReadConnection {
  readonly user: UpstreamUser | null
  /** Who gets what is no answer. */
  readonly rawUser: RawUser | null
  readonly requestSent: boolean
  /** Whether it is known that nothing more has come. */
  isQuiet(): boolean
  /** Lets the kernel move what more has come of a counted body to `user.answer.sink`. */
  moveBody(reader: BodyReader): number
  /** Somebody is asked to log in on it, or has. */
  bind(): void
  readonly reuse: Reuse
  /** A final answer has come, of HTTP/1.0 or 1.1. */
  heard(minor: number): void
  /** The body that follows is long, and its user has a sink. */
  expectLong(): void
}

export class ResponseReader {
  /** A byte of an answer has come. */
  begun = false
  /** The answer ended in good order. */
  complete = false
  /** The final head has come before its request was whole. */
  early = false
  /** Whether the connection may carry another request, once the answer is complete. */
  reusable = false
  /** The head says that no body follows, but many a target sends one all the same. */
  mayHaveBody = false
  readonly #body = new BodyReader('answer')
  readonly #head: ResponseHead
  readonly #headBytesMax: number
  readonly #buffers: Buffers
  readonly #connection: ReadConnection
  #headDone = false
  #partial = ''
  #isHead = false
  #upgrade = ''
  #interims = 0
  /** An interim response has said that the connection will close. */
  #closes = false
  #keepAlive = false

  constructor(connection: ReadConnection, head: ResponseHead, headBytesMax: number, buffers: Buffers) {
    this.#connection = connection
    this.#head = head
    this.#headBytesMax = headBytesMax
    this.#buffers = buffers
  }

  /** Begins with the answer to a request. */
  start(isHead: boolean, upgrade: string): void {
    this.begun = false
    this.complete = false
    this.early = false
    this.reusable = false
    this.mayHaveBody = false
    this.#headDone = false
    this.#partial = ''
    this.#isHead = isHead
    this.#upgrade = upgrade
    this.#interims = 0
    this.#closes = false
    this.#keepAlive = false
  }

  /** Lets go of the strings of an answer that is over. */
  forget(): void {
    this.#partial = ''
    this.#upgrade = ''
    this.#body.forget()
  }

  /** Takes `buffer[0, length)`; ends early when its user has let go of the connection. */
  take(buffer: Buffer, length: number): void {
    let user = this.#connection.user!
    this.begun = true
    if (this.complete) return user.onFault()
    let at = 0
    const isFirst = !this.#headDone
    while (!this.#headDone) {
      if (at >= length) return
      at = this.#readHead(user, buffer, at, length)
      if (at < 0) return user.onFault()
      const { rawUser, user: userNow } = this.#connection
      if (rawUser !== null && at < length) return rawUser.onRaw(buffer, at, length)
      if (rawUser !== null || userNow === null) return
      // Somebody else may have been given the rest of it.
      user = userNow
    }
    if (this.#body.done) return this.#finish(user, NOTHING, 0, 0, at, buffer, length)
    // Said once: later, what waits for the client would look like a reason to copy.
    if (isFirst && this.#body.framing === 'length' && this.#body.remaining > READ_BYTES) this.#connection.expectLong()
    this.#readBody(user, buffer, at, length)
  }

  /** Offset behind what was taken of a head; -1 when it is malformed. */
  #readHead(user: UpstreamUser, buffer: Buffer, at: number, length: number): number {
    const before = this.#partial.length
    const until = Math.min(length, at + this.#headBytesMax + 1 - before)
    let text = buffer.latin1Slice(at, until)
    if (before > 0) {
      const undecided = before >= PREFIX.length && text.indexOf('\n') < 0 && before + text.length <= this.#headBytesMax
      text = this.#partial + text
      if (undecided) {
        this.#partial = text
        return until
      }
    }
    const head = this.#head
    const headEnd = before > 0 ? head.parse(text) : head.parse(text, buffer, at)
    if (headEnd < 0) return -1
    this.#partial = headEnd === 0 ? text : ''
    if (headEnd === 0) return until
    if (head.bindsConnection) this.#connection.bind()
    if (!this.#tell(user, head)) return -1
    return at + headEnd - before
  }

  /** False when nobody can tell what the head is for. */
  #tell(user: UpstreamUser, head: ResponseHead): boolean {
    if (head.status >= 200) {
      user.answer.onHead(head, this.#frame(head))
      return true
    }
    if (head.status === 101) {
      if (!isOffered(this.#upgrade, head.upgrade)) return false
      // It is a part of the whole head of the request, and a tunnel lives for long.
      this.#upgrade = ''
      this.#headDone = true
      user.answer.onHead(head, 'none')
      return true
    }
    if (++this.#interims > INTERIM_MAX) return false
    if (!head.keepAlive) this.#closes = true
    user.answer.onInterim(head)
    return true
  }

  /** Where the body ends, and whether the connection may survive it. */
  #frame(head: ResponseHead): Framing {
    const isEmpty = head.status === 204 || head.status === 304
    const noBody = this.#isHead || isEmpty
    const framing = noBody ? 'none' : head.chunked ? 'chunked' : head.contentLength >= 0 ? 'length' : 'close'
    this.#body.start(framing, head.contentLength, head.dropped)
    this.#headDone = true
    this.#connection.heard(head.minor)
    this.early = !this.#connection.requestSent
    // Many a target sends the body all the same; when it comes late, it must not meet the next request. To HEAD, one without
    // a length would have ended with the connection; 204 and 304 mostly have none, so there it is looked at once more.
    const mayFollow = noBody && (head.chunked || head.contentLength > 0 || (head.contentLength < 0 && !isEmpty))
    this.mayHaveBody = noBody
    this.#keepAlive =
      head.keepAlive &&
      framing !== 'close' &&
      !this.early &&
      !mayFollow &&
      !this.#closes &&
      this.#connection.reuse.applyKeepAliveHints(head)
    return framing
  }

  #readBody(user: UpstreamUser, buffer: Buffer, at: number, length: number): void {
    const reader = this.#body
    // A head without a byte of its body is passed on all the same.
    if (at >= length) return user.answer.onBody(NOTHING, 0, 0, null)
    let payload = buffer
    let from = at
    let until: number
    if (reader.framing === 'chunked') {
      payload = this.#buffers.scratch
      from = SCRATCH_HEAD
      until = reader.decode(buffer, at, length, payload, from)
      if (reader.malformed) return user.onFault()
    } else until = at + reader.pass(at, length)
    if (reader.done) return this.#finish(user, payload, from, until, reader.consumed, buffer, length)
    user.answer.onBody(payload, from, until, null)
    if (length === buffer.length && reader.framing === 'length' && this.#connection.user === user) {
      this.#move(user, buffer)
    }
  }

  /** A read was full, and all of it was body: the kernel moves what more there is. */
  #move(user: UpstreamUser, buffer: Buffer): void {
    const moved = this.#connection.moveBody(this.#body)
    if (moved === 0) return
    if (this.#body.done) this.#settle(buffer.length, buffer, buffer.length)
    user.answer.onMoved(moved, this.#body.done)
  }

  /** The last piece, or an answer without body: from here on the next request may be under way already. */
  #finish(
    user: UpstreamUser,
    payload: Buffer,
    from: number,
    until: number,
    consumed: number,
    buffer: Buffer,
    length: number,
  ): void {
    this.#settle(consumed, buffer, length)
    user.answer.onBody(payload, from, until, this.#body.trailers)
  }

  /**
   * Notes that the answer is complete. A full read, or what was moved behind it, may have left bytes behind that belong to
   * nobody. What is read by events comes in a buffer of just its length, which says nothing of the room that the read had.
   */
  #settle(consumed: number, buffer: Buffer, length: number): void {
    this.complete = true
    const room = buffer === this.#buffers.small ? buffer.length : READ_BYTES
    this.reusable = this.#keepAlive && consumed >= length && (length < room || this.#connection.isQuiet())
  }

  /** The target has ended its side: true when that is the proper end of the body, which its user has been told then. */
  endOfStream(): boolean {
    if (!this.#headDone || this.complete || this.#body.framing !== 'close') return false
    this.complete = true
    this.#body.done = true
    this.#connection.user!.answer.onBody(NOTHING, 0, 0, '')
    return true
  }
}

/** RFC 9110 7.8: whether a target switches to one of the protocols that it was offered. */
function isOffered(protocols: string, chosen: string): boolean {
  return protocols !== '' && chosen !== '' && listHas(protocols, chosen.toLowerCase())
}
