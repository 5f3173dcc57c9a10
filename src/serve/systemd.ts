/**
 * What systemd, or another service manager that speaks as it does, is told and gives: sd_notify(3) and sd_listen_fds(3).
 *
 * - It is told when this process serves (`READY=1`), that this is the main one (`MAINPID=`, after an upgrade another one than before), what
 *   it does (`STATUS=`), and that it ends (`STOPPING=1`). That goes by datagrams on a Unix socket, for which Node has no door: they
 *   are sent by node:ffi, and where that is missing by the program `systemd-notify`. Nobody waits for either.
 * - It gives sockets that it has opened itself. Each belongs to the listener with its address, or to the admin API; one that belongs to
 *   nobody would leave its clients without an answer, so the start fails then.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import { hostAndPort } from '../config/address.ts'
import { type Libc, libc } from '../dataplane/socket/libc.ts'
import { TurnoutError } from '../errors.ts'
import { canonicalAddress } from '../table/network.ts'
import { type OfferedListener, SOCKET_VARIABLES } from '../upgrade/messages.ts'

/** The first descriptor that is given. */
const FIRST = 3
const GIVEN_MAX = 1_024

export type Environment = Record<string, string | undefined>

export class ServiceManager {
  readonly #socket: string | undefined
  readonly #libc: Libc | null

  constructor(env: Environment, calls: Libc | null = libc) {
    const name = env['NOTIFY_SOCKET']
    this.#socket = name !== undefined && isThere(name) ? name : undefined
    this.#libc = calls
  }

  /** Whether it can be told that another process is the main one. Whoever is the first of a container cannot end, whatever is told. */
  get follows(): boolean {
    return this.#socket !== undefined && process.pid !== 1
  }

  /** This process is the main one, and serves. */
  ready(): void {
    this.#tell(`READY=1\nMAINPID=${process.pid}\nSTATUS=process ${process.pid} serves`)
  }

  /** It ends. */
  stopping(): void {
    this.#tell('STOPPING=1\nSTATUS=finishing what is under way')
  }

  #tell(text: string): void {
    const socket = this.#socket
    if (socket === undefined) return
    const name = Buffer.from(socket)
    // An abstract name is written with this in the place of its zero.
    if (socket.startsWith('@')) name[0] = 0
    if (this.#libc?.sendTo(name, text) === true) return
    const env = { ...process.env, NOTIFY_SOCKET: socket }
    const child = spawn('systemd-notify', text.split('\n'), { stdio: 'ignore', env })
    // Without that program it is as with any other start of a service that does not tell.
    child.on('error', () => {})
    child.unref()
  }
}

/** Whether somebody may hear there: where nobody does, an empty name or what was inherited from another place, no process follows another one. */
const isThere = (name: string): boolean => (name.startsWith('/') ? existsSync(name) : /^@.|^vsock/.test(name))

/**
 * The sockets that this process was given, by address; taken out of `env`, since whatever it starts is not meant. Throws `invalid` when they
 * cannot be used.
 */
export function takeSockets(env: Environment, pid: number = process.pid, calls: Libc | null = libc): OfferedListener[] {
  const { LISTEN_PID, LISTEN_FDS = '0' } = env
  for (const name of SOCKET_VARIABLES) delete env[name]
  const count = Number(LISTEN_FDS)
  if (LISTEN_PID !== String(pid) || count === 0) return []
  if (!Number.isSafeInteger(count) || count < 0 || count > GIVEN_MAX) throw unusable(`LISTEN_FDS is ${LISTEN_FDS}`)
  if (calls === null) throw unusable('they need Node 26.1 or later on Linux, with node:ffi')
  const found = new Map<string, { readonly host: string; readonly port: number; readonly descriptors: number[] }>()
  for (let descriptor = FIRST; descriptor < FIRST + count; descriptor++) {
    const name = calls.listensAt(descriptor)
    const place = name === null ? null : placeOf(name)
    if (place === null)
      throw unusable(`descriptor ${descriptor} is no TCP socket that listens (ListenStream=PORT, Accept=no)`)
    const key = `${place.host} ${place.port}`
    const known = found.get(key)
    if (known === undefined) found.set(key, { ...place, descriptors: [descriptor] })
    else known.descriptors.push(descriptor)
  }
  return [...found.values()].map((place) => ({ ...place, bound: place.port }))
}

const unusable = (why: string): TurnoutError =>
  new TurnoutError('invalid', `The sockets of the service manager cannot be used: ${why}.`)

const IPV4 = 2
const IPV6 = 10

/** The address of a `sockaddr_in` or `sockaddr_in6`; null for another family. */
function placeOf(name: Uint8Array): { readonly host: string; readonly port: number } | null {
  const view = new DataView(name.buffer, name.byteOffset)
  const family = view.getUint16(0, true)
  const port = view.getUint16(2)
  if (family === IPV4) return { host: name.subarray(4, 8).join('.'), port }
  if (family !== IPV6) return null
  const words = Array.from({ length: 8 }, (_, at) => view.getUint16(8 + 2 * at).toString(16))
  return { host: canonicalAddress(words.join(':')), port }
}

const ANY: ReadonlySet<string> = new Set(['', '::', '0.0.0.0'])

/** Given sockets as those of the listeners that accept there: every address is the same however it is written. */
export function named(
  given: readonly OfferedListener[],
  wanted: readonly { readonly host: string; readonly port: number }[],
): OfferedListener[] {
  const isSame = (host: string, other: string) =>
    host === other || (ANY.has(host) && ANY.has(other)) || (isIPv6(other) && canonicalAddress(other) === host)
  return given.map((listener) => {
    const owner = wanted.find(({ host, port }) => port === listener.port && isSame(listener.host, host))
    if (owner === undefined) {
      const address = hostAndPort(listener.host, listener.port)
      throw unusable(`one is for ${address}, and neither a listener nor the admin API has this address`)
    }
    return { ...listener, host: owner.host }
  })
}
