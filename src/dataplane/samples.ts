/**
 * Heads of the last requests, kept for dry runs: what would a proposed split or rule have made of them?
 *
 * Each worker keeps a sample, bounded in bytes, in two halves: one is written until it is full, then the other is emptied and
 * written. So the last half is always there, and nothing is moved or freed one by one. The octets are copied out of the head, so
 * nothing that belongs to a request is kept alive, and what is not sampled costs one count.
 *
 * Of each service every n-th request is taken, with the distance drawn anew each time, so that no client that asks in turns is always
 * hit or always missed. n follows the traffic: a half is to last `HALF_MS`. A sample says how many requests it stands for; the sum of
 * those is the number of requests that were seen.
 *
 * The heads have cookies and credentials in them. They stay in memory, and nothing but counts is ever told of them.
 */
import { SERVICE_SLOTS } from '../metrics/layout.ts'
import type { ServiceTable } from '../table/types.ts'
import type { RequestHead } from './http1/request-head.ts'
import type { Time } from './time.ts'

/** A request that was sampled. */
export interface Sample {
  /** Wall time in ms. */
  readonly atMs: number
  /** Requests of its service that it stands for. */
  readonly weight: number
  /** Client address, after trusted proxies. */
  readonly address: string
  /** It came from a trusted proxy. */
  readonly isTrusted: boolean
  /** The head as it came, one character an octet. */
  readonly head: string
}

/** How long a half lasts while there is more traffic than room, and how often the distances are set anew. */
const HALF_MS = 300_000
const TURN_MS = 10_000
/** A service of which nothing was sampled for so long begins anew. */
const FORGOTTEN_MS = 2 * HALF_MS
/** A countdown that does not end. */
const NEVER = 2 ** 31 - 1
/** Before a record: its length, slot, time, weight, the length of the address, and whether it came from a trusted proxy. */
const PREFIX_BYTES = 4 + 4 + 8 + 4 + 2 + 1

/** How one service is sampled. */
interface Pace {
  /** Mean distance of samples. */
  stride: number
  /** Requests from the last sample to the next. */
  gap: number
  /** Requests before the last sample that no sample stands for yet. */
  carried: number
  /** In the present turn: samples taken, requests they stand for, and bytes written; and what is written until the stride is doubled. */
  taken: number
  seen: number
  bytes: number
  bytesNext: number
  lastMs: number
}

interface Half {
  readonly memory: Buffer
  used: number
  /** Somebody else may read it. */
  isLent: boolean
}

/** Samples that a worker has lent to the main thread. */
export interface Lent {
  readonly memory: SharedArrayBuffer
  readonly used: number
}

export class Samples {
  readonly #head: Pick<RequestHead, 'text'>
  readonly #time: Pick<Time, 'nowMs' | 'wallMs'>
  readonly #random: () => number
  readonly #halfBytes: number
  /** Requests until the next sample, by slot of the service. */
  readonly #left = new Int32Array(SERVICE_SLOTS)
  readonly #paces = new Map<number, Pace>()
  #current: Half | null = null
  #previous: Half | null = null
  #turnMs = 0

  /** Samples of the requests in `head`, at most so many bytes; 0 is none. */
  constructor(
    bytesMax: number,
    head: Pick<RequestHead, 'text'>,
    time: Pick<Time, 'nowMs' | 'wallMs'>,
    random: () => number = Math.random,
  ) {
    this.#halfBytes = Math.floor(bytesMax / 2)
    this.#head = head
    this.#time = time
    this.#random = random
    if (bytesMax === 0) this.#left.fill(NEVER)
  }

  /** Counts a request that was just decided for a service, and takes it when it is its turn. */
  note(service: ServiceTable | null, address: string, isTrusted: boolean): void {
    if (service !== null && --this.#left[service.slot] <= 0) this.#take(service.slot, address, isTrusted)
  }

  #take(slot: number, address: string, isTrusted: boolean): void {
    if (this.#halfBytes === 0) {
      this.#left[slot] = NEVER
      return
    }
    const pace = this.#paces.get(slot) ?? this.#begin(slot)
    const weight = pace.carried + pace.gap
    const bytes = this.#write(slot, weight, address, isTrusted)
    pace.carried = bytes === 0 ? weight : 0
    pace.seen += pace.gap
    pace.taken++
    pace.bytes += bytes
    pace.lastMs = this.#time.nowMs
    if (pace.bytes > pace.bytesNext) {
      // More than its part of this turn: no more is written until the end of the turn than that once more for each doubling.
      pace.stride *= 2
      pace.bytesNext += this.#turnBytes()
    }
    this.#draw(slot, pace)
  }

