/**
 * The answer to one request of an HTTP/1.1 client: heads, body and their framing, which is made anew from what the exchange
 * says, and from the client's version and method.
 *
 * A head waits for the first piece of its body, so that both leave in one write. Whether the
 * connection may carry another request is decided when the head is begun, since the head says so.
 */
import { ERRORS, type ErrorCode } from '../../errors.ts'
import type { AnswerLines, RedirectLines } from '../exchange/downstream.ts'
import { responseLines } from '../exchange/field-lines.ts'
import type { Framing } from '../http1/body.ts'
import { framingLine } from '../http1/framing.ts'
import { REASON_KEPT_MAX, type ResponseHead } from '../http1/response-head.ts'
import { mayBeShared } from '../http1/shared-caching.ts'
import { flat } from '../http1/syntax.ts'
import type { Page } from '../maintenance-pages.ts'
import { writeBody } from '../socket/body-writer.ts'
import type { Buffers } from '../socket/buffers.ts'
import type { Outgoing } from '../socket/outgoing.ts'
import type { Time } from '../time.ts'
import { connectionLine, errorAnswer, optionsAnswer, pageHead, redirectAnswer } from './own-answers.ts'

/** Bodies up to this size that come with their head are sent as one string. */
const WHOLE_BYTES_MAX = 4_096

/** What an answer needs of its worker. */
export interface AnswerSetting {
  readonly time: Time
  readonly buffers: Buffers
  readonly draining: boolean
}

export class AnswerWriter {
  /** The connection stays open behind this answer, as far as was said. */
  keepAlive = false
  /** The end of the answer is the end of the connection. */
  endsByClose = false
  readonly #setting: AnswerSetting
  readonly #out: Outgoing
  #minor = 1
  #isHead = false
  #mayStay = false
  #continues = false
  #chunked = false
  #head = ''
  /** The head that was read for it, which has as text what of the body came with it. */
  #source: ResponseHead | null = null

  constructor(setting: AnswerSetting, out: Outgoing) {
    this.#setting = setting
    this.#out = out
  }

  /** Begins with a request; `mayStay` says whether its client, and we, would go on behind it. */
  start(minor: number, isHead: boolean, mayStay: boolean, expectContinue: boolean): void {
    this.keepAlive = false
    this.endsByClose = false
    this.#minor = minor
    this.#isHead = isHead
    this.#mayStay = mayStay
    this.#continues = expectContinue
    this.#chunked = false
    this.#head = ''
  }

  /** RFC 9110 15.2: interim answers go to HTTP/1.1 clients only, and 100 only to those who asked, once. */
  interim(head: ResponseHead, requestId: string): void {
    if (this.#minor === 0) return
    if (head.status === 100) {
      if (!this.#continues) return
      this.#continues = false
    }
    this.#out.text(statusLine(head) + responseLines(this.#setting, head, requestId) + '\r\n')
  }

  head(
    head: ResponseHead,
    framing: Framing,
    { requestId, cookieLine, answerLines }: AnswerLines,
    isOpen: boolean,
  ): void {
    const hasBody = framing !== 'none'
    const hasLength = framing === 'none' || framing === 'length'
    this.#chunked = this.#minor === 1 && !hasLength
    // To HTTP/1.0 a body without a length ends with the connection.
    this.endsByClose = this.#minor === 0 && !hasLength
    this.keepAlive = this.#stays(isOpen) && !this.endsByClose
    this.#source = framing === 'length' ? head : null
    const showsLength = hasBody || (head.status !== 204 && !(this.#minor === 0 && head.chunked))
    this.#head =
      statusLine(head) +
      responseLines(this.#setting, head, requestId) +
      (cookieLine === '' || mayBeShared(head.status, head.fields) ? '' : cookieLine) +
      answerLines +
      (showsLength ? framingLine(hasBody ? this.#chunked : head.chunked, head.contentLength) : '') +
      connectionLine(this.keepAlive, this.#minor, head.demandedUpgrade) +
      '\r\n'
  }

  body(buffer: Buffer, at: number, end: number, trailers: string | null): void {
    const head = this.#head
    this.#head = ''
    if (!this.#chunked && trailers !== null && end - at <= WHOLE_BYTES_MAX && (head !== '' || end === at)) {
      const text = end > at ? head + this.#text(buffer, at, end) : head
      if (text !== '') this.#out.text(text)
      return
    }
    writeBody(this.#setting.buffers, this.#out, head, buffer, at, end, this.#chunked, trailers)
  }

  /** The first piece of the body, which nothing can have come between; as it is in the text of its head, if that came with it. */
  #text(buffer: Buffer, at: number, end: number): string {
    const source = this.#source
    if (source !== null && source.text.length - source.end === end - at) return source.text.slice(source.end)
    return buffer.latin1Slice(at, end)
  }

  /** Payload may pass as it is. */
  get isPlain(): boolean {
    return !this.#chunked
  }

  switchProtocols(head: ResponseHead, requestId: string): void {
    this.#out.text(
      statusLine(head) +
        responseLines(this.#setting, head, requestId) +
        'Connection: Upgrade\r\nUpgrade: ' +
        head.upgrade +
        '\r\n\r\n',
    )
  }

  /** An error of ours as the whole answer; `bodyDone` says whether all of the request was read. */
  refuse(code: ErrorCode, requestId: string, json: boolean, bodyDone: boolean): void {
    const { status } = ERRORS[code]
    this.#head = ''
    this.endsByClose = false
    this.keepAlive = this.#stays(bodyDone) && status !== 400 && status !== 413
    const asked = { requestId, minor: this.#minor, isHead: this.#isHead }
    this.#out.text(errorAnswer(this.#setting, code, asked, json, this.keepAlive))
  }

  /** The page of a service in maintenance as the whole answer. */
  page(page: Page, requestId: string, bodyDone: boolean): void {
    this.keepAlive = this.#stays(bodyDone)
    const head = pageHead(this.#setting, page, requestId, this.#minor, this.keepAlive)
    const { body } = page
    if (this.#isHead) return this.#out.text(head)
    if (body.length <= WHOLE_BYTES_MAX) return this.#out.text(head + body.latin1Slice(0, body.length))
    this.#out.text(head)
    // Its memory is shared, and never changes.
    this.#out.bytes(body)
  }

  redirect(lines: RedirectLines, bodyDone: boolean): void {
    this.keepAlive = this.#stays(bodyDone)
    this.#out.text(redirectAnswer(this.#setting, lines, this.#minor, this.keepAlive))
  }

  options(requestId: string, bodyDone: boolean): void {
    this.keepAlive = this.#stays(bodyDone)
    this.#out.text(optionsAnswer(this.#setting, requestId, this.#minor, this.keepAlive))
  }

  /** Whether the connection goes on behind the answer that is begun now: a drain may have begun since the request has. */
  #stays(isFree: boolean): boolean {
    return this.#mayStay && !this.#setting.draining && isFree
  }
}

/** By status: the reason of the last answer with it, and the line, if they are short. Few targets say anything but the usual words. */
const statusLines: { readonly reason: string; readonly line: string }[] = []

function statusLine({ status, reason }: ResponseHead): string {
  const last = statusLines[status]
  if (last !== undefined && last.reason === reason) return last.line
  const line = flat('HTTP/1.1 ' + status + ' ' + reason + '\r\n')
  if (reason.length <= REASON_KEPT_MAX) statusLines[status] = { reason, line }
  return line
}
