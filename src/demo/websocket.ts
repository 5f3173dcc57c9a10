/**
 * A WebSocket echo after RFC 6455, for the demo only: text, binary, fragmented messages, ping, pong and close.
 *
 * Written by hand because the product itself only tunnels upgrades and `ws` is a test's dependency. It is as strict as the
 * RFC asks of an endpoint: unmasked frames, reserved bits and bad fragments end the connection with 1002 (5.1, 5.4), text
 * that is no UTF-8 with 1007 (8.1), messages above 16 MiB with 1009. Frames of a message are echoed as one frame. When the
 * client does not read, nothing more is read from it, so memory stays bounded by one message.
 */
import { isUtf8 } from 'node:buffer'
import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024
const ACCEPT_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

interface Frame {
  readonly final: boolean
  readonly opcode: number
  readonly payload: Buffer
  /** Bytes that the frame took in the input. */
  readonly length: number
}

/** Why a connection must end: a status code of RFC 6455 7.4. */
class ProtocolError extends Error {
  readonly code: number
  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

/** Answers an upgrade request and echoes every message until either side closes; a request that is none gets a 400. */
export function acceptEcho(request: IncomingMessage, socket: Duplex, head: Buffer): void {
  socket.on('error', () => socket.destroy())
  const key = request.headers['sec-websocket-key']
  const version = request.headers['sec-websocket-version']
  if (request.headers.upgrade?.toLowerCase() !== 'websocket' || key === undefined || version !== '13') {
    socket.end(
      'HTTP/1.1 400 Bad Request\r\nSec-WebSocket-Version: 13\r\nContent-Length: 0\r\nConnection: close\r\n\r\n',
    )
    return
  }
  const accept = createHash('sha1')
    .update(key + ACCEPT_GUID)
    .digest('base64')
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  )
  echo(socket, head)
}

function echo(socket: Duplex, head: Buffer): void {
  const assembler = createAssembler()
  let input: Buffer = Buffer.alloc(0)
  let ended = false

  function take(chunk: Buffer): void {
    if (ended) return
    input = input.length === 0 ? chunk : Buffer.concat([input, chunk])
    try {
      let offset = 0
      for (let frame = readFrame(input, 0); frame !== null && !ended; frame = readFrame(input, offset)) {
        offset += frame.length
        answer(frame)
      }
      input = input.subarray(offset)
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      close(error.code)
    }
  }

  function answer(frame: Frame): void {
    if (frame.opcode === OPCODE.close) close(closeCode(frame.payload))
    else if (frame.opcode === OPCODE.ping) send(OPCODE.pong, frame.payload)
    else if (frame.opcode !== OPCODE.pong) {
      const message = assembler.add(frame)
      if (message !== null) send(message.opcode, message.payload)
    }
  }

  function send(opcode: number, payload: Buffer): void {
    socket.write(frameHead(opcode, payload.length))
    if (socket.write(payload) || socket.isPaused()) return
    socket.pause()
    socket.once('drain', () => socket.resume())
  }

  function close(code: number): void {
    ended = true
    const payload = Buffer.alloc(2)
    payload.writeUInt16BE(code)
    socket.end(Buffer.concat([frameHead(OPCODE.close, 2), payload]))
  }

  socket.on('data', take)
  socket.on('end', () => socket.end())
  if (head.length > 0) take(head)
}

/** The code to answer a close frame with: the client's own, if it may stand in a frame (RFC 6455 7.4). */
function closeCode(payload: Buffer): number {
  if (payload.length === 0) return 1000
  if (payload.length === 1 || !isUtf8(payload.subarray(2))) return 1002
  const code = payload.readUInt16BE(0)
  const assigned = (code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006) || code >= 3000
  return assigned && code < 5000 ? code : 1002
}

/** Puts the frames of a message together; null while it goes on. */
function createAssembler(): { add(frame: Frame): { opcode: number; payload: Buffer } | null } {
  let opcode: number = OPCODE.continuation
  let parts: Buffer[] = []
  let bytes = 0
  return {
    add(frame) {
      const begins = frame.opcode !== OPCODE.continuation
      const within = opcode !== OPCODE.continuation
      if (begins === within) throw new ProtocolError(1002, 'fragments out of order')
      if (begins) opcode = frame.opcode
      bytes += frame.payload.length
      if (bytes > MESSAGE_BYTES_MAX) throw new ProtocolError(1009, 'message too large')
      parts.push(frame.payload)
      if (!frame.final) return null
      const message = { opcode, payload: parts.length === 1 ? parts[0] : Buffer.concat(parts) }
      opcode = OPCODE.continuation
      parts = []
      bytes = 0
      if (message.opcode === OPCODE.text && !isUtf8(message.payload)) throw new ProtocolError(1007, 'not UTF-8')
      return message
    },
  }
}

/** The frame that begins at the offset, unmasked; null until all of it is there. */
function readFrame(input: Buffer, offset: number): Frame | null {
  if (input.length < offset + 2) return null
  const first = input[offset]
  const second = input[offset + 1]
  const opcode = first & 0x0f
  const final = (first & 0x80) !== 0
  if ((first & 0x70) !== 0) throw new ProtocolError(1002, 'reserved bits')
  if ((second & 0x80) === 0) throw new ProtocolError(1002, 'not masked')
  if ((opcode > 2 && opcode < 8) || opcode > 10) throw new ProtocolError(1002, 'unknown opcode')
  let size = second & 0x7f
  if (opcode >= OPCODE.close && (!final || size > 125)) throw new ProtocolError(1002, 'bad control frame')
  let at = offset + 2
  if (size === 126) {
    if (input.length < at + 2) return null
    size = input.readUInt16BE(at)
    at += 2
  } else if (size === 127) {
    if (input.length < at + 8) return null
    size = Number(input.readBigUInt64BE(at))
    at += 8
  }
  if (size > MESSAGE_BYTES_MAX) throw new ProtocolError(1009, 'frame too large')
  if (input.length < at + 4 + size) return null
  const payload = Buffer.allocUnsafe(size)
  for (let index = 0; index < size; index++) payload[index] = input[at + 4 + index] ^ input[at + (index & 3)]
  return { final, opcode, payload, length: at + 4 + size - offset }
}

function frameHead(opcode: number, size: number): Buffer {
  const extra = size < 126 ? 0 : size < 65_536 ? 2 : 8
  const head = Buffer.alloc(2 + extra)
  head[0] = 0x80 | opcode
  head[1] = extra === 0 ? size : extra === 2 ? 126 : 127
  if (extra === 2) head.writeUInt16BE(size, 2)
  if (extra === 8) head.writeBigUInt64BE(BigInt(size), 2)
  return head
}
