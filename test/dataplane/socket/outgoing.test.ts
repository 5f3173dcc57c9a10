/** The sending side of a socket, and the memory that reads and waiting writes share. */
import net from 'node:net'
import { afterEach, expect, test } from 'vitest'
import type { Buffers } from '../../../src/dataplane/socket/buffers.ts'
import { handleOf } from '../../../src/dataplane/socket/handle.ts'
import { Outgoing } from '../../../src/dataplane/socket/outgoing.ts'
import { OwnBuffers } from '../../../src/dataplane/socket/own-buffers.ts'
import { ReadMemory } from '../../../src/dataplane/socket/read-memory.ts'
import { until } from '../../helpers/raw.ts'

const open: { destroy(): void }[] = []
afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy()
})

/** A connection whose other end does not read until told; `sent` tells how often `onDrained` and `onFailed` were called. */
async function startPair(direct: boolean) {
  const told = { drained: 0, failed: 0 }
  const server = net.createServer({ pauseOnConnect: true })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const accepted = new Promise<net.Socket>((resolve) => server.once('connection', resolve))
  const socket = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1')
  const other = await accepted
  if (socket.connecting) await new Promise<void>((resolve) => socket.once('connect', resolve))
  socket.on('error', () => {})
  other.on('error', () => {})
  open.push(socket, other, { destroy: () => server.close() })
  const drained = () => void told.drained++
  const failed = () => void told.failed++
  return { out: new Outgoing(socket, direct, drained, failed), socket, other, told }
}

/** Writes pieces until some of them wait; gives how many bytes that took. */
function clog(out: Outgoing, piece: Buffer): number {
  let size = 0
  while (out.unsentBytes === 0) {
    out.bytes(piece)
    size += piece.length
  }
  return size
}

async function readAll(other: net.Socket, size: number): Promise<Buffer> {
  const pieces: Buffer[] = []
  let length = 0
  other.on('data', (bytes) => {
    pieces.push(bytes as Buffer)
    length += bytes.length
  })
  other.resume()
  await until('all has come', () => length >= size)
  return Buffer.concat(pieces)
}

test.each([true, false])(
  'bytes and texts arrive in order, waited for or not, before the end (direct: %s)',
  async (direct) => {
    const { out, socket, other, told } = await startPair(direct)
    out.text('first ')
    const size = clog(out, Buffer.alloc(65_536, 'x'))
    out.text(' text \xe9 ')
    out.bytes(Buffer.from('bytes '))
    out.text('y'.repeat(40_000))
    socket.end()
    const received = await readAll(other, 6 + size + 8 + 6 + 40_000)
    expect(received.subarray(0, 6).toString()).toBe('first ')
    expect(received.subarray(6, 6 + size).equals(Buffer.alloc(size, 'x'))).toBe(true)
    expect(received.subarray(6 + size).toString('latin1')).toBe(' text \xe9 bytes ' + 'y'.repeat(40_000))
    expect(out.unsentBytes).toBe(0)
    expect(told.failed).toBe(0)
  },
)

test.each([true, false])('it is full above 64 KiB, and says when it is empty again (direct: %s)', async (direct) => {
  const { out, other, told } = await startPair(direct)
  const piece = Buffer.alloc(32_768)
  let size = clog(out, piece)
  expect(told.drained).toBe(0)
  while (!out.isFull && size < 100_000_000) {
    out.bytes(piece)
    size += piece.length
  }
  expect(out.isFull).toBe(true)
  expect(out.unsentBytes).toBeLessThanOrEqual(65_536 + 2 * piece.length)
  await readAll(other, size)
  await until('it is drained', () => told.drained > 0)
  expect(out.isFull).toBe(false)
  expect(out.unsentBytes).toBe(0)
})

test('it is full after a few waiting writes, however small: each may hold a whole read buffer', async () => {
  const { out } = await startPair(true)
  clog(out, Buffer.alloc(65_536))
  let writes = 0
  while (!out.isFull && writes < 1_000) {
    out.bytes(Buffer.alloc(1))
    writes++
  }
  expect(writes).toBeLessThan(16)
})

test('a failure is told once and not from within the write, and nothing is sent after it', async () => {
  const { out, socket, told } = await startPair(true)
  await new Promise<void>((resolve) => socket.end(() => resolve()))
  const { bytesWritten } = socket
  out.text('too late')
  expect(told.failed).toBe(0)
  out.text('more')
  expect(out.bytes(Buffer.from('more'))).toBe(false)
  await new Promise(setImmediate)
  expect(told.failed).toBe(1)
  expect(socket.bytesWritten).toBe(bytesWritten)
  expect(out.unsentBytes).toBe(0)
})

