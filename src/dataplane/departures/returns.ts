/**
 * Whoever was let go and comes back is known again, in whichever worker: by the visitor, or else by address and path.
 *
 * A table in shared memory, in rows of `RETURN_WAYS`. An entry says whose it is (a hash), from which target, how many times and when: many
 * tunnels of one visitor, or of one address, are one entry. It is worth something for a minute; then, or when its row is full, it is the first
 * to be written over. Two workers that write the same entry at the same moment may lose a count, which makes the share that is told a
 * little too small, and nothing else depends on it.
 *
 * A process that has replaced another one may see whom that one has let go: so it notes whom it does not know, in a second table of the same
 * shape, and the main thread matches them (control/old-departures.ts).
 */
import { RETURN, RETURN_WAYS } from '../../metrics/departures.ts'
import { RETURN_CELLS, RETURNS, type SharedMemory } from '../../metrics/layout.ts'
import { hashString, mix32 } from '../../table/bucket.ts'

/** Whoever takes longer to come back is taken for somebody new, in s. */
const KNOWN_S = 60
const { hash: HASH, slot: SLOT, count: COUNT, atS: AT_S } = RETURN
const NOBODY = -1

/** Who somebody is for a service, as a hash; `path` counts only where there is no visitor. */
export function keyOf(service: string, visitor: string | null, address: string, path: string): number {
  const seed = hashString(service)
  // 0 is an empty entry.
  return (visitor === null ? hashString(`${address}\n${path}`, seed) : hashString(visitor, mix32(seed))) | 0 || 1
}

export class Returns {
  readonly #cells: Int32Array
  readonly #arrivals: Int32Array

  constructor({ returns, arrivals }: Pick<SharedMemory, 'returns' | 'arrivals'>) {
    this.#cells = returns
    this.#arrivals = arrivals
  }

  /** Notes that somebody was let go from a target. */
  note(key: number, slot: number, steadyMs: number): void {
    noteIn(this.#cells, key, slot, Math.floor(steadyMs / 1_000))
  }

  /** Somebody has come: the slot that it was let go from, which counts once; below 0 when it was not, or not lately. */
  take(key: number, steadyMs: number): number {
    const cells = this.#cells
    const nowS = Math.floor(steadyMs / 1_000)
    const row = rowOf(key)
    for (let at = row; at < row + RETURN_WAYS * RETURN_CELLS; at += RETURN_CELLS) {
      if (cells[at + HASH] !== key || !isKnown(cells, at, nowS)) continue
      if (Atomics.sub(cells, at + COUNT, 1) > 0) return cells[at + SLOT]
      // Another worker was faster.
      Atomics.add(cells, at + COUNT, 1)
    }
    if (this.#arrivals.length > 0) noteIn(this.#arrivals, key, 0, nowS)
    return NOBODY
  }
}

const rowOf = (key: number): number => ((mix32(key) >>> 0) % (RETURNS / RETURN_WAYS)) * RETURN_WAYS * RETURN_CELLS

function noteIn(cells: Int32Array, key: number, slot: number, nowS: number): void {
  const row = rowOf(key)
  let free = row
  for (let at = row; at < row + RETURN_WAYS * RETURN_CELLS; at += RETURN_CELLS) {
    if (cells[at + HASH] === key && cells[at + SLOT] === slot && isKnown(cells, at, nowS)) {
      Atomics.add(cells, at + COUNT, 1)
      cells[at + AT_S] = nowS
      return
    }
    // Empty ones, and those that are over, come first; then the oldest.
    const isWorse = isKnown(cells, free, nowS) && (!isKnown(cells, at, nowS) || cells[at + AT_S] < cells[free + AT_S])
    if (isWorse) free = at
  }
  cells[free + HASH] = key
  cells[free + SLOT] = slot
  cells[free + AT_S] = nowS
  Atomics.store(cells, free + COUNT, 1)
}

function isKnown(cells: Int32Array, at: number, nowS: number): boolean {
  return cells[at + COUNT] > 0 && nowS - cells[at + AT_S] <= KNOWN_S
}
