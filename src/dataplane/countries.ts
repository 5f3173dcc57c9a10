/**
 * A database of countries (.mmdb of MaxMind, DB-IP, IPinfo …) as one thread reads it: its bytes are one memory for all threads, and an
 * address costs a walk of at most 128 bits. The package is loaded only where a database is configured, since that takes as long as
 * a third of all else at a start; so `loadCountries` comes first.
 */
import type { CountryResponse, Reader } from 'maxmind'
import { countryOf } from '../table/country.ts'

/** Records that are kept decoded; a database of countries has some hundreds, one of cities millions. */
const RECORDS_MAX = 10_000

type Package = typeof import('maxmind')
let loaded: Package | null = null

/** Loads what reads databases. */
export async function loadCountries(): Promise<void> {
  loaded ??= await import('maxmind')
}

/** What a record may say of its country: MaxMind and DB-IP in a map, IPinfo by a code. */
interface CountryRecord {
  readonly country?: { readonly iso_code?: unknown } | string
  readonly country_code?: unknown
}

export class Countries {
  readonly #reader: Reader<CountryResponse>
  readonly #records = new Map<string | number, unknown>()
  /** The address that was asked for last: connections ask many times. */
  #address = ''
  #country: string | null = null

  /** Throws when the bytes are no database. */
  constructor(memory: SharedArrayBuffer) {
    if (loaded === null) throw new Error('the reader of databases was not loaded')
    const records = this.#records
    const cache = {
      get: (key: string | number) => records.get(key),
      set(key: string | number, value: unknown) {
        if (records.size >= RECORDS_MAX) records.clear()
        records.set(key, value)
      },
    }
    this.#reader = new loaded.Reader(Buffer.from(memory), { cache })
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
    let record: CountryRecord | null
    try {
      record = this.#reader.get(address) as CountryRecord | null
    } catch {
      // A database that is damaged within knows nothing of this address.
      return null
    }
    if (record === null) return null
    const { country, country_code: flat } = record
    const code = typeof country === 'object' ? country?.iso_code : flat
    return typeof code === 'string' ? countryOf(code) : null
  }
}
