/**
 * The seam towards a target: what an exchange needs of the connection, or the stream, that carries its request, and what it
 * is told by it. Types only. An HTTP/1.1 connection (connection.ts) is one; it is leased to one exchange at a time.
 *
 *   lease ─► onConnected ─► send ─► body* ─► onInterim* ─► onHead ─► onBody* (the last one with trailers) ─► release
 *                                                └─► onHead(101) ─► handOver ─► onRaw* ─► onEnd
 *   at any time instead: onFault (the answer is malformed) or onClosed (the connection is gone), then nothing more.
 */
import type { Framing } from '../http1/body.ts'
import type { ResponseHead } from '../http1/response-head.ts'
import type { Outgoing } from '../socket/outgoing.ts'
import type { Tied } from './ties.ts'

/** A request as it is sent, in parts that no wire has shaped; lines end in CRLF. */
export interface RequestToSend {
  readonly method: string
  readonly isHead: boolean
  /** Origin-form or `*`. */
  readonly target: string
  /** Host with port, as the target gets it. */
  readonly authority: string
  /** Field lines but those on framing. */
  readonly lines: string
  /** Field lines that the decision adds. */
  readonly poolLines: string
  /** Value of Upgrade, or empty. */
  readonly upgrade: string
  readonly expectContinue: boolean
  readonly chunked: boolean
  /** -1 without. */
  readonly contentLength: number
  /** What of the body goes with the head, as latin1; all of it when `bodyDone`. */
  readonly whole: string
  readonly bodyDone: boolean
  /** Trailer lines of a whole body. */
  readonly trailers: string
}

/** Who is told of an answer. Buffers are valid until the call returns. */
export interface AnswerUser {
  onInterim(head: ResponseHead): void
  /** The final head; also a 101 to an upgrade that was asked for. `framing` says whether and how a body follows. */
  onHead(head: ResponseHead, framing: Framing): void
  /** Payload; `trailers` is null while more follows, and the trailer lines with the last piece. */
  onBody(buffer: Buffer, at: number, end: number, trailers: string | null): void
  /** Payload that went straight to `sink`. */
  onMoved(bytes: number, done: boolean): void
  /** Where payload may be moved to as it is, or null. */
  readonly sink: Outgoing | null
}

/** Whom the lease belongs to: an exchange. */
export interface UpstreamUser {
  readonly answer: AnswerUser
  /** It is open and, as far as we know, silent. */
  onConnected(): void
  /** What came is no answer to what was asked. */
  onFault(): void
  /** The target takes more of the request. */
  onDrain(): void
  /** The connection is gone, by error, FIN or close; said once, and never after `destroy` or `release`. */
  onClosed(): void
}

/** Who takes the place of an exchange once nothing that comes is an answer any more: it is told instead. */
export interface RawUser {
  /** Bytes that came behind the answer. */
  onRaw(buffer: Buffer, at: number, end: number): void
  onDrain(): void
  /** The target has ended its side. */
  onEnd(): void
  /** The target takes nothing any more; what it has said before is still told. */
  onWriteFailed(): void
  onClosed(): void
}

/** A lease. */
export interface Upstream extends Tied {
  /** Whoever is told of it. */
  user: UpstreamUser | null
  /** Sends the head, and what of the body is at hand. */
  send(request: RequestToSend): void
  /** Sends payload of the request; `trailers` come with the last piece. */
  body(buffer: Buffer, at: number, end: number, trailers: string | null): void
  /** Notes payload that went straight to `sink`. */
  moved(done: boolean): void
  /** Where payload of the request may be moved to as it is, or null. */
  readonly sink: Outgoing | null
  /** A byte of an answer has come. */
  readonly begun: boolean
  /** Whether the target is known to speak HTTP/1.1. */
  readonly isHttp11: boolean
  /** All of the request is in the hands of the kernel. */
  readonly requestSent: boolean
  /** What was sent last has not left yet. */
  readonly isHeld: boolean
  /** Ends our side; `done` is called when all that was sent has left, or cannot leave any more. */
  end(done?: () => void): void
  /** Everything behind the answer goes to `user` from here on, unread. */
  handOver(user: RawUser): void
  /** Sends bytes of a tunnel; they are copied. */
  raw(buffer: Buffer, at: number, end: number): void
  /** Whether so much is unsent that its source should stop until `onDrain`. */
  readonly isFull: boolean
  readonly unsentBytes: number
  /** From now on it is to be seen whether the target takes anything. */
  mark(): void
  /** Whether it has taken bytes since the mark. */
  readonly hasMoved: boolean
  /** Bytes that have left and that it has not taken yet, as far as that can be told. */
  readonly undelivered: number
  /** Stops and goes on reading the answer. */
  pause(): void
  resume(): void
  /** The exchange is complete: the connection is kept for the next one when it may be. */
  release(): void
  /** Keeps it from everybody but its client, for good: somebody logs in on it. */
  bind(): void
  readonly isBound: boolean
  readonly isGone: boolean
  /** Closes it at once, without telling its user. */
  destroy(): void
}

/** The connections to one target, as an exchange sees them. */
export interface Leases {
  /** Whether only the last quarter of the connections is left for who asks now. */
  readonly isCrowded: boolean
  /** An idle connection that is fit for the request, or null. */
  takeIdle(repeatable: boolean): Upstream | null
  /** A connection that is kept for the client that asks, if it is still fit; else null. */
  takeBound(connection: Tied): Upstream | null
  /** Opens a connection for its first user; null when the target has no room. */
  open(user: UpstreamUser): Upstream | null
}
