/**
 * Authorities that were found good: those that a fleet serves are few, and come again and again, so each is looked at once. A
 * worker remembers so many, and forgets all of them when there are more.
 */
import { canonicalHost } from '../../table/host.ts'
import { flat, hostEnd } from './syntax.ts'

const AUTHORITIES_MAX = 1_024

export interface Authority {
  /** Host with port, as it came. */
  readonly text: string
  /** Host without port, in its one form (table/host.ts). */
  readonly host: string
}

export class Authorities {
  #known = new Map<string, Authority>()
  #last: Authority = { text: '', host: '' }

  /** The parts of `host[:port]`; null when it is malformed. */
  find(text: string): Authority | null {
    const found = this.#last.text === text ? this.#last : (this.#known.get(text) ?? this.#read(text))
    if (found !== null) this.#last = found
    return found
  }

  #read(text: string): Authority | null {
    const end = hostEnd(text)
    if (end < 0) return null
    // Flat copies: a slice would keep the whole head alive.
    const authority = { text: flat(text), host: flat(canonicalHost(text.slice(0, end))) }
    if (this.#known.size >= AUTHORITIES_MAX) this.#known.clear()
    this.#known.set(authority.text, authority)
    return authority
  }
}
