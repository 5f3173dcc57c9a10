/**
 * Why `serve` could not start, for people: what was tried, on which file or address, and what to do. The system's own words come after ours,
 * in brackets, where ours do not say all.
 */
import { isTurnoutError } from '../errors.ts'
import { unwrittenInWords } from '../unread.ts'

/** Thrown for what is wrong with the file; every fault is a line of the message. */
export class BadConfig extends Error {}

/** What the system says of an address that is to be listened on. */
const LISTENING: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is taken: another process listens there; end that one (ss -ltnp names it), or take another address',
  EADDRNOTAVAIL: 'cannot be listened on: this machine has no such address',
  EAFNOSUPPORT: 'cannot be listened on: this machine has no addresses of that kind (IPv6, or IPv4)',
  EACCES: 'cannot be listened on: permission denied; a port below 1024 needs CAP_NET_BIND_SERVICE, or take another',
  EPERM: 'cannot be listened on: permission denied',
}
/** What it says of a name in the place of an address. */
const UNKNOWN_NAME: ReadonlySet<string> = new Set(['ENOTFOUND', 'EAI_AGAIN', 'EAI_NODATA', 'EAI_NONAME', 'EAI_FAIL'])

/** What it has no more of, and who sets how much. */
const SHORT: Readonly<Record<string, string>> = {
  EMFILE: 'the start needs more open files than it may have; raise ulimit -n or LimitNOFILE',
  ENFILE: 'the start needs more open files than the system has; raise fs.file-max',
  ENOMEM: 'the start needs more memory than it may have',
  ENOBUFS: 'the start needs more memory for sockets than the system has',
  EAGAIN: 'the start needs more threads or memory than it may have; raise ulimit -u or TasksMax',
}

/** Why `serve` could not start. */
export function startFailure(error: unknown): string {
  if (error instanceof BadConfig) return error.message
  if (isTurnoutError(error))
    return [error.message, ...error.faults.map((fault) => `${fault.pointer}: ${fault.message}`)].join('\n')
  return ofSystem(error) ?? (error instanceof Error ? (error.stack ?? error.message) : String(error))
}

/** What the system has refused, which is no bug; null for anything else. */
function ofSystem(error: unknown): string | null {
  const { code = '', message = '', path } = error as { code?: string; message?: string; path?: string }
  if (/^(?:Array buffer allocation failed|Invalid array buffer length)/.test(message))
    return `${SHORT['ENOMEM']} (${message})`
  if (!/^E[A-Z_]+$/.test(code)) return null
  // A worker passes only the code and the message on; the address stands at its end.
  const last = message.replace(/^.* /, '')
  if (UNKNOWN_NAME.has(code))
    return `${last} cannot be listened on: no address of this machine has that name (${message})`
  if (/\blisten\b/.test(message) && Object.hasOwn(LISTENING, code)) return `${last} ${LISTENING[code]}`
  if (Object.hasOwn(SHORT, code)) return `${SHORT[code]} (${message})`
  if (path !== undefined) return `${path} cannot be used: ${unwrittenInWords(error)}`
  return `the system refused what the start needs (${message})`
}
