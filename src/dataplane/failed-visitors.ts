/**
 * The visitors whose requests have failed in a step of a rollout, known to all workers: the connections of one visitor are spread over them, and
 * whoever fails always would count once for each.
 *
 * A table of hashes in shared memory, in rows of `VISITOR_WAYS`: whoever is new stands first in his row, and the last one of it is forgotten. So what is of
 * steps long over goes by itself, and of those who fail now it takes tens of thousands until one counts twice. Two workers that write the
 * same row at the same moment may lose one of it, which is no more than that.
 */
import { type SharedMemory, VISITOR_CELLS, VISITOR_WAYS } from '../metrics/layout.ts'
import { hashString, mix32 } from '../table/bucket.ts'

/** Notes that a visitor has failed in a step of a service; true for the first time. */
export function noteFailed({ visitors }: SharedMemory, slot: number, step: number, visitor: string): boolean {
  // 0 is an empty cell.
  const hash = hashString(visitor, mix32(slot) ^ step) | 0 || 1
  const row = (mix32(hash) * VISITOR_WAYS) % VISITOR_CELLS
  for (let at = row; at < row + VISITOR_WAYS; at++) if (visitors[at] === hash) return false
  visitors.copyWithin(row + 1, row, row + VISITOR_WAYS - 1)
  visitors[row] = hash
  return true
}
