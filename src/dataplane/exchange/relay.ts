/**
 * One read of a body, passed on: decoded from the read buffer, framed anew, written with one system call.
 *
 * The write buffer has room before the payload for a head and a chunk header, and behind it for the end of the chunk and the
 * trailers, so all of it is contiguous. Long bodies that need no framing come in memory of their own (read-memory.ts) and are not
 * copied. Chunks are not kept as they came: one read becomes one chunk (RFC 9112 7.1).
 */
import type { Socket } from 'node:net'
import { WORKER_FIELD } from '../../metrics/layout.ts'
import { type BodyReader, CHUNK_HEADER_MAX, writeChunkHeader } from '../http1/body.ts'
import { CR, LF } from '../http1/syntax.ts'
import { type Plane, SCRATCH_HEAD } from '../plane.ts'
import { descriptorOf, pauseForTurn } from '../socket/handle.ts'
import type { Outgoing } from '../socket/outgoing.ts'
import { SIGN_BYTES } from '../socket/splicer.ts'

/**
 * Takes body bytes of `buffer[at, end)` and sends them by `out`, behind `prefix`. Returns the payload bytes, or -1 when
 * the body is malformed; then nothing was sent. `reader.consumed` and `reader.done` say how far it came.
 */
export function relayBody(
  plane: Plane,
  reader: BodyReader,
  chunked: boolean,
  prefix: string,
  buffer: Buffer,
  at: number,
  end: number,
  out: Outgoing,
): number {
  if (
    buffer !== plane.readBuffer &&
    buffer !== plane.signBuffer &&
    prefix === '' &&
    !chunked &&
    reader.framing !== 'chunked'
  ) {
    return passOn(plane, reader, buffer, at, end, out)
  }
  const scratch = plane.scratch
  let until = reader.decode(buffer, at, end, scratch, SCRATCH_HEAD)
  if (reader.malformed) return -1
  const size = until - SCRATCH_HEAD
  let from = SCRATCH_HEAD
  if (chunked) {
    if (size > 0) {
      from = writeChunkHeader(scratch, SCRATCH_HEAD, size)
      scratch[until++] = CR
      scratch[until++] = LF
    }
    if (reader.done) until += scratch.latin1Write(lastChunk(reader), until)
  }
  if (prefix.length > SCRATCH_HEAD - CHUNK_HEADER_MAX) out.text(prefix)
  else if (prefix !== '') {
    from -= prefix.length
    scratch.latin1Write(prefix, from)
  }
  if (until > from && out.bytes(scratch.subarray(from, until))) plane.keepScratch()
  return size
}

/** Sends what nobody else reads into, and needs no framing, from where it is. */
function passOn(plane: Plane, reader: BodyReader, buffer: Buffer, at: number, end: number, out: Outgoing): number {
  const size = reader.pass(at, end)
  if (size > 0 && out.bytes(buffer.subarray(at, at + size))) plane.ownBuffers.keep(buffer)
  return size
}

/**
 * Lets the kernel move what more has come of a counted body from `socket` to `out`, and notes it. To be called when a read
 * was full and all of it was body.
 */
export function moveBody(plane: Plane, reader: BodyReader, socket: Socket, out: Outgoing): void {
  const { splicer } = plane
  if (splicer === null || reader.framing !== 'length' || reader.remaining < SIGN_BYTES) return
  const moved = splicer.move(descriptorOf(socket), out, reader.remaining)
  if (moved === 0) return
  reader.note(moved)
  plane.countLane(WORKER_FIELD.splicedBytes, moved)
  if (splicer.hasHadTurn()) pauseForTurn(socket)
}

/** The end of a chunked body, with the trailers that came. */
export function lastChunk(reader: BodyReader): string {
  return '0\r\n' + reader.trailers + '\r\n'
}
