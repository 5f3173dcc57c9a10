/**
 * Where the frames of a WebSocket end, on their way from the target to the client, or back (RFC 6455 5.2). Pure.
 *
 *     0                   1
 *     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5      then, as the length says, none, 2 or 8 octets of length,
 *    +-+-+-+-+-------+-+-------------+     with M 4 of a key, and so many octets of payload
 *    |F|  R  |opcode |M| length      |     F: the last frame of its message. M: masked, which only clients do.
 *    +-+-+-+-+-------+-+-------------+
 *
 * A tunnel that is to be closed gets a Close of ours, and that may stand only between two frames; a text of ours before it only between two
 * messages. So only the heads of frames are looked at, and payload is skipped by count: a few operations for each frame, whatever its size. It
 * has to begin with the first octet behind the 101, since nobody can find a frame from the middle of one.
 *
 * Invariants: nothing is kept but a few numbers; how the octets are cut into pieces changes nothing; what is no sequence of frames
 * that this side may send is `isLost`, for good: then nothing is known any more, and nothing is ever put in.
 */
const FIN = 0x80
const MASK = 0x80
const OPCODE = 0x0f
const CONTINUATION = 0
const TEXT = 1
const BINARY = 2
const CLOSE = 8
const PING = 9
const PONG = 10
/** Payload of a control frame (RFC 6455 5.5). */
const CONTROL_MAX = 125
/** Octets of the key by which a client masks its payload. */
const KEY_BYTES = 4
const LENGTH_16 = 126
const LENGTH_64 = 127

export class Frames {
  /** What came is no WebSocket. */
  isLost = false
  /** This side has sent its Close: nothing may follow. */
  isClosed = false
  /** Payload of the present frame that is still to come. */
  #payload = 0
  /** A message was begun, and not its last frame. */
  #isOpen = false
  /** The first octet of a head that is not whole; below 0 between heads. */
  #first = -1
  /** Octets of the length that are still to come, and what they have said so far. Below 0 before the second octet. */
  #lengthLeft = -1
  #length = 0
  readonly #isClient: boolean

  /** Of what the client sends, whose frames are masked; default: of what the target sends. */
  constructor(isClient = false) {
    this.#isClient = isClient
  }

  /** Whether a Close may stand here: between two frames. */
  get isBetweenFrames(): boolean {
    return this.#payload === 0 && this.#first < 0 && !this.isClosed && !this.isLost
  }

  /** Whether a text and a Close may: between two messages. */
  get isBetween(): boolean {
    return !this.#isOpen && this.isBetweenFrames
  }

  /**
   * Goes through `bytes[at, end)` and returns `end`; or, where it `stops`, the first place from `at` on where a text and a Close may
   * stand, if there is one: what is behind it was not looked at then.
   */
  walk(bytes: Uint8Array, at: number, end: number, stops: boolean): number {
    for (;;) {
      if (this.#payload > 0) {
        const here = end - at
        if (this.#payload > here) {
          this.#payload -= here
          return end
        }
        at += this.#payload
        this.#payload = 0
      }
      if (stops) {
        if (this.isBetween) return at
      } else if (this.#first < 0) {
        at = this.#usualFrames(bytes, at, end)
        if (this.#payload > 0) return end
      }
      if (at >= end || this.isLost) return end
      at = this.#head(bytes, at, end)
    }
  }

  /**
   * Skips what most tunnels carry: frames of a target with a whole head of two or four octets, as they may follow each other. The same as
   * the head by head way says of them, at a fifth of its cost, since nothing is kept from one to the next. Returns where something else
   * begins, or `end`.
   */
  #usualFrames(bytes: Uint8Array, at: number, end: number): number {
    if (this.isLost || this.isClosed || this.#isClient) return at
    let isOpen = this.#isOpen
    while (at + 1 < end) {
      const first = bytes[at] & (FIN | OPCODE)
      let length = bytes[at + 1]
      if (!isOpen && length < LENGTH_16 && (first === (FIN | TEXT) || first === (FIN | BINARY))) {
        at += 2 + length
        continue
      }
      let next = at + 2
      if (length >= LENGTH_16) {
        next = at + 4
        if (length !== LENGTH_16 || next > end) break
        length = (bytes[at + 2] << 8) | bytes[at + 3]
      }
      if (first === (FIN | TEXT) || first === (FIN | BINARY)) {
        if (isOpen) break
      } else if (first === FIN || first === CONTINUATION) {
        if (!isOpen) break
        isOpen = first === CONTINUATION
      } else if (first === TEXT || first === BINARY) {
        if (isOpen) break
        isOpen = true
      } else if ((first !== (FIN | PING) && first !== (FIN | PONG)) || length > CONTROL_MAX) break
      at = next + length
    }
    this.#isOpen = isOpen
    if (at <= end) return at
    this.#payload = at - end
    return end
  }

  /** Reads of a head what is there. */
  #head(bytes: Uint8Array, at: number, end: number): number {
    if (this.#first < 0) this.#first = bytes[at++]
    if (at < end && this.#lengthLeft < 0) this.#second(bytes[at++])
    while (at < end && this.#lengthLeft > 0) {
      this.#length = this.#length * 256 + bytes[at++]
      this.#lengthLeft--
    }
    if (this.#lengthLeft === 0 && !this.isLost) this.#begin()
    return at
  }

  #second(octet: number): void {
    const length = octet & ~MASK
    if (((octet & MASK) !== 0) !== this.#isClient) return this.#lose()
    this.#lengthLeft = length === LENGTH_16 ? 2 : length === LENGTH_64 ? 8 : 0
    this.#length = this.#lengthLeft === 0 ? length : 0
  }

  /** The head is whole. What extensions say by the three bits behind the first is theirs. */
  #begin(): void {
    const opcode = this.#first & OPCODE
    const isLast = (this.#first & FIN) !== 0
    if (opcode >= CLOSE) {
      if (opcode > PONG || !isLast || this.#length > CONTROL_MAX) return this.#lose()
      if (opcode === CLOSE) this.isClosed = true
    } else {
      const isKnown = opcode === CONTINUATION ? this.#isOpen : opcode <= BINARY && !this.#isOpen
      // No message has more than 2^53 octets; but a length beyond could not be counted down.
      if (!isKnown || this.#length > Number.MAX_SAFE_INTEGER) return this.#lose()
      this.#isOpen = !isLast
    }
    this.#payload = this.#isClient ? this.#length + KEY_BYTES : this.#length
    this.#first = -1
    this.#lengthLeft = -1
  }

  #lose(): void {
    this.isLost = true
  }
}

/** Octets of the Close that a farewell ends with. */
export const CLOSE_BYTES = 4

/** What a tunnel is told before it is closed: a text message, if there is one, and Close with a code. As a server sends it, unmasked. */
export function farewell(message: string | null, code: number): Uint8Array {
  const text = message === null ? [] : [FIN | TEXT, ...withLength(new TextEncoder().encode(message))]
  return Uint8Array.from([...text, FIN | CLOSE, 2, code >>> 8, code & 0xff])
}

function withLength(payload: Uint8Array): number[] {
  const { length } = payload
  if (length > 0xffff) throw new Error(`a message of ${length} octets is too long to be said at the end`)
  return length < LENGTH_16 ? [length, ...payload] : [LENGTH_16, length >>> 8, length & 0xff, ...payload]
}
