/**
 * The files that requests are looked up in, on the main thread: read at the start, watched, and given to all threads.
 *
 * Invariants:
 * - Only files that the config file names are read, as it was read at the start or by SIGHUP: never one that is named by the API, by an
 *   applied text or by the store alone, or whoever may change rules could find out what stands in any file of this machine.
 * - What rules look up is there in every thread before a table that names it. A file that cannot be used at first is a fault of the
 *   config; later, what was there before stays in use.
 * - What neither the config file names any more nor a live service is let go by all threads, with the reload or the change after which it
 *   is so.
 * - Nothing that stands in a file is told, but how much it is.
 */
import type { Control } from '../change.ts'
import { calledUrlFault, isUrl } from '../config/called-url.ts'
import type { Services, Spec } from '../config/schema.ts'
import type { NewEvent } from '../control/events.ts'
import type { LookupName } from '../dataplane/lookups/lookups.ts'
import { type Fault, TurnoutError } from '../errors.ts'
import type { Need } from '../table/conditions/kind.ts'
import { LookupFile, type LookupFileDeps, type ToldLookup } from './lookup-file.ts'
import { needsOfService, needsOfServices } from './needs.ts'
import { FileFault } from './watched-file.ts'

/** Files of a config. */
export const FILES_MAX = 32
/** Why rules look up what is not there. */
const NOT_NAMED = {
  visitors: 'the config file does not name it, so nobody is in it',
  countries: 'the config file says nobody who tells the country of a client (country), so nobody is in one',
  page: 'the config file does not name it, so a page of Turnout itself is given',
} as const

export interface LookupsDeps extends LookupFileDeps {
  /** Who tells countries. */
  readonly country: Spec['country']
  /** By what JWTs are verified. */
  readonly jwt: Spec['jwt']
}

const missingOf = ({ kind, name }: Need): ToldLookup => ({
  kind,
  name,
  entries: 0,
  content: '',
  readAtMs: 0,
  fault: NOT_NAMED[kind],
})

type Wanted = LookupName & { readonly pointer: string }
const keyOf = ({ kind, name }: LookupName): string => `${kind} ${name}`

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
    takeBack() {},
    log,
  }).open(services)
}

