/**
 * What the two processes of an upgrade say to each other: the offer, in the environment of the new one, and messages over the channel that
 * it was started with. Pure.
 *
 * Old and new may be of different versions, so both shapes carry the number of the protocol, and whoever reads another number, or anything that
 * is none of these, says so and goes no further: an upgrade that cannot be understood changes nothing. A Turnout without upgrades ignores the offer,
 * finds its addresses taken, and ends.
 *
 *   old ── offer ──► new: built, probed, asks ──► old: yours ──► new: ready ──► old: drained      (or before that: failed)
 *
 * Between ready and drained the old one tells whose tunnels it closes, and the new one what it routes by that the store may not have. An older
 * version reads over both, since neither can do harm by being missed.
 */
import type { Change } from '../change.ts'
import { isRecord } from '../config/record.ts'
import type { HandedDepartures } from '../control/old-departures.ts'

/** Number of the protocol; grows when an older process would misread a newer one. */
export const PROTOCOL = 1

/** Variable of the environment with the offer. */
export const OFFER_VARIABLE = 'TURNOUT_UPGRADE'
/** Variables by which a service manager gives sockets: to the very process that it has started, and to none that this one starts. */
export const SOCKET_VARIABLES = ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PIDFDID'] as const

/** Sockets that listen on one address. */
export interface OfferedListener {
  /** As it was configured; empty for every address. */
  readonly host: string
  readonly port: number
  /** The port that it has; another one where port 0 was configured. */
  readonly bound: number
  /** Descriptors: in an offer those of the new process. */
  readonly descriptors: readonly number[]
}

export interface Identity {
  readonly pid: number
  /** Version of Turnout. */
  readonly version: string
}

/** A process that has been replaced, and finishes what it has under way (earlier.ts). */
export interface EarlierProcess extends Identity {
  /** Of a pipe that the system closes when that process is over; in an offer that of the new process. */
  readonly descriptor: number
}

/** What a new process is given. */
export interface Offer {
  readonly protocol: typeof PROTOCOL
  readonly from: Identity
  /** The store, with its whole path: the new one must use the same. */
  readonly store: string
  readonly listeners: readonly OfferedListener[]
  readonly admin: OfferedListener
  /** Only the service manager's sockets listen there: they are shared, and stay open (workers/given-sockets.ts). */
  readonly isShared: boolean
  /** Descriptor of the pipe to the process that others take for ours (lifeline.ts); null for none. */
  readonly lifeline: number | null
  /** All that are not over, oldest first, `from` the last of them. An older version does not tell. */
  readonly earlier?: readonly EarlierProcess[]
}

/** What the new process is, once it serves. */
export interface Ready extends Identity {
  readonly listeners: readonly string[]
  readonly admin: string
  readonly revision: number
  /** Of each offered listener whether it has taken it. */
  readonly taken: readonly boolean[]
}

export type FromSuccessor =
  | { readonly type: 'built' | 'probed' | 'asks' }
  | ({ readonly type: 'ready' } & Ready)
  /** It ends; why, for people. */
  | { readonly type: 'failed'; readonly message: string }
  /** It routes by this change, made at this revision of the store, which may not have it. */
  | { readonly type: 'routed'; readonly change: Change; readonly revision: number }

/** Requests of the old process whose hold is longer than that may last: unless they are released they are refused then. */
export interface HeldOver {
  readonly requests: number
  readonly refusedInMs: number
}

/** What came of an upgrade. */
export interface Upgraded extends Omit<Ready, 'taken'> {
  readonly from: Identity
  readonly tookMs: number
  readonly held: HeldOver | null
}

/** What the old process has to tell at its end, for people and as data. */
export interface Told {
  readonly message: string
  readonly data: Readonly<Record<string, unknown>>
}

/**
 * It may write; whose tunnels are closed; and, at last, nothing of the old process is under way any more. One of an earlier version has nothing
 * to tell then.
 */
export type ToSuccessor =
  | { readonly type: 'yours' }
  | { readonly type: 'letGo'; readonly handed: HandedDepartures }
  | { readonly type: 'drained'; readonly told?: Told }

const WORDS: ReadonlySet<unknown> = new Set(['built', 'probed', 'asks'])

const isWhole = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
const isListOf = <T>(value: unknown, is: (item: unknown) => item is T): value is T[] =>
  Array.isArray(value) && value.every(is)
const isText = (value: unknown): value is string => typeof value === 'string'
const isFlag = (value: unknown): value is boolean => typeof value === 'boolean'