const SHARED = Buffer.alloc(8)
const SMALL = Buffer.alloc(4)
const newMemory = (ownBuffers: OwnBuffers, splicer: object | null = null) =>
  new ReadMemory({ own: ownBuffers, shared: SHARED, small: SMALL, splicer } as unknown as Buffers, true)
const toDescriptor = (descriptor: number) => ({ descriptor }) as Outgoing

test('memory that a waiting write holds is not read into again, whatever other writes hold since', () => {
  const ownBuffers = new OwnBuffers(8, 4)
  const memory = newMemory(ownBuffers)
  memory.expectLong(toDescriptor(7))
  const held = memory.next()!
  expect(held).not.toBe(SHARED)
  expect(memory.next()).toBeUndefined()
  ownBuffers.keep(held)
  ownBuffers.keep(Buffer.alloc(8))
  const other = memory.next()!
  expect(other).not.toBe(held)
  memory.expectAny()
  expect(memory.next()).toBe(SHARED)
  const given = Array.from({ length: 4 }, () => ownBuffers.take())
  expect(given).toContain(other)
  expect(given).not.toContain(held)
})

test('memory of its own comes back to the others when it is not wanted any more, or the connection is gone', () => {
  const ownBuffers = new OwnBuffers(8, 1)
  const [first, second] = [newMemory(ownBuffers), newMemory(ownBuffers)]
  first.expectLong(toDescriptor(7))
  second.expectLong(toDescriptor(7))
  const own = first.next()
  expect(own).toBeDefined()
  expect(second.next()).toBeUndefined()
  first.expectAny()
  expect(first.next()).toBe(SHARED)
  expect(first.next()).toBeUndefined()
  expect(second.next()).toBe(own)
  second.release()
  expect(ownBuffers.take()).toBe(own)
  expect(ownBuffers.take()).toBeNull()
})

test('where the kernel can move a body, only a little of it is read, by all into the same memory', () => {
  const ownBuffers = new OwnBuffers(8, 1)
  const [first, second, third] = [0, 1, 2].map(() => newMemory(ownBuffers, {}))
  first.expectLong(toDescriptor(7))
  second.expectLong(toDescriptor(7))
  expect(first.next()).toBe(SMALL)
  expect(first.next()).toBeUndefined()
  expect(second.next()).toBe(SMALL)
  // To a receiver without a descriptor nothing can be moved.
  third.expectLong(toDescriptor(-1))
  const own = third.next()
  expect(own).toHaveLength(8)
  third.expectLong(toDescriptor(7))
  expect(third.next()).toBe(SMALL)
  expect(ownBuffers.take()).toBe(own)
  first.expectAny()
  expect(first.next()).toBe(SHARED)
  expect(first.next()).toBeUndefined()
})

test('texts of a turn behind a busy one leave together when it ends, or with what comes behind them', async () => {
  const { out, socket, other } = await startPair(true)
  const written = () => handleOf(socket)!.bytesWritten
  out.text('at once')
  expect(written()).toBe(7)
  for (let i = 0; i < 8; i++) out.text('busy')
  expect(written()).toBe(39)
  await new Promise(setImmediate)
  const before = written()
  out.text('one ')
  out.text('two ')
  expect(out.unsentBytes).toBe(8)
  expect(written()).toBe(before)
  await new Promise(setImmediate)
  expect(written()).toBe(before + 8)
  expect(out.unsentBytes).toBe(0)
  for (let i = 0; i < 8; i++) out.text('busy')
  await new Promise(setImmediate)
  out.text('three ')
  out.bytes(Buffer.from('four '))
  expect(written()).toBe(before + 51)
  out.text('x'.repeat(16_000))
  out.text('y'.repeat(16_000))
  // Not more than 16 KiB are held.
  expect(written()).toBe(before + 16_051)
  out.text(' last')
  out.end()
  const all = await readAll(other, 7 + 32 + 8 + 32 + 11 + 32_000 + 5)
  const busy = 'busy'.repeat(8)
  expect(all.toString()).toBe(`at once${busy}one two ${busy}three four ${'x'.repeat(16_000)}${'y'.repeat(16_000)} last`)
})

test('what is held of a connection that is gone is forgotten', async () => {
  const { out, socket, told } = await startPair(true)
  for (let i = 0; i < 8; i++) out.text('busy')
  await new Promise(setImmediate)
  expect(out.isHeld).toBe(false)
  out.text('never')
  expect([out.unsentBytes, out.isHeld]).toEqual([5, true])
  socket.destroy()
  expect(out.isHeld).toBe(true)
  await new Promise(setImmediate)
  expect([out.unsentBytes, out.isHeld]).toEqual([0, false])
  expect(told.failed).toBe(0)
})