export class LookupFiles {
  readonly #deps: LookupsDeps
  readonly #files = new Map<string, LookupFile>()
  /** What live services look up and is not there, by service. */
  readonly #missing = new Map<string, readonly ToldLookup[]>()
  /** What the config file names that was applied last, and those that are being applied. */
  #named: ReadonlySet<string> = new Set()
  readonly #underWay = new Set<ReadonlySet<string>>()
  /** One file of the config is read at a time: what one has let go of another would miss. */
  #turn: Promise<void> = Promise.resolve()
  /** null: not known yet. */
  #live: (() => Services) | null = null
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
    await this.openAgain(services, async () => {})
  }

  /** The same for a file that is then applied; ends as that does. */
  async openAgain<T>(services: Services, apply: () => Promise<T>): Promise<T> {
    const { wanted, faults } = this.#wantedBy(services)
    const keys = new Set(wanted.map(keyOf))
    this.#underWay.add(keys)
    let applied: T
    try {
      // What a file has named that was refused: it may have been stored all the same, so it was kept.
      this.#letGoUnneeded()
      const read = this.#turn.then(() => this.#read(wanted, keys, faults))
      this.#turn = read.catch(() => {})
      await read
      applied = await apply()
      this.#named = keys
    } finally {
      this.#underWay.delete(keys)
    }
    this.#letGoUnneeded()
    return applied
  }

  #wantedBy(services: Services): { readonly wanted: readonly Wanted[]; readonly faults: Fault[] } {
    const needs = needsOfServices(services, '/services')
    const missing = needs.filter((need) => need.kind === 'countries' && !this.#isThere(need))
    const wanted: Wanted[] = needs.filter(({ kind }) => kind !== 'countries')
    const database = this.#deps.country?.file
    if (database !== undefined) wanted.push({ kind: 'countries', name: database, pointer: '/country/file' })
    const jwks = this.#deps.jwt?.jwks
    if (jwks !== undefined) wanted.push({ kind: 'keys', name: jwks, pointer: '/jwt/jwks' })
    return { wanted, faults: missing.map(({ pointer }) => ({ pointer, message: NOT_NAMED.countries })) }
  }

  /** Reads what is wanted and not there yet; rejects when there are faults, and has read nothing then. */
  async #read(wanted: readonly Wanted[], keys: ReadonlySet<string>, faults: Fault[]): Promise<void> {
    const opened = new Map<string, LookupFile>()
    const tooMany = new Set([...keys].slice(FILES_MAX))
    for (const want of wanted) {
      const key = keyOf(want)
      if (this.#files.has(key) || opened.has(key)) continue
      // A URL that nobody can be asked by stays one, whoever waits.
      const urlFault = isUrl(want.name) ? calledUrlFault(want.name) : null
      if (urlFault !== null) {
        faults.push({ pointer: want.pointer, message: urlFault })
        continue
      }
      const file = new LookupFile(want, this.#deps, (...told) => this.#tell(...told))
      try {
        if (tooMany.has(key)) throw new FileFault(`is one file too many: at most ${FILES_MAX} are read`)
        await file.open()
        opened.set(key, file)
      } catch (error) {
        if (!(error instanceof FileFault)) throw error
        faults.push({ pointer: want.pointer, message: `${file.path} ${error.message}` })
      }
    }
    if (faults.length > 0) {
      for (const file of opened.values()) file.letGo()
      throw new TurnoutError(
        'invalid',
        'Files that rules, countries, keys or pages are read from cannot be used.',
        faults,
      )
    }
    for (const [key, file] of opened) this.#files.set(key, file)
  }

  /** Lets go of what neither the config file names nor a live service. */
  #letGoUnneeded(): void {
    const spare = [...this.#files].filter(([key]) => !this.#named.has(key) && !this.#isUnderWay(key))
    if (spare.length === 0 || this.#live === null) return
    const live = new Set(needsOfServices(this.#live(), '').map(keyOf))
    for (const [key, file] of spare) {
      if (live.has(key)) continue
      this.#files.delete(key)
      file.letGo()
      this.#tell(file.name, `${file.name} is no longer read: neither the config file nor a service names it`, false)
    }
  }

  #isUnderWay(key: string): boolean {
    return [...this.#underWay].some((keys) => keys.has(key))
  }

  /** Faults of changed services that look up what the config file does not name, and what they did not look up before. */
  faults(before: Services, after: Services, names: readonly string[]): Fault[] {
    return names.flatMap((name) => {
      if (!Object.hasOwn(after, name)) return []
      const had = Object.hasOwn(before, name) ? needsOfService(before[name]).map(keyOf) : []
      return needsOfServices({ [name]: after[name] }, '')
        .filter((need) => !this.#mayName(need) && !had.includes(keyOf(need)))
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
    this.#live = () => control.snapshot().services
    this.#end = control.subscribe(({ type, service }) => {
      if (type !== 'change') return
      this.#look(control.snapshot().services, service)
      this.#letGoUnneeded()
    })
    this.#look(control.snapshot().services, null)
  }

  /** Each of them, in the order in which they came. */
  told(): readonly ToldLookup[] {
    return [...[...this.#files.values()].map((file) => file.told()), ...this.#missed().values()]
  }

  close(): void {
    this.#end()
    for (const file of this.#files.values()) file.close()
  }

  #isThere({ kind, name }: LookupName): boolean {
    return kind === 'countries' ? this.#deps.country !== undefined : this.#files.has(keyOf({ kind, name }))
  }

  /** Whether a change may name it: what a file does not that is being applied will soon be let go. */
  #mayName(need: Need): boolean {
    if (need.kind === 'countries') return this.#isThere(need)
    return this.#underWay.size > 0 ? this.#isUnderWay(keyOf(need)) : this.#named.has(keyOf(need))
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

  #tell(name: string, message: string, isFault: boolean, isLoud = isFault): void {
    const data = { file: name, failing: isFault }
    if (isLoud) this.#deps.log.warn(data, message)
    else this.#deps.log.info(data, message)
    this.#publish({ type: 'lookup', service: null, message, data })
  }
}
