/**
 * The table that a worker routes by, and what `decide` draws from.
 *
 * Control prepares the next table by message, then stores its epoch in shared memory. `current` is asked once a request, costs
 * one atomic load, and takes the prepared table when the epoch says so; so no request is decided by a table that is older
 * than what the admin API has answered.
 */
import { CELL, type SharedMemory, SLOTS } from '../metrics/layout.ts'
import { applyDelta, emptyTable } from '../table/build.ts'
import type { Draw, Table, TableDelta } from '../table/types.ts'
import type { Ids } from './ids.ts'

export class Tables {
  /** The table of the last request. */
  table: Table = emptyTable()
  readonly draw: Draw
  readonly #cells: Int32Array
  #prepared: Table | null = null

  /** Begins with the table that `delta` leads to. */
  constructor({ cells }: SharedMemory, delta: TableDelta, ids: Ids) {
    this.#cells = cells
    this.table = applyDelta(this.table, delta)
    const turns = new Uint32Array(SLOTS)
    this.draw = {
      next: (slot) => Atomics.add(cells, CELL.picker + slot, 1) >>> 0,
      turn: (slot) => turns[slot]++,
      random: Math.random,
      visitorId: () => ids.next().slice(0, 20),
    }
  }

  /** Builds the next table beside the present one; it is used once its epoch is committed. */
  prepare(delta: TableDelta): void {
    this.#prepared = applyDelta(this.current(), delta)
  }

  /** The committed table. To be asked once a request. */
  current(): Table {
    const prepared = this.#prepared
    if (prepared !== null && Atomics.load(this.#cells, CELL.epoch) >= prepared.epoch) {
      this.table = prepared
      this.#prepared = null
    }
    return this.table
  }
}
