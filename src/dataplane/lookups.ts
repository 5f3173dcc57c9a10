/**
 * What requests are looked up in beside the table: lists of visitors. The main thread reads them (src/lookups/) and gives every
 * thread the same memory, so a new one costs no copy, and a change of the table costs nothing of them. They come by name, before the
 * first table that names them; what comes again under a name takes the place of what was there, from the next request on.
 */
import { VisitorList } from '../table/visitor-list.ts'

/** One of them, as threads are given it. */
export interface Lookup {
  readonly kind: 'visitors'
  /** The file, as conditions name it. */
  readonly name: string
  readonly memory: SharedArrayBuffer
}

/** All that one thread has been given. */
export class Lookups {
  readonly #visitors = new Map<string, VisitorList>()

  constructor(given: readonly Lookup[] = []) {
    for (const lookup of given) this.take(lookup)
  }

  take({ name, memory }: Lookup): void {
    this.#visitors.set(name, new VisitorList(memory))
  }

  /** Whether a visitor key stands in this file; no key does in a file that is not there. */
  isListed(file: string, visitor: string): boolean {
    return this.#visitors.get(file)?.has(visitor) === true
  }
}