  #begin(slot: number): Pace {
    const pace = { stride: 1, gap: 1, carried: 0, taken: 0, seen: 0, bytes: 0, bytesNext: 0, lastMs: 0 }
    this.#paces.set(slot, pace)
    pace.bytesNext = this.#turnBytes()
    return pace
  }

  #draw(slot: number, pace: Pace): void {
    pace.gap = pace.stride === 1 ? 1 : 1 + Math.floor(this.#random() * (2 * pace.stride - 1))
    this.#left[slot] = pace.gap
  }

  /** What each service may write in a turn. */
  #turnBytes(): number {
    return (this.#halfBytes * TURN_MS) / HALF_MS / Math.max(1, this.#paces.size)
  }

  /** Sets the distances anew, once a turn; called at every sweep. */
  sweep(): void {
    const { nowMs } = this.#time
    if (nowMs - this.#turnMs < TURN_MS) return
    const turns = (nowMs - this.#turnMs) / TURN_MS
    this.#turnMs = nowMs
    for (const [slot, pace] of this.#paces) {
      if (nowMs - pace.lastMs > FORGOTTEN_MS) {
        this.#paces.delete(slot)
        this.#left[slot] = 0
      } else this.#follow(slot, pace, turns)
    }
  }

  /** The stride that the traffic of the turns that have passed asks for. */
  #follow(slot: number, pace: Pace, turns: number): void {
    const passed = pace.gap - this.#left[slot]
    const seen = pace.seen + passed
    const bytesEach = pace.taken === 0 ? 0 : pace.bytes / pace.taken
    if (pace.taken > 0) pace.stride = Math.max(1, Math.ceil((seen * bytesEach) / (this.#turnBytes() * turns)))
    // Nothing came of a whole turn that was rare: what comes now is taken.
    else pace.stride = Math.max(1, Math.ceil(pace.stride / 2))
    pace.carried += passed
    pace.taken = 0
    pace.seen = 0
    pace.bytes = 0
    pace.bytesNext = this.#turnBytes()
    this.#draw(slot, pace)
  }

  /** Memory that nobody has touched yet costs none. */
  #newHalf(): Half {
    return { memory: Buffer.from(new SharedArrayBuffer(this.#halfBytes)), used: 0, isLent: false }
  }

  /** Returns the bytes that were written; 0 when the head has no room at all. */
  #write(slot: number, weight: number, address: string, isTrusted: boolean): number {
    const head = this.#head.text
    const bytes = PREFIX_BYTES + address.length + head.length
    if (bytes > this.#halfBytes) return 0
    this.#current ??= this.#newHalf()
    if (this.#current.used + bytes > this.#halfBytes) {
      const [older, oldest] = [this.#current, this.#previous]
      this.#current = oldest === null || oldest.isLent ? this.#newHalf() : oldest
      this.#current.used = 0
      this.#previous = older
    }
    const half = this.#current
    const { memory } = half
    let at = memory.writeUInt32LE(bytes, half.used)
    at = memory.writeUInt32LE(slot, at)
    at = memory.writeDoubleLE(this.#time.wallMs(), at)
    at = memory.writeUInt32LE(Math.min(weight, 2 ** 32 - 1), at)
    at = memory.writeUInt16LE(address.length, at)
    at = memory.writeUInt8(isTrusted ? 1 : 0, at)
    at += memory.latin1Write(address, at)
    memory.latin1Write(head, at)
    half.used += bytes
    return bytes
  }

  /**
   * Lends what is kept, oldest first, for `samplesIn`: as it is, so that no request waits while it is copied. What is lent is never
   * written over, only added to.
   */
  lend(): Lent[] {
    const halves = [this.#previous, this.#current].filter((half) => half !== null)
    return halves.map((half) => {
      half.isLent = true
      return { memory: half.memory.buffer as SharedArrayBuffer, used: half.used }
    })
  }
}

/** The samples of the service in a slot among those that a worker has lent. */
export function* samplesIn({ memory: buffer, used }: Lent, slot: number): Generator<Sample> {
  const memory = Buffer.from(buffer)
  for (let at = 0, end = 0; at < used; at = end) {
    end = at + memory.readUInt32LE(at)
    if (memory.readUInt32LE(at + 4) !== slot) continue
    const addressAt = at + PREFIX_BYTES
    const headAt = addressAt + memory.readUInt16LE(at + 20)
    yield {
      atMs: memory.readDoubleLE(at + 8),
      weight: memory.readUInt32LE(at + 16),
      isTrusted: memory.readUInt8(at + 22) === 1,
      address: memory.latin1Slice(addressAt, headAt),
      head: memory.latin1Slice(headAt, end),
    }
  }
}
