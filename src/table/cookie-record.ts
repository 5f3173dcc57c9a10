/**
 * What our cookie says, as text and as a value, and how long it lives.
 *
 * Payload: `k~visitor~service~pool~release~target~end~layer` (`p` when pinned). `end` is when the client forgets the cookie, in wall
 * seconds and base 36. `layer` is the id of the deployment that wrote it, so that two of them behind one another, or beside each other
 * under one host, see whose it is. All fields are of cookie-safe characters without `~`; names may contain dots, so a mac after the
 * last dot (`payload.mac`, added and checked by the data plane) is unambiguous. Decoding is strict: what is not written is not
 * read, but the form of before, without end and layer, which visitors still have.
 *
 * A cookie is renewed at half of its life, or whoever comes every day would lose its pool one day. The end is kept rather than the
 * beginning, as the config may have had another life then. It is coarse: a sixteenth of the life is close enough, and tells less.
 */
import type { StickyPlan } from './plan.ts'
import type { OwnCookie } from './types.ts'

const PAYLOAD_LENGTH_MAX = 384
const NAME = '[A-Za-z0-9][A-Za-z0-9_.-]{0,62}'
const LIFE = '~(0|[1-9a-z][0-9a-z]{0,9})~([0-9a-z]{1,12})'
const PAYLOAD = new RegExp(
  `^([kp])~([A-Za-z0-9_-]{1,64})~(${NAME})~(${NAME})~(${NAME})~([A-Za-z0-9]{0,16})(?:${LIFE})?$`,
)
const STEPS = 16

/** The payload of our cookie, still to be signed. Throws (a bug) when a field could not be read back. */
export function encodeOwnCookie(own: OwnCookie, layer: string): string {
  const flag = own.pinned ? 'p' : 'k'
  const given = `${flag}~${own.visitor}~${own.service}~${own.pool}~${own.release}~${own.target}`
  const payload = `${given}~${own.endS.toString(36)}~${layer}`
  if (decodeOwnCookie(payload) === null) throw new Error(`not a payload of our cookie: ${payload}`)
  return payload
}

/** The content of a payload whose signature was checked, or null when it is not exactly as it was once written. */
export function decodeOwnCookie(payload: string): OwnCookie | null {
  const fields = payload.length > PAYLOAD_LENGTH_MAX ? null : PAYLOAD.exec(payload)
  if (fields === null) return null
  const [, flag, visitor, service, pool, release, target, end] = fields
  return {
    visitor,
    service,
    pool,
    release,
    target,
    pinned: flag === 'p',
    endS: end === undefined ? 0 : parseInt(end, 36),
  }
}

/** The deployment that a payload says it is of, signed or not; null when it says none. */
export function layerOf(payload: string): string | null {
  return (payload.length > PAYLOAD_LENGTH_MAX ? null : PAYLOAD.exec(payload))?.[8] ?? null
}

/** The end of a cookie that is set now. */
export function endOfLifeS({ maxAgeS }: StickyPlan, nowMs: number): number {
  const stepS = Math.max(1, Math.floor(maxAgeS / STEPS))
  return Math.floor((nowMs / 1_000 + maxAgeS) / stepS) * stepS
}

/** Whether a cookie is to be set again: half of its life is over, or it ends later than one that is set now would. */
export function isDue({ endS }: OwnCookie, { maxAgeS }: StickyPlan, nowMs: number): boolean {
  const leftS = endS - nowMs / 1_000
  return leftS * 2 < maxAgeS || leftS > maxAgeS * (1 + 1 / STEPS)
}
