/**
 * The seam towards the client: what an exchange needs of whoever asked. Types only. An HTTP/1.1 connection is one
 * (downstream/client.ts); a stream of HTTP/2 will be another, and a test drives an exchange by one that has no socket at all.
 *
 * An exchange answers by `interim*`, then `head` and `body*` (the last piece with trailers), or by `refuse`, `page`, `redirect` or `options`; or by
 * `switchProtocols`, after which bytes go both ways as they are. It says `exchangeEnded` once, as its last word.
 */
import type { ErrorCode } from '../../errors.ts'
import type { Framing } from '../http1/body.ts'
import type { ResponseHead } from '../http1/response-head.ts'
import type { Page } from '../maintenance-pages.ts'
import type { Outgoing } from '../socket/outgoing.ts'
import type { Ties } from '../upstream/ties.ts'

/** What an answer repeats of its request, and lines that come with it. */
export interface AnswerLines {
  readonly requestId: string
  /** `Set-Cookie` with CRLF, but for an answer that shared caches may keep. */
  readonly cookieLine: string
  /** Debug lines, with CRLFs. */
  readonly answerLines: string
}

/** Where a client is sent: path and query on the same host, and `Set-Cookie` with CRLF, or nothing. */
export interface RedirectLines {
  readonly requestId: string
  readonly location: string
  readonly cookieLine: string
}

/** Whom a downstream tells of the request, once it has begun: its exchange, or what stands in for it. */
export interface RequestUser {
  /** Payload, valid until the call returns; `trailers` is null while more follows, and the trailer lines with the last piece. */
  onRequestBody(buffer: Buffer, at: number, end: number, trailers: string | null): void
  /** Payload that went straight to `requestSink`. */
  onRequestMoved(bytes: number, done: boolean): void
  /** Where payload may be moved to as it is, or null. */
  readonly requestSink: Outgoing | null
  /** The body cannot be taken. */
  onRequestFault(code: 'bad_body' | 'body_too_large'): void
  /** The client has taken what waited for it. */
  onClientDrain(): void
  /** The client has ended its side before the body was whole. */
  onEnded(): void
  /** The client's connection is gone. */
  onGone(): void
}

export interface Downstream {
  /** Who is told of the request under way. */
  user: RequestUser
  /** Address of the peer, without IPv4-mapping prefix. */
  readonly peer: string
  readonly tls: boolean
  /** Whether the peer is a trusted proxy. */
  readonly trusted: boolean
  /** Where `admission` counts it. */
  readonly cell: number
  /** Connections to targets on which it has logged in. */
  ties: Ties | null
  /** The client has said that nothing more will come. */
  readonly ended: boolean
  /** The fields that tell a target of the peer, as lines: for a request that tells of nobody else. */
  forwardedLines(authority: string): string

  /** Passes an interim answer on, where the client's version knows them. */
  interim(head: ResponseHead, requestId: string): void
  /**
   * Begins the final answer; it leaves with the first piece of its body, which may be empty. `isOpen` says that all of the request
   * will be taken, so that the connection may carry another one.
   */
  head(head: ResponseHead, framing: Framing, lines: AnswerLines, isOpen: boolean): void
  /** The end of the answer that was begun is the end of the connection. */
  readonly endsByClose: boolean
  /** Sends payload; `trailers` is null while more follows, and the trailer lines with the last piece. */
  body(buffer: Buffer, at: number, end: number, trailers: string | null): void
  /** Where payload of the answer may be moved to as it is, or null. */
  readonly sink: Outgoing | null
  /** Sends an error of ours as the whole answer. */
  refuse(code: ErrorCode, requestId: string, json: boolean): void
  /** Sends the page of a service in maintenance as the whole answer. */
  page(page: Page, requestId: string): void
  /** Sends the client elsewhere as the whole answer. */
  redirect(lines: RedirectLines): void
  /** Answers OPTIONS for us. */
  options(requestId: string): void
  /** Passes a 101 on: from here on bytes go both ways as they are. */
  switchProtocols(head: ResponseHead, requestId: string): void
  /** Ends our side of a tunnel. */
  endTunnel(): void
  /** The exchange is over. An answer that is not whole is made to look so. */
  exchangeEnded(isWhole: boolean): void
  /** Closes at once; the exchange is told. */
  destroy(): void

  /** Whether the client, while it is not read from, has ended its side or gone; false where that cannot be told. */
  hasLeft(): boolean
  /** Stops and goes on reading the body of the request. */
  pause(): void
  resume(): void

  /** Whether so much of the answer is unsent that its source should stop until `onDrain`. */
  readonly isFull: boolean
  readonly unsentBytes: number
  /** From now on it is to be seen whether the client takes anything. */
  mark(): void
  /** Whether it has taken bytes since the mark. */
  readonly hasMoved: boolean
}
