/** What the system is asked for connections to targets. */
import net from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { libc } from '../../../src/dataplane/socket/libc.ts'
import { openSocket } from '../../../src/dataplane/socket/socket.ts'

const [TCP_LEVEL, NODELAY] = [6, 1]

/** Whether a socket sends what it has without waiting for an acknowledgement. */
function isUndelayed(descriptor: number): boolean {
  const ffi = process.getBuiltinModule('node:ffi' as 'node:fs') as unknown as {
    DynamicLibrary: new (path: null) => { getFunction(name: string, types: object): (...values: unknown[]) => number }
    getRawPointer(memory: Uint8Array): bigint
  }
  const types = { return: 'i32', arguments: ['i32', 'i32', 'i32', 'pointer', 'pointer'] }
  const getsockopt = new ffi.DynamicLibrary(null).getFunction('getsockopt', types)
  const [value, length] = [new Uint8Array(4), Uint8Array.of(4, 0, 0, 0)]
  expect(getsockopt(descriptor, TCP_LEVEL, NODELAY, ffi.getRawPointer(value), ffi.getRawPointer(length))).toBe(0)
  return value[0] !== 0
}

// A head goes first and its body after it: with Nagle's algorithm the body waits until the target has acknowledged the head.
test.skipIf(libc === null).each([false, true])('no bytes to a target wait for others, with TLS: %s', async (tls) => {
  const server = net.createServer((socket) => socket.on('error', () => {}))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as net.AddressInfo
  const place = { host: '127.0.0.1', address: '127.0.0.1', alternate: null, port, tls }
  const socket = openSocket(place, null, () => {})
  onTestFinished(() => {
    socket.on('error', () => {}).destroy()
    server.close()
  })
  await new Promise((resolve) => socket.once('connect', resolve))
  expect(isUndelayed((socket as unknown as { readonly _handle: { readonly fd: number } })._handle.fd)).toBe(true)
})
