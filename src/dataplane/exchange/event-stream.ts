/**
 * A stream of server-sent events that may be let go (departures.ts): it is ended between two events, behind an empty line, as a whole answer, so
 * that its reader asks again and comes to another place. So only one that was asked for as an EventSource asks is a member: any other reader
 * would take a part for all of it. Other long answers are left to end.
 *
 * A line ends with CR LF, LF or CR, and an event with an empty line. So the last four octets of what was passed on say all that is to be
 * known; only once it is to leave, what comes is looked through. One whose event does not end for `drain.timeout` is broken off. An answer with a coding of its content is left alone: nobody sees its lines.
 */
import type { Departure, Member } from '../departures/departure.ts'
import type { Departures } from '../departures/departures.ts'
import type { ResponseHead } from '../http1/response-head.ts'
import { CR, LF } from '../http1/syntax.ts'
import type { Attempts } from './attempts.ts'
import type { Downstream } from './downstream.ts'
import type { ExchangeRequest } from './request.ts'

const TYPE = 'text/event-stream'
/** Octets that the longest empty line and the end of the line before it have. */
const TAIL = 4
/** Ends of lines in a row that end an event. */
const EMPTY = 2

export class EventStream implements Member {
  readonly isWalked = true
  readonly downstream: Downstream
  /** It ends at the next such place. */
  isAsked = false
  /** Ends of lines at the end of what has come; before the first octet nothing is broken off either. */
  #ends = EMPTY
  #afterCr = false
  readonly #departures: Departures
  readonly #ways: Readonly<Record<'cut' | 'end', () => void>>
  #departure: Departure | null = null

  /** The answer is a stream of events by its head. */
  static isBegunBy({ fields, status }: ResponseHead): boolean {
    const type = status === 200 ? fields.find('content-type') : -1
    if (type < 0 || fields.value(type).slice(0, TYPE.length).toLowerCase() !== TYPE) return false
    return fields.find('content-encoding') < 0
  }

  /** `end` ends the answer, and `cut` breaks it off. */
  constructor(departures: Departures, downstream: Downstream, ways: Readonly<Record<'cut' | 'end', () => void>>) {
    this.#departures = departures
    this.downstream = downstream
    this.#ways = ways
  }

  /** False where its service lets nothing go: then nobody has to look at it. */
  begin({ decision, placement }: Attempts, { headText, path }: ExchangeRequest): boolean {
    this.#departure = this.#departures.open(this, decision!, { address: placement.address, headText, path })
    if (this.#departure === null) return false
    this.#departures.count(this.#departure.place.slot, 'streams')
    return true
  }

  /** The answer is over. */
  close(): void {
    if (this.#departure === null) return
    this.#departures.count(this.#departure.place.slot, 'streams', -1)
    this.#departures.closed(this.#departure)
    this.#departure = null
  }

  leave(): void {
    if (this.isBetween) this.#ways.end()
    else this.isAsked = true
  }

  cut(): void {
    this.#ways.cut()
  }

  /** The last event is whole. */
  get isBetween(): boolean {
    return this.#ends >= EMPTY
  }

  /** Looks at what has come, and returns its end; or, when it is to leave, the first place where an event ends. */
  walk(bytes: Uint8Array, at: number, end: number): number {
    let from = at
    if (!this.isAsked && end - at >= TAIL) {
      from = end - TAIL
      this.#ends = 0
      this.#afterCr = false
    }
    for (let next = from; next < end; next++) {
      const octet = bytes[next]
      if (octet !== CR && octet !== LF) this.#ends = 0
      else if (octet === CR || !this.#afterCr) this.#ends++
      this.#afterCr = octet === CR
      if (this.isAsked && this.isBetween) return next + 1
    }
    return end
  }
}
