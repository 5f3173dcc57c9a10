import { TurnoutError } from '../errors.ts'
import { isRecord } from './record.ts'

type PlainRecord = Readonly<Record<string, unknown>>
const PATCH_DEPTH_MAX = 64

/** A value after a merge patch (RFC 7386). Throws `invalid` for one that is nested too deep. */
export function mergePatch(value: unknown, patch: PlainRecord, depth = 0): PlainRecord {
  if (depth > PATCH_DEPTH_MAX)
    throw new TurnoutError('invalid', `The patch is nested more than ${PATCH_DEPTH_MAX} deep.`)
  const merged = new Map<string, unknown>(isRecord(value) ? Object.entries(value) : [])
  for (const [key, change] of Object.entries(patch)) {
    if (change === null) merged.delete(key)
    else merged.set(key, isRecord(change) ? mergePatch(merged.get(key), change, depth + 1) : change)
  }
  return Object.fromEntries(merged)
}
