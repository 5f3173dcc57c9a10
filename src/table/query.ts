/**
 * The query of a request as rules read it: pairs between `&`, of name and value at the first `=`, with `+` as a blank and `%XX` as an
 * octet (WHATWG URL, application/x-www-form-urlencoded). A `%` that is not followed by two digits is itself. A walk costs a time
 * that is linear in the length, and makes no string but those that are asked for.
 */
import type { TextTest } from './types.ts'

const AMPERSAND = 38
const EQUALS = 61
const PERCENT = 37
const PLUS = 43

/** The octets of a name or value. */
export function decodedOctets(text: string): string {
  if (!text.includes('%') && !text.includes('+')) return text
  return text.replace(/\+|%[0-9A-Fa-f]{2}/g, (found) =>
    found === '+' ? ' ' : String.fromCharCode(Number.parseInt(found.slice(1), 16)),
  )
}

/** A walk over all pairs of a query; one object serves for many walks. */
export class QueryWalk {
  #query = ''
  #next = 0
  #start = 0
  #nameEnd = 0
  #end = 0
  #isEscaped = false

  begin(query: string): void {
    this.#query = query
    this.#next = 0
  }

  /** Goes to the next pair; false when there is none, and then the query is let go of. */
  next(): boolean {
    const query = this.#query
    while (this.#next < query.length) {
      const start = this.#next
      let nameEnd = -1
      let isEscaped = false
      let at = start
      for (; at < query.length; at++) {
        const code = query.charCodeAt(at)
        if (code === AMPERSAND) break
        if (nameEnd !== -1) continue
        if (code === EQUALS) nameEnd = at
        else if (code === PERCENT || code === PLUS) isEscaped = true
      }
      this.#next = at + 1
      if (at === start) continue
      this.#start = start
      this.#nameEnd = nameEnd === -1 ? at : nameEnd
      this.#end = at
      this.#isEscaped = isEscaped
      return true
    }
    this.#query = ''
    return false
  }

  /** The name of the present pair. */
  name(): string {
    return decodedOctets(this.#query.slice(this.#start, this.#nameEnd))
  }

  /** Whether the present pair has this name. */
  isNamed(name: string): boolean {
    if (this.#isEscaped) return this.name() === name
    return this.#nameEnd - this.#start === name.length && this.#query.startsWith(name, this.#start)
  }

  /** The value of the present pair; empty when it has none. */
  value(): string {
    return this.#nameEnd === this.#end ? '' : decodedOctets(this.#query.slice(this.#nameEnd + 1, this.#end))
  }
}

const walk = new QueryWalk()

/** The value of the first pair of this name; null when there is none. */
export function firstParameter(query: string, name: string): string | null {
  if (query === '') return null
  walk.begin(query)
  let value: string | null = null
  while (walk.next()) if (value === null && walk.isNamed(name)) value = walk.value()
  return value
}

/** Whether a query has a pair of this name whose value passes. */
export function someParameter(query: string, name: string, test: TextTest): boolean {
  walk.begin(query)
  let found = false
  // Gone to the end, so that the walk keeps nothing.
  while (walk.next()) found ||= walk.isNamed(name) && test.holds(walk.value())
  return found
}
