/**
 * The memory that all sockets of a worker share, and what moves bytes past it.
 *
 * One read fills `shared`, and is over before the next one begins; outgoing bytes are put together in `scratch`. A socket that
 * has not sent all of the scratch buffer keeps it, and the next write gets a new one (`keepScratch`).
 */
import { OwnBuffers } from './own-buffers.ts'
import { SMALL_BYTES, Splicer } from './splicer.ts'

/** One read fills at most this much; bodies move in pieces of this size. */
export const READ_BYTES = 65_536
/** Long bodies that pass through memory of their own at a time: 4 MiB. */
const OWN_BUFFERS_MAX = 64
/** Room before the payload in a write buffer, for a head and a chunk header. */
export const SCRATCH_HEAD = 16_384
/** Room behind the payload, for the end of a chunk, the last chunk and trailers. */
const SCRATCH_TAIL = 24_576

export class Buffers {
  /** Shared by all sockets of the worker, or null to read by events. */
  readonly shared: Buffer | null
  /** Shared by all sockets whose body is moved. */
  readonly small = Buffer.allocUnsafeSlow(SMALL_BYTES)
  /** For connections that a long body passes through. */
  readonly own = new OwnBuffers(READ_BYTES, OWN_BUFFERS_MAX)
  /** Moves long bodies, or null to copy them. */
  readonly splicer: Splicer | null
  /** Where outgoing bytes are put together. */
  scratch = newScratch()

  /** `shares` reads into one buffer, `splices` lets the kernel move long bodies; both where the system can. */
  constructor(shares: boolean, splices: boolean) {
    this.shared = shares ? Buffer.allocUnsafeSlow(READ_BYTES) : null
    this.splicer = shares && splices ? Splicer.open() : null
  }

  /** Whether the next read of anybody may overwrite the buffer. */
  isShared(buffer: Buffer): boolean {
    return buffer === this.shared || buffer === this.small || buffer === this.scratch
  }

  /** To be called when a socket has not sent all of the scratch buffer. */
  keepScratch(): void {
    this.scratch = newScratch()
  }
}

function newScratch(): Buffer {
  return Buffer.allocUnsafeSlow(SCRATCH_HEAD + READ_BYTES + SCRATCH_TAIL)
}
