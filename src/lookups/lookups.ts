/**
 * The files that requests are looked up in, on the main thread: read at the start, watched, and given to all threads.
 *
 * Invariants:
 * - Only files that the config file names are read, as it was read at the start or by SIGHUP: never one that is named by the API, by an
 *   applied text or by the store alone, or whoever may change rules could find out what stands in any file of this machine.
 * - What rules look up is there in every thread before a table that names it. A file that cannot be used at first is a fault of the
 *   config; later, what was there before stays in use.
 * - Nothing that stands in a file is told, but how much it is.
 */
import type { LookupFunction } from 'node:net'
import { resolve } from 'node:path'
import type { Logger } from 'pino'
import type { Control } from '../change.ts'
import type { Clock } from '../clock.ts'
import { calledUrlFault, isUrl } from '../config/called-url.ts'
import type { Services, Spec } from '../config/schema.ts'
import { PAGE_BYTES_MAX } from '../config/schema-maintenance.ts'
import type { NewEvent } from '../control/events.ts'
import type { Lookup } from '../dataplane/lookups/lookups.ts'
import { type Fault, TurnoutError } from '../errors.ts'
import type { Need } from '../table/conditions/kind.ts'
import type { HashSecret } from '../table/half-sip-hash.ts'
import { type Content, countriesIn, keysIn, pageIn, visitorsIn } from './content.ts'
import { needsOfService, needsOfServices } from './needs.ts'
import { FileFault, type Watched, WatchedFile } from './watched-file.ts'
import { WatchedUrl } from './watched-url.ts'

/** Files of a process. */
export const FILES_MAX = 32
const BYTES_MAX = {
  visitors: 32 * 1_048_576,
  countries: 512 * 1_048_576,
  keys: 1_048_576,
  page: PAGE_BYTES_MAX,
} as const
const CONTENT_OF = { visitors: visitorsIn, countries: countriesIn, keys: keysIn, page: pageIn } as const
/** Why rules look up what is not there. */
const NOT_NAMED = {
  visitors: 'the config file does not name it, so nobody is in it',
  countries: 'the config file says nobody who tells the country of a client (country), so nobody is in one',
  page: 'the config file does not name it, so a page of Turnout itself is given',
} as const

export interface LookupsDeps {
  readonly clock: Pick<Clock, 'after' | 'every' | 'nowMs'>
  /** For `lookup` of node:net: where the host of a URL is. */
  readonly find: LookupFunction
  /** Folder that relative paths start from. */
  readonly directory: string
  /** Who tells countries. */
  readonly country: Spec['country']
  /** By what JWTs are verified. */
  readonly jwt: Spec['jwt']
  /** A new secret, by chance. */
  secret(): HashSecret
  /** Gives something to all threads. */
  give(lookup: Lookup): void
  readonly log: Pick<Logger, 'info' | 'warn'>
}

/** What is told of one of them. */
export interface ToldLookup {
  readonly kind: Lookup['kind']
  /** The file, as the config names it; empty for countries that nobody tells. */
  readonly name: string
  /** Visitors in it; of a database the nodes of its tree, of a JWKS its public keys, of a page its bytes. */
  readonly entries: number
  /** What is in use, in words; empty for nothing. */
  readonly content: string
  /** When that was read, in wall time; 0 for never. */
  readonly readAtMs: number
  /** Why what is in the file now is not in use; null when it is. */
  readonly fault: string | null
}

interface Entry {
  readonly kind: Lookup['kind']
  readonly name: string
  readonly path: string
  readonly file: Watched
  content: Pick<Content, 'entries' | 'words'>
}

const missingOf = ({ kind, name }: Need): ToldLookup => ({
  kind,
  name,
  entries: 0,
  content: '',
  readAtMs: 0,
  fault: NOT_NAMED[kind],
})

type Wanted = Pick<Entry, 'kind' | 'name'> & { readonly pointer: string }
const keyOf = ({ kind, name }: Pick<Entry, 'kind' | 'name'>): string => `${kind} ${name}`

/** Rejects as `LookupFiles.open` would at a start. */
export async function checkLookups(
  { country, jwt, services }: Pick<Spec, 'country' | 'jwt' | 'services'>,
  directory: string,
) {
  const clock = { after: () => () => {}, every: () => () => {}, nowMs: () => 0 }
  const log = { info() {}, warn() {} }
  await new LookupFiles({
    clock,
    find() {},
    directory,
    country,
    jwt: isUrl(jwt?.jwks ?? '') ? undefined : jwt,
    secret: () => [0, 0],
    give() {},
    log,
  }).open(services)
}

export class LookupFiles {
  readonly #deps: LookupsDeps
  readonly #entries = new Map<string, Entry>()
  /** What live services look up and is not there, by service. */
  readonly #missing = new Map<string, readonly ToldLookup[]>()
  #publish = (_event: NewEvent): void => {}
  #end = () => {}

  constructor(deps: LookupsDeps) {
    this.#deps = deps
  }

