/**
 * Who may connect, and how much one address may take of what all share. The caps of DESIGN's "admit".
 *
 * Client connections are counted for the whole process, in all and by address, because descriptors and memory are the
 * process's and the kernel spreads connections over the workers as it likes. Each worker counts its own in shared memory and
 * reads the sum, without locks; two workers that accept in the same moment may go over a cap by one.
 *
 * An address is counted in one of 65,536 cells, chosen by a salted hash. So the memory is fixed; two addresses with the same cell
 * share their count, and the salt keeps anybody from choosing which. Of IPv6 only the first 64 bits count, since a client may
 * choose the rest. Trusted proxies stand for many clients and are not counted.
 */
import { type ShedReason, shedField } from '../../metrics/counters.ts'
import { ADDRESS_CELLS, type SharedMemory, WORKER_FIELD, WORKER_FIELDS } from '../../metrics/layout.ts'
import { hashString, mix32 } from '../../table/bucket.ts'
import { parseAddress } from '../../table/network.ts'

/** Stands for the cell of an address that is not counted. */
const NO_CELL = ADDRESS_CELLS

export interface AdmissionCaps {
  /** Client connections of the process. */
  readonly connectionsMax: number
  /** Client connections of an address; 0 is no cap. */
  readonly connectionsPerAddressMax: number
}

export class Admission {
  readonly #memory: SharedMemory
  readonly #lane: number
  readonly #cells: number
  readonly #caps: AdmissionCaps
  readonly #salt: number
  /** Requests under way in this worker, by cell; what is not counted has a cell of its own here. */
  readonly #underWay = new Int32Array(ADDRESS_CELLS + 1)

  /** For worker `index`; `secret` is the same for all of them. */
  constructor(memory: SharedMemory, index: number, caps: AdmissionCaps, secret: string) {
    this.#memory = memory
    this.#lane = index * WORKER_FIELDS
    this.#cells = index * ADDRESS_CELLS
    this.#caps = caps
    this.#salt = hashString(secret)
  }

  /** The cell of an address; of one that is trusted to stand for many, or cannot be read, a cell that no cap looks at. */
  cellOf(address: string, trusted: boolean): number {
    const words = trusted ? null : parseAddress(address)
    if (words === null) return NO_CELL
    const isIPv4 = words[0] === 0 && words[1] === 0
    const high = mix32(this.#salt ^ (isIPv4 ? words[2] : words[0]))
    return mix32(high ^ (isIPv4 ? words[3] : words[1])) % ADDRESS_CELLS
  }

  /** Takes a connection in and counts it; false when a cap refuses it, which is counted too. */
  admit(cell: number): boolean {
    const { connectionsMax, connectionsPerAddressMax: perAddressMax } = this.#caps
    if (this.#connections() >= connectionsMax) return this.#shed('connections')
    if (cell !== NO_CELL) {
      if (perAddressMax > 0 && this.#connectionsOf(cell) >= perAddressMax) return this.#shed('connections_per_address')
      this.#memory.addresses[this.#cells + cell]++
    }
    this.#memory.lanes[this.#lane + WORKER_FIELD.acceptedConnections]++
    this.#memory.lanes[this.#lane + WORKER_FIELD.clientConnections]++
    return true
  }

  /** Takes a connection that was admitted off the counts. */
  leave(cell: number): void {
    if (cell !== NO_CELL) this.#memory.addresses[this.#cells + cell]--
    this.#memory.lanes[this.#lane + WORKER_FIELD.clientConnections]--
  }

  /** Notes that a request of an address begins (1) or ends (-1) in this worker. */
  note(cell: number, by: 1 | -1): void {
    this.#underWay[cell] += by
  }

  /** Whether an address has more requests under way in this worker than `max`. */
  isCrowding(cell: number, max: number): boolean {
    return cell !== NO_CELL && this.#underWay[cell] > max
  }

  #shed(reason: ShedReason): false {
    this.#memory.lanes[this.#lane + shedField(reason)]++
    return false
  }

  #connections(): number {
    const { lanes } = this.#memory
    let sum = 0
    for (let at = WORKER_FIELD.clientConnections; at < lanes.length; at += WORKER_FIELDS) sum += lanes[at]
    return sum
  }

  #connectionsOf(cell: number): number {
    const { addresses } = this.#memory
    let sum = 0
    for (let at = cell; at < addresses.length; at += ADDRESS_CELLS) sum += addresses[at]
    return sum
  }
}
