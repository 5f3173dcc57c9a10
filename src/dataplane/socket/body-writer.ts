/**
 * One piece of a body, sent: framed anew and written with one system call, together with a head that waits for it.
 *
 * The scratch buffer has room before the payload for a head and a chunk header, and behind it for the end of the chunk and
 * the trailers, so all of it is contiguous; payload that was decoded into it is not copied again. Long bodies that need no
 * framing come in memory of their own (own-buffers.ts) and are sent from where they are. Chunks are not kept as they came: one
 * piece becomes one chunk (RFC 9112 7.1).
 */
import type { Socket } from 'node:net'
import { type BodyReader, CHUNK_HEADER_MAX, writeChunkHeader } from '../http1/body.ts'
import { lastChunk } from '../http1/framing.ts'
import { CR, LF } from '../http1/syntax.ts'
import { type Buffers, SCRATCH_HEAD } from './buffers.ts'
import { descriptorOf, pauseForTurn } from './handle.ts'
import type { Outgoing } from './outgoing.ts'
import { SMALL_BYTES } from './splicer.ts'

/**
 * Sends `buffer[at, end)` by `out`, behind the text `prefix`: as a chunk when `chunked`, and then with `trailers` (lines) as
 * its end when they are not null. A piece is at most `READ_BYTES` long; one in the scratch buffer stands at `SCRATCH_HEAD`.
 */
export function writeBody(
  buffers: Buffers,
  out: Outgoing,
  prefix: string,
  buffer: Buffer,
  at: number,
  end: number,
  chunked: boolean,
  trailers: string | null,
): void {
  if (prefix === '' && !chunked && !buffers.isShared(buffer)) {
    // Nobody else reads into it.
    if (end > at && out.bytes(buffer.subarray(at, end))) buffers.own.keep(buffer)
    return
  }
  const { scratch } = buffers
  if (buffer !== scratch && end > at) buffer.copy(scratch, SCRATCH_HEAD, at, end)
  let from = SCRATCH_HEAD
  let until = SCRATCH_HEAD + end - at
  if (chunked) {
    if (end > at) {
      from = writeChunkHeader(scratch, SCRATCH_HEAD, end - at)
      scratch[until++] = CR
      scratch[until++] = LF
    }
    if (trailers !== null) until += scratch.latin1Write(lastChunk(trailers), until)
  }
  if (prefix.length > SCRATCH_HEAD - CHUNK_HEADER_MAX) out.text(prefix)
  else if (prefix !== '') {
    from -= prefix.length
    scratch.latin1Write(prefix, from)
  }
  if (until > from && out.bytes(scratch.subarray(from, until))) buffers.keepScratch()
}

/**
 * Lets the kernel move what more has come of a counted body from `socket` to `out`, and notes it; returns how many bytes. To be
 * called when a read was full and all of it was body.
 */
export function moveBody(buffers: Buffers, reader: BodyReader, socket: Socket, out: Outgoing): number {
  const { splicer } = buffers
  if (splicer === null || reader.framing !== 'length' || reader.remaining < SMALL_BYTES) return 0
  const moved = splicer.move(descriptorOf(socket), out, reader.remaining)
  if (moved === 0) return 0
  reader.note(moved)
  if (splicer.hasHadTurn()) pauseForTurn(socket)
  return moved
}