  /**
   * Reads what these services of the config file look up, and the database of countries, as far as it is not there yet. Rejects with
   * `invalid` and every fault.
   */
  async open(services: Services): Promise<void> {
    const needs = needsOfServices(services, '/services')
    const missing = needs.filter((need) => need.kind === 'countries' && !this.#isThere(need))
    const faults: Fault[] = missing.map(({ pointer }) => ({ pointer, message: NOT_NAMED.countries }))
    const opened = new Map<string, Entry>()
    const database = this.#deps.country?.file
    const wanted: Wanted[] = needs.filter(({ kind }) => kind !== 'countries')
    if (database !== undefined) wanted.push({ kind: 'countries', name: database, pointer: '/country/file' })
    const jwks = this.#deps.jwt?.jwks
    if (jwks !== undefined) wanted.push({ kind: 'keys', name: jwks, pointer: '/jwt/jwks' })
    for (const want of wanted) {
      const key = keyOf(want)
      if (this.#entries.has(key) || opened.has(key)) continue
      // A URL that nobody can be asked by stays one, whoever waits.
      const urlFault = isUrl(want.name) ? calledUrlFault(want.name) : null
      if (urlFault !== null) {
        faults.push({ pointer: want.pointer, message: urlFault })
        continue
      }
      const entry = this.#entryOf(want)
      try {
        if (this.#entries.size + opened.size === FILES_MAX)
          throw new FileFault(`is one file too many: at most ${FILES_MAX} are read`)
        await entry.file.open()
        opened.set(key, entry)
      } catch (error) {
        if (!(error instanceof FileFault)) throw error
        faults.push({ pointer: want.pointer, message: `${entry.path} ${error.message}` })
      }
    }
    if (faults.length > 0) {
      for (const { file } of opened.values()) file.close()
      throw new TurnoutError(
        'invalid',
        'Files that rules, countries, keys or pages are read from cannot be used.',
        faults,
      )
    }
    for (const [key, entry] of opened) this.#entries.set(key, entry)
  }

  /** Faults of changed services that look up what is not there, and what they did not look up before. */
  faults(before: Services, after: Services, names: readonly string[]): Fault[] {
    return names.flatMap((name) => {
      if (!Object.hasOwn(after, name)) return []
      const had = Object.hasOwn(before, name) ? needsOfService(before[name]).map(keyOf) : []
      return needsOfServices({ [name]: after[name] }, '')
        .filter((need) => !this.#isThere(need) && !had.includes(keyOf(need)))
        .map(({ pointer, kind, name: file }) => ({
          pointer,
          message:
            kind === 'countries'
              ? NOT_NAMED.countries
              : `${JSON.stringify(file)} is no file that the config file of this Turnout names, and no other is read`,
        }))
    })
  }

  /** Tells from now on what happens, and which live services look up what is not there. */
  follow(control: Pick<Control, 'snapshot' | 'subscribe'> & { publish(event: NewEvent): void }): void {
    this.#publish = (event) => control.publish(event)
    this.#end = control.subscribe(({ type, service }) => {
      if (type === 'change') this.#look(control.snapshot().services, service)
    })
    this.#look(control.snapshot().services, null)
  }

  /** Each of them, in the order in which they came. */
  told(): readonly ToldLookup[] {
    const read = [...this.#entries.values()].map(({ kind, name, file, content }) => {
      const { readAtMs, fault } = file
      return { kind, name, entries: content.entries, content: content.words, readAtMs, fault }
    })
    return [...read, ...this.#missed().values()]
  }

  close(): void {
    this.#end()
    for (const { file } of this.#entries.values()) file.close()
  }

  #isThere({ kind, name }: Pick<Entry, 'kind' | 'name'>): boolean {
    return kind === 'countries' ? this.#deps.country !== undefined : this.#entries.has(keyOf({ kind, name }))
  }

  /** Each of those that are missing once, whichever services look it up. */
  #missed(): ReadonlyMap<string, ToldLookup> {
    const missing = [...this.#missing.values()].flat().filter((told) => !this.#isThere(told))
    return new Map(missing.map((told) => [keyOf(told), told]))
  }

  /** Looks at a service that has changed; null for all of them. */
  #look(services: Services, changed: string | null): void {
    const before = this.#missed()
    for (const service of changed === null ? [...this.#missing.keys(), ...Object.keys(services)] : [changed]) {
      const needs = Object.hasOwn(services, service) ? needsOfService(services[service]) : []
      const missing = needs.filter((need) => !this.#isThere(need))
      if (missing.length === 0) this.#missing.delete(service)
      else this.#missing.set(service, missing.map(missingOf))
    }
    for (const [key, { name, fault }] of this.#missed()) {
      if (!before.has(key)) this.#tell(name, name === '' ? `${fault}` : `${name}: ${fault}`, true)
    }
  }

  #entryOf({ kind, name }: Wanted): Entry {
    const { clock, directory, secret, give } = this.#deps
    const path = isUrl(name) ? name : resolve(directory, name)
    let before = 0
    const options = {
      path,
      bytesMax: BYTES_MAX[kind],
      clock,
      async take(bytes: Uint8Array<SharedArrayBuffer>) {
        const content = await CONTENT_OF[kind](bytes, secret())
        before = entry.content.entries
        entry.content = content
        give({ kind, name, memory: content.memory })
      },
      tell: (fault: string | null) => {
        const { entries, words } = entry.content
        const kept = words === '' ? 'there is none yet' : `what was read before (${words}) stays in use`
        // A list that was cut off looks like one that is shorter.
        const isCut = kind === 'visitors' && entries < before / 2
        const shrank = isCut ? `, where there were ${before}: is it whole?` : ''
        if (fault === null) this.#tell(name, `${name} was read again: ${words}${shrank}`, false, isCut)
        else this.#tell(name, `${name} ${fault}; ${kept}`, true)
      },
    }
    const file = isUrl(name) ? new WatchedUrl({ ...options, find: this.#deps.find }) : new WatchedFile(options)
    const entry: Entry = { kind, name, path, content: { entries: 0, words: '' }, file }
    return entry
  }

  #tell(name: string, message: string, isFault: boolean, isLoud = isFault): void {
    const data = { file: name, failing: isFault }
    if (isLoud) this.#deps.log.warn(data, message)
    else this.#deps.log.info(data, message)
    this.#publish({ type: 'lookup', service: null, message, data })
  }
}
