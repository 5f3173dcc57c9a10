/**
 * What a client asked for, kept for the life of its exchange: the facts that the answer depends on, and the lines to send.
 *
 * The worker's one request head is read over and over, so everything that must outlive the moment is copied here, once. The
 * head text itself is kept too: a request that is tried again is parsed and decided again from it.
 */
import type { Decision } from '../../table/types.ts'
import type { Client } from '../downstream/client.ts'
import { hopsLeft, UNLIMITED } from '../http1/max-forwards.ts'
import { flat } from '../http1/syntax.ts'
import type { Plane } from '../plane.ts'
import { framingLine, poolLines, requestIdOf, requestLines } from './head-writer.ts'

/** Whether requests by this method may be repeated: RFC 9110 9.2.2. */
function isIdempotent(method: string): boolean {
  switch (method) {
    case 'GET':
    case 'HEAD':
    case 'OPTIONS':
    case 'TRACE':
    case 'PUT':
    case 'DELETE':
      return true
    default:
      return false
  }
}

export class ExchangeRequest {
  headText = ''
  method = ''
  host = ''
  path = ''
  minor = 1
  isHead = false
  isIdempotent = false
  expectContinue = false
  /** Value of Upgrade that is passed on, or empty. */
  upgrade = ''
  requestId = ''
  /** Servers behind this one that it may still reach: see max-forwards.ts. */
  maxForwards = UNLIMITED
  /** The connection may be used again as far as client and worker are concerned. */
  mayStay = false
  /** `Set-Cookie` for the answer, with CRLF; not for one that shared caches may keep. */
  cookieLine = ''
  /** Debug lines for the answer, with CRLFs. */
  answerLines = ''
  #debugs = false
  #requestLine = ''
  #lines = ''
  #bodyLine = ''

  /** Takes over what is in `plane.requestHead`. */
  read(plane: Plane, headText: string, mayStay: boolean): void {
    const head = plane.requestHead
    this.headText = headText
    this.mayStay = mayStay
    this.method = head.method
    this.host = head.host
    this.path = head.path
    this.minor = head.minor
    this.isHead = head.method === 'HEAD'
    this.isIdempotent = isIdempotent(head.method)
    this.expectContinue = head.expectContinue
    this.upgrade = head.upgrade
    this.requestId = requestIdOf(plane, head)
    this.maxForwards = hopsLeft(head.method, head.fields)
    this.cookieLine = ''
    this.answerLines = ''
  }

  /** Writes the lines for the target, for a body that is `whole` (at hand) or still to come. */
  writeLines(plane: Plane, client: Client, decision: Decision, whole: boolean): void {
    const head = plane.requestHead
    const forwarded = client.trusted ? null : client.forwarded.for(head.authority)
    this.#lines = requestLines(plane, head, forwarded, client.peer, client.tls, this)
    if (head.upgrade !== '') this.#bodyLine = 'Connection: Upgrade\r\nUpgrade: ' + head.upgrade + '\r\n'
    else this.#bodyLine = framingLine(head.chunked, head.contentLength)
    if (head.expectContinue && !whole) this.#bodyLine += 'Expect: 100-continue\r\n'
    // From a trusted address one may ask for the debug headers; from anybody else the field is dropped unread.
    this.#debugs = client.trusted && plane.view.header('x-turnout-debug') !== undefined
    this.writeChosenLines(plane, decision)
  }

  /** Writes the lines for either side that depend on the decision, for the request in `plane.requestHead`. */
  writeChosenLines(plane: Plane, decision: Decision): void {
    const { method, target, authority } = plane.requestHead
    const host = authority === '' ? decision.target!.authority : authority
    this.#requestLine = method + ' ' + target + ' HTTP/1.1\r\nHost: ' + host + '\r\n'
    const service = decision.service!
    this.cookieLine = ''
    if (decision.setCookie !== null && service.sticky !== null) {
      const { cookie, attributes } = service.sticky
      const value = plane.signer.sign(cookie, decision.setCookie)
      this.cookieLine = 'Set-Cookie: ' + cookie + '=' + value + attributes + '\r\n'
    }
    this.answerLines = service.debugHeaders || this.#debugs ? poolLines(service, decision.pool!) : ''
  }

  /** The head as the chosen target gets it. */
  headFor(decision: Decision): string {
    return this.#requestLine + this.#lines + poolLines(decision.service!, decision.pool!) + this.#bodyLine + '\r\n'
  }

  /** Whether the client takes JSON: looked up only for answers of our own. */
  acceptsJson(plane: Plane): boolean {
    plane.requestHead.parse(this.headText)
    return plane.view.header('accept')?.includes('json') === true
  }

  /** Lets go of the strings, so that an idle connection keeps none of them alive: a slice of the head keeps all of it. */
  forget(): void {
    this.method = ''
    this.path = ''
    this.requestId = ''
    this.#forgetHead()
  }

  /** Keeps only what the log line at the end of a tunnel says. */
  condense(): void {
    this.method = flat(this.method)
    this.path = flat(this.path)
    this.requestId = flat(this.requestId)
    this.#forgetHead()
  }

  #forgetHead(): void {
    this.headText = ''
    this.upgrade = ''
    this.cookieLine = ''
    this.answerLines = ''
    this.#requestLine = ''
    this.#lines = ''
    this.#bodyLine = ''
  }
}
