/**
 * How many different visitors each target has had lately: an estimate, in half a KiB for each target and half of the window.
 *
 * A HyperLogLog over the hash that chooses the bucket, with Ertl's estimator (arXiv 1702.01284): its standard error is
 * 1.04 / √512 = 4.6 % of many visitors, and less of a few. A request costs a hash of its hash, and hardly ever a store of one byte. Registers
 * are united by their maximum, so one visitor at several targets of a pool counts once for the pool.
 *
 * There are two halves: workers note in the one, and after `VISITORS_HALF_MS` the other is emptied and it is that one's turn. So
 * together they tell of the last five to ten minutes. All workers write to the same registers without a lock: two at the same moment may
 * lose one of their marks, which the next request of that visitor sets again.
 */
import { mix32 } from '../table/bucket.ts'
import { CELL, type SharedMemory, SLOTS, VISITOR_REGISTERS } from './layout.ts'

/** How long one half is written. */
export const VISITORS_HALF_MS = 300_000

const HALVES = [0, 1] as const
const INDEX_BITS = Math.log2(VISITOR_REGISTERS)
/** Bits of the hash that the rank is taken from. */
const RANK_BITS = 32 - INDEX_BITS

const offsetOf = (half: number, slot: number): number => (half * SLOTS + slot) * VISITOR_REGISTERS

/** Notes a request of the visitor with this hash (of 32 bits) at a target. */
export function noteVisitor({ visitorMarks: marks, cells }: SharedMemory, slot: number, hash: number): void {
  // Who is in a pool has the first bits of the hash in common, so they are mixed again.
  const mixed = mix32(hash)
  const at = offsetOf(cells[CELL.visitorHalf], slot) + (mixed & (VISITOR_REGISTERS - 1))
  const rank = Math.clz32(mixed >>> INDEX_BITS) - INDEX_BITS + 1
  if (marks[at] < rank) marks[at] = rank
}

/** About how many different visitors these targets have had in both halves, by their slots. */
export function visitorsAt({ visitorMarks: marks }: SharedMemory, slots: readonly number[]): number {
  // Most targets of a large fleet have had nobody lately: those are looked through four registers at a time.
  const fours = new Int32Array(marks.buffer)
  let ranks: Uint8Array | null = null
  for (const half of HALVES) {
    for (const slot of slots) {
      const from = offsetOf(half, slot)
      for (let at = from; at < from + VISITOR_REGISTERS; at += 4) {
        if (fours[at >> 2] === 0) continue
        ranks ??= new Uint8Array(VISITOR_REGISTERS)
        for (let one = at; one < at + 4; one++) ranks[one - from] = Math.max(ranks[one - from], marks[one])
      }
    }
  }
  return ranks === null ? 0 : Math.round(estimateOf(ranks))
}

/** Begins the other half, without what these targets had in it before. */
export function turnVisitors({ visitorMarks: marks, cells }: SharedMemory, slots: Iterable<number>): void {
  const next = 1 - cells[CELL.visitorHalf]
  for (const slot of slots) marks.fill(0, offsetOf(next, slot), offsetOf(next, slot) + VISITOR_REGISTERS)
  Atomics.store(cells, CELL.visitorHalf, next)
}

/** Forgets who was at a target. */
export function clearVisitors({ visitorMarks: marks }: SharedMemory, slot: number): void {
  for (const half of HALVES) marks.fill(0, offsetOf(half, slot), offsetOf(half, slot) + VISITOR_REGISTERS)
}

/** Ertl's estimator, in the notation of the paper: `counts[k]` registers have rank k. */
function estimateOf(ranks: Uint8Array): number {
  const m = ranks.length
  const counts = new Float64Array(RANK_BITS + 2)
  for (const rank of ranks) counts[rank]++
  let z = m * tau(1 - counts[RANK_BITS + 1] / m)
  for (let k = RANK_BITS; k >= 1; k--) z = 0.5 * (z + counts[k])
  z += m * sigma(counts[0] / m)
  return (m * m) / (2 * Math.LN2 * z)
}

function sigma(share: number): number {
  let x = share
  let y = 1
  let z = x
  for (let before = -1; z !== before; ) {
    before = z
    x *= x
    z += x * y
    y += y
  }
  return z
}

function tau(share: number): number {
  if (share === 0 || share === 1) return 0
  let x = share
  let y = 1
  let z = 1 - x
  for (let before = -1; z !== before; ) {
    before = z
    x = Math.sqrt(x)
    y *= 0.5
    z -= (1 - x) ** 2 * y
  }
  return z / 3
}
