/**
 * The *kind* of a field: what business the proxy has with it, found by its name in the octets that came.
 *
 * Every field of every head goes through here, and most are none of our business, so names are told apart by their length and
 * first letter, and only the few candidates that are left are compared. Nothing is allocated.
 */

/** Kinds of fields that the proxy reads, rewrites or drops. */
export const KIND = Object.freeze({
  plain: 0,
  host: 1,
  connection: 2,
  contentLength: 3,
  transferEncoding: 4,
  upgrade: 5,
  expect: 6,
  te: 7,
  keepAlive: 8,
  proxyConnection: 9,
  http2Settings: 10,
  via: 11,
  forwarded: 12,
  forwardedFor: 13,
  forwardedProto: 14,
  forwardedHost: 15,
  requestId: 16,
  traceparent: 17,
  cookie: 18,
  turnout: 19,
  date: 20,
  trailer: 21,
  maxForwards: 23,
  /** Other fields by which proxies tell of the client and of what it asked for: from anybody else they are inventions. */
  claim: 24,
  /** What says who somebody is. */
  credentials: 25,
  /** What asks for credentials. */
  challenge: 26,
  tracestate: 27,
  /** The name of one of the others with `_` for `-`: many targets cannot tell the two apart, so it is never passed on. */
  lookalike: 22,
})

/** A bit for each of these kinds, for `Fields.hasAny`. */
export const kindBits = (...kinds: readonly number[]): number => kinds.reduce((bits, kind) => bits | (1 << kind), 0)

const KNOWN: readonly (readonly [string, number])[] = [
  ['host', KIND.host],
  ['connection', KIND.connection],
  ['content-length', KIND.contentLength],
  ['transfer-encoding', KIND.transferEncoding],
  ['upgrade', KIND.upgrade],
  ['expect', KIND.expect],
  ['te', KIND.te],
  ['keep-alive', KIND.keepAlive],
  ['proxy-connection', KIND.proxyConnection],
  ['http2-settings', KIND.http2Settings],
  ['via', KIND.via],
  ['forwarded', KIND.forwarded],
  ['x-forwarded-for', KIND.forwardedFor],
  ['x-forwarded-proto', KIND.forwardedProto],
  ['x-forwarded-host', KIND.forwardedHost],
  ['x-request-id', KIND.requestId],
  ['traceparent', KIND.traceparent],
  ['tracestate', KIND.tracestate],
  ['cookie', KIND.cookie],
  ['date', KIND.date],
  ['trailer', KIND.trailer],
  ['max-forwards', KIND.maxForwards],
  ['authorization', KIND.credentials],
  ['proxy-authorization', KIND.credentials],
  ['www-authenticate', KIND.challenge],
  ['proxy-authenticate', KIND.challenge],
  ['x-forwarded', KIND.claim],
  ['x-real-ip', KIND.claim],
  ['x-client-ip', KIND.claim],
  ['x-cluster-client-ip', KIND.claim],
  ['true-client-ip', KIND.claim],
  ['cf-connecting-ip', KIND.claim],
  ['fastly-client-ip', KIND.claim],
  ['x-original-url', KIND.claim],
  ['x-rewrite-url', KIND.claim],
]

/** Known names by `length * 32 + (first letter & 31)`: at most a few candidates each, mostly none. */
type Candidates = readonly (readonly [string, number])[]
const CANDIDATES: (Candidates | undefined)[] = new Array(32 * 32).fill(undefined)
for (const known of KNOWN) {
  const key = known[0].length * 32 + (known[0].charCodeAt(0) & 31)
  CANDIDATES[key] = [...(CANDIDATES[key] ?? []), known]
}

/** All names that begin so, with `-` or `_`, are ours: nobody else speaks by them through us. */
const OURS = 'x-turnout-'
/** All names that begin so are claims, but for those that have a kind of their own. */
const CLAIMS = 'x-forwarded-'
const LETTER_F = 6
const LETTER_T = 20
const LETTER_X = 24

/** The kind of the name of `length` octets from `start` on. */
export function kindOf(bytes: Uint8Array, start: number, length: number): number {
  const first = bytes[start] & 31
  if (first === LETTER_X && length > OURS.length) return kindOfX(bytes, start, length)
  if (length > 31) return KIND.plain
  const candidates = CANDIDATES[length * 32 + first]
  return candidates === undefined ? KIND.plain : knownKind(bytes, start, candidates)
}

/** The kind of a long name that begins as `x-` does. */
function kindOfX(bytes: Uint8Array, start: number, length: number): number {
  // The third letter spares nearly all of them the comparison with the two beginnings.
  const third = bytes[start + 2] & 31
  if (third === LETTER_T && likeness(bytes, start, OURS) !== OTHER) return KIND.turnout
  const candidates = length > 31 ? undefined : CANDIDATES[length * 32 + LETTER_X]
  const kind = candidates === undefined ? KIND.plain : knownKind(bytes, start, candidates)
  if (kind !== KIND.plain || third !== LETTER_F || length <= CLAIMS.length) return kind
  const like = likeness(bytes, start, CLAIMS)
  return like === OTHER ? KIND.plain : like === SAME ? KIND.claim : KIND.lookalike
}

function knownKind(bytes: Uint8Array, start: number, candidates: Candidates): number {
  for (let i = 0; i < candidates.length; i++) {
    const like = likeness(bytes, start, candidates[i][0])
    if (like !== OTHER) return like === SAME ? candidates[i][1] : KIND.lookalike
  }
  return KIND.plain
}

const OTHER = 0
const SAME = 1
const ALIKE = 2

/** Whether the octets from `start` on are a lower-case name, ignoring case; `ALIKE` with `_` for some `-`. */
function likeness(bytes: Uint8Array, start: number, name: string): number {
  let like = SAME
  for (let at = 0; at < name.length; at++) {
    const code = bytes[start + at]
    const known = name.charCodeAt(at)
    if ((code >= 65 && code <= 90 ? code + 32 : code) === known) continue
    if (code !== 95 || known !== 45) return OTHER
    like = ALIKE
  }
  return like
}

/** A table of kinds that are copied: all but the given ones. */
export function copyAllBut(...dropped: readonly number[]): Uint8Array {
  const copy = new Uint8Array(32).fill(1)
  for (const kind of dropped) copy[kind] = 0
  return copy
}