/** A message as it is sent. */
export const sealed = <M extends object>(message: M): M & { readonly protocol: typeof PROTOCOL } => ({
  protocol: PROTOCOL,
  ...message,
})

/** What the new process has said; null when it is nothing that this one knows. */
export function readFromSuccessor(sent: unknown): FromSuccessor | null {
  if (!isRecord(sent) || sent['protocol'] !== PROTOCOL) return null
  const { protocol: _, ...message } = sent
  const { type } = message
  if (WORDS.has(type)) return { type } as FromSuccessor
  if (type === 'failed' && isText(message['message'])) return message as FromSuccessor
  if (type === 'ready' && isReady(message)) return message as FromSuccessor
  const { change, revision } = message
  if (type === 'routed' && isRecord(change) && isText(change['kind']) && isWhole(revision))
    return message as FromSuccessor
  return null
}

function isReady(message: Readonly<Record<string, unknown>>): boolean {
  const { pid, version, listeners, admin, revision, taken } = message
  return (
    isWhole(pid) &&
    isText(version) &&
    isListOf(listeners, isText) &&
    isText(admin) &&
    isWhole(revision) &&
    isListOf(taken, isFlag)
  )
}

/** Whether the old process has said this. */
export const isSaid = (sent: unknown, type: ToSuccessor['type']): boolean =>
  isRecord(sent) && sent['protocol'] === PROTOCOL && sent['type'] === type

/** What the old process tells at its end; null when it tells nothing. */
export function toldIn(sent: unknown): Told | null {
  const told = isRecord(sent) ? sent['told'] : null
  if (!isRecord(told)) return null
  const { message, data } = told
  return isText(message) && isRecord(data) ? { message, data } : null
}

/** What the old process has said of those that it lets go; null when it has said something else. */
export function readHanded(sent: unknown): HandedDepartures | null {
  if (!isSaid(sent, 'letGo')) return null
  const { handed } = sent as { handed?: unknown }
  if (!isRecord(handed)) return null
  const { pools, gone } = handed
  if (!Array.isArray(pools) || !Array.isArray(gone) || !pools.every(isPool)) return null
  return gone.every((one) => isGone(one, pools.length)) ? (handed as unknown as HandedDepartures) : null
}

const COUNTED = ['closed', 'cut', 'moved', 'left', 'went', 'state'] as const

const isPool = (value: unknown): boolean => {
  if (!isRecord(value) || !isText(value['service']) || !isText(value['pool'])) return false
  const { counts, pid = 0 } = value
  if (!isWhole(pid)) return false
  return isRecord(counts) && COUNTED.every((field) => isWhole(counts[field]))
}

function isGone(value: unknown, pools: number): boolean {
  if (!Array.isArray(value) || value.length !== 4) return false
  const [key, count, agoS, pool] = value
  return Number.isSafeInteger(key) && isWhole(count) && isWhole(agoS) && isWhole(pool) && pool < pools
}

/** The offer of a text, or why it cannot be followed, as a whole sentence. */
export function readOffer(text: string): Offer | string {
  let offer: unknown
  try {
    offer = JSON.parse(text)
  } catch {
    offer = null
  }
  if (!isRecord(offer)) return `${OFFER_VARIABLE} is not the offer of another Turnout.`
  if (offer['protocol'] !== PROTOCOL) {
    return `This Turnout takes over by protocol ${PROTOCOL}, and was offered ${JSON.stringify(offer['protocol'])}: restart instead.`
  }
  return isOffer(offer) ? (offer as unknown as Offer) : `${OFFER_VARIABLE} is not an offer of protocol ${PROTOCOL}.`
}

function isOffer(offer: Readonly<Record<string, unknown>>): boolean {
  const { from, store, listeners, admin, isShared, lifeline, earlier = [] } = offer
  return (
    isIdentity(from) &&
    isText(store) &&
    isListOf(listeners, isOffered) &&
    isOffered(admin) &&
    isFlag(isShared) &&
    (lifeline === null || isWhole(lifeline)) &&
    isListOf(earlier, isEarlier)
  )
}

const isIdentity = (value: unknown): value is Identity =>
  isRecord(value) && isWhole(value['pid']) && isText(value['version'])

const isEarlier = (value: unknown): value is EarlierProcess =>
  isIdentity(value) && isWhole((value as Partial<EarlierProcess>).descriptor)

function isOffered(value: unknown): value is OfferedListener {
  if (!isRecord(value)) return false
  const { host, port, bound, descriptors } = value
  return isText(host) && isWhole(port) && isWhole(bound) && isListOf(descriptors, isWhole)
}
