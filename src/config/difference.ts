/**
 * Where two sets of services differ, place by place, for people: what a file would change, and what of it was not applied because others
 * had changed that very place since. Pure. Both sides are in canonical form; what the merge takes as one value (lists, the split) is one
 * here too, and two splits that give the same weights do not differ (merge.ts).
 */
import { same } from './merge.ts'
import { child } from './pointer.ts'
import { isRecord, own } from './record.ts'
import type { Services } from './schema.ts'

/** A place where what runs is not what the file says; a value that is not there is absent. */
export interface Difference {
  /** JSON pointer into the file. */
  readonly pointer: string
  readonly runs?: unknown
  readonly file?: unknown
}

/** The places where `file` differs from `runs`, in the order of their names; at most `max`. */
export function differences(runs: Services, file: Services, max: number): readonly Difference[] {
  const found: Difference[] = []
  gather('/services', runs, file, found, max)
  return found
}

function gather(
  pointer: string,
  runs: Readonly<Record<string, unknown>>,
  file: Readonly<Record<string, unknown>>,
  found: Difference[],
  max: number,
): void {
  for (const key of [...new Set([...Object.keys(runs), ...Object.keys(file)])].sort()) {
    if (found.length >= max) return
    const [is, says] = [own(runs, key), own(file, key)]
    if (same(key, is, says)) continue
    const at = child(pointer, key)
    if (key !== 'split' && isRecord(is) && isRecord(says)) gather(at, is, says, found, max)
    else found.push({ pointer: at, runs: is, file: says })
  }
}
