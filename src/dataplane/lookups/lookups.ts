/**
 * What requests are looked up in beside the table: lists of visitors, a database of countries, the keys of JWTs, and pages for maintenance. The main thread reads them
 * (src/lookups/) and gives every thread the same memory, so a new one costs no copy, and a change of the table costs nothing of them. They
 * come by name, before the first table that names them; what comes again under a name takes the place of what was there, from the next
 * request on. What no table names any more is forgotten.
 */
import { VisitorList } from '../../table/visitor-list.ts'
import { Countries, loadCountries } from './countries.ts'
import { type TokenPlan, Tokens } from './tokens.ts'

/** One of them, as threads are given it. */
export interface Lookup {
  readonly kind: 'visitors' | 'countries' | 'keys' | 'page'
  /** The file, as the config names it. */
  readonly name: string
  readonly memory: SharedArrayBuffer
}

/** What it is for, and its name in the config. */
export type LookupName = Pick<Lookup, 'kind' | 'name'>

/** Loads what these need; to be waited for before the first of a kind is taken. */
export async function loadFor(given: readonly Pick<Lookup, 'kind'>[]): Promise<void> {
  if (given.some(({ kind }) => kind === 'countries')) await loadCountries()
}

/** All that one thread has been given. */
export class Lookups {
  /** Header by which trusted proxies tell the country of their client, in lower case; null for none. */
  readonly countryHeader: string | null
  readonly #visitors = new Map<string, VisitorList>()
  /** null: JWTs are not verified. */
  readonly tokens: Tokens | null
  #countries: Countries | null = null
  readonly #pages = new Map<string, Buffer>()

  constructor(given: readonly Lookup[] = [], countryHeader: string | null = null, tokens: TokenPlan | null = null) {
    this.countryHeader = countryHeader
    this.tokens = tokens === null ? null : new Tokens(tokens)
    for (const lookup of given) this.take(lookup)
  }

  take({ kind, name, memory }: Lookup): void {
    if (kind === 'countries') this.#countries = new Countries(memory)
    else if (kind === 'keys') this.tokens?.take(memory)
    else if (kind === 'page') this.#pages.set(name, Buffer.from(new Uint8Array(memory)))
    else this.#visitors.set(name, new VisitorList(memory))
  }

  /** Forgets a list or a page; countries and keys are for good. */
  forget({ kind, name }: LookupName): void {
    if (kind === 'visitors') this.#visitors.delete(name)
    else if (kind === 'page') this.#pages.delete(name)
  }

  /** Whether a visitor key stands in this file; no key does in a file that is not there. */
  isListed(file: string, visitor: string): boolean {
    return this.#visitors.get(file)?.has(visitor) === true
  }

  /** The page in this file; null when it is not there. */
  pageOf(file: string): Buffer | null {
    return this.#pages.get(file) ?? null
  }

  /** The country of an address by the database; null when it is not known. */
  countryOf(address: string): string | null {
    return this.#countries === null ? null : this.#countries.of(address)
  }
}
