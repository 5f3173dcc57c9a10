/**
 * Node's TLS, loaded when the first connection needs it: to load it takes a good twentieth of the start of a worker, and most workers have no
 * TLS at all.
 */
import type { Socket } from 'node:net'

type Tls = typeof import('node:tls')

/** All of `node:tls`. */
export const loadTls = (): Tls => process.getBuiltinModule('node:tls')

/** Whether TLS is between us and the other side. */
export const isSecure = (socket: Socket): boolean => (socket as { readonly encrypted?: true }).encrypted === true
