/**
 * A database of countries (.mmdb of MaxMind, DB-IP, IPinfo …) as one thread reads it: its bytes are one memory for all threads, and an
 * address costs a walk of at most 128 bits, and what it leads to a look of bounded length (country-record.ts), however the file is
 * damaged. The package is loaded only where a database is configured, since that takes as long as
 * a third of all else at a start; so `loadCountries` comes first.
 */
import type { CountryResponse, Reader } from 'maxmind'
import { countryOf } from '../../table/country.ts'
import { CountryRecords } from './country-record.ts'

/** Records whose country is kept; a database of countries has some hundreds, one of cities millions. */
const RECORDS_MAX = 10_000
/** Octets between the tree and the records. */
const SEPARATOR_BYTES = 16

type Package = typeof import('maxmind')
let loaded: Package | null = null

/** Loads what reads databases. */
export async function loadCountries(): Promise<void> {
  loaded ??= await import('maxmind')
}

/** A record as the reader keeps it: here its country alone. */
interface Kept {
  readonly value: string | null
  readonly offset: number
}

export class Countries {
  readonly #reader: Reader<CountryResponse>
  readonly #kept = new Map<string | number, Kept>()
  /** The address that was asked for last: connections ask many times. */
  #address = ''
  #country: string | null = null

  /** Throws when the bytes are no database. */
  constructor(memory: SharedArrayBuffer) {
    if (loaded === null) throw new Error('the reader of databases was not loaded')
    const bytes = Buffer.from(memory)
    const kept = this.#kept
    let records: CountryRecords | null = null
    // The reader asks here before it decodes a record, and so never decodes one. What it reads of itself is not asked for here.
    const cache = {
      get(offset: string | number) {
        const known = kept.get(offset)
        if (known !== undefined || records === null) return known
        if (kept.size >= RECORDS_MAX) kept.clear()
        const code = records.codeAt(Number(offset))
        const found = { value: code === null ? null : countryOf(code), offset: Number(offset) }
        kept.set(offset, found)
        return found
      },
      set() {},
    }
    this.#reader = new loaded.Reader(bytes, { cache })
    records = new CountryRecords(bytes, this.#reader.metadata.searchTreeSize + SEPARATOR_BYTES)
  }

  /** What it is, for people. */
  get about(): { readonly type: string; readonly built: Date; readonly nodes: number } {
    const { databaseType, buildEpoch, nodeCount } = this.#reader.metadata
    return { type: databaseType, built: buildEpoch, nodes: nodeCount }
  }

  /** The country of an address; null when it is not known. */
  of(address: string): string | null {
    if (address !== this.#address) {
      this.#country = this.#lookUp(address)
      this.#address = address
    }
    return this.#country
  }

  #lookUp(address: string): string | null {
    // A database of IPv4 alone would be asked by the first bits of the other.
    if (address === '' || (this.#reader.metadata.ipVersion === 4 && address.includes(':'))) return null
    try {
      return this.#reader.get(address) as unknown as string | null
    } catch {
      // A database whose tree is damaged knows nothing of this address.
      return null
    }
  }
}
