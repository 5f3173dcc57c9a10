/**
 * The files that requests are looked up in, on the main thread: read at the start, watched, and given to all threads.
 *
 * Invariants:
 * - Only files that the config file names are read, as it was read at the start or by SIGHUP: never one that is named by the API, by an
 *   applied text or by the store alone, or whoever may change rules could find out what stands in any file of this machine.
 * - A file is there in every thread before a table that names it. One that cannot be used at first is a fault of the config; later, what
 *   was there before stays in use.
 * - Nothing that stands in a file is told, but how much it is.
 */
import { isUtf8 } from 'node:buffer'
import { resolve } from 'node:path'
import type { Logger } from 'pino'
import type { Control } from '../change.ts'
import type { Clock } from '../clock.ts'
import type { Services } from '../config/schema.ts'
import type { NewEvent } from '../control/events.ts'
import type { Lookup } from '../dataplane/lookups.ts'
import { type Fault, TurnoutError } from '../errors.ts'
import type { HashSecret } from '../table/half-sip-hash.ts'
import { ListFault, packVisitors, VisitorList } from '../table/visitor-list.ts'
import { filesOfRules, filesOfServices } from './named-files.ts'
import { FileFault, WatchedFile } from './watched-file.ts'

/** Files of visitors of a process. */
export const FILES_MAX = 32
const FILE_BYTES_MAX = 32 * 1_048_576
const NOT_NAMED = 'the config file does not name it, so nobody is in it'

export interface LookupsDeps {
  readonly clock: Pick<Clock, 'every' | 'nowMs'>
  /** Folder that relative paths start from. */
  readonly directory: string
  /** A new secret, by chance. */
  secret(): HashSecret
  /** Gives something to all threads. */
  give(lookup: Lookup): void
  readonly log: Pick<Logger, 'info' | 'warn'>
}

/** Rejects as `LookupFiles.open` would at a start. */
export async function checkLookups(services: Services, directory: string): Promise<void> {
  const clock = { every: () => () => {}, nowMs: () => 0 }
  const log = { info() {}, warn() {} }
  await new LookupFiles({ clock, directory, secret: () => [0, 0], give() {}, log }).open(services)
}

/** What is told of one of them. */
export interface ToldLookup {
  /** The file, as conditions name it. */
  readonly name: string
  /** Visitors in it. */
  readonly entries: number
  /** When what is in use was read, in wall time; 0 for never. */
  readonly readAtMs: number
  /** Why what is in it now is not in use; null when it is. */
  readonly fault: string | null
}

interface Entry {
  readonly file: WatchedFile
  entries: number
}

export class LookupFiles {
  readonly #deps: LookupsDeps
  readonly #entries = new Map<string, Entry>()
  /** Files that live services name, and that the config file does not. */
  #unread: ReadonlySet<string> = new Set()
  #publish = (_event: NewEvent): void => {}
  #end = () => {}

  constructor(deps: LookupsDeps) {
    this.#deps = deps
  }

  /** Reads every file that these services of the config file name, and that is not there yet. Rejects with `invalid` and every fault. */
  async open(services: Services): Promise<void> {
    const faults: Fault[] = []
    const opened = new Map<string, Entry>()
    for (const { pointer, file: name } of filesOfServices(services, '/services')) {
      if (this.#entries.has(name) || opened.has(name)) continue
      const path = resolve(this.#deps.directory, name)
      const entry = this.#entryOf(name, path)
      try {
        if (this.#entries.size + opened.size === FILES_MAX)
          throw new FileFault(`is one file too many: at most ${FILES_MAX} are read`)
        await entry.file.open()
        opened.set(name, entry)
      } catch (error) {
        if (!(error instanceof FileFault)) throw error
        faults.push({ pointer, message: `${path} ${error.message}` })
      }
    }
    if (faults.length > 0) {
      for (const { file } of opened.values()) file.close()
      throw new TurnoutError('invalid', 'Files of visitors cannot be used.', faults)
    }
    for (const [name, entry] of opened) this.#entries.set(name, entry)
  }

  /** Faults of changed services that name a file which they did not name before, and which the config file does not name. */
  faults(before: Services, after: Services, names: readonly string[]): Fault[] {
    return names.flatMap((name) => {
      if (!Object.hasOwn(after, name)) return []
      const had = Object.hasOwn(before, name) ? filesOfRules(before[name].rules).map(({ file }) => file) : []
      return filesOfServices({ [name]: after[name] }, '')
        .filter(({ file }) => !this.#entries.has(file) && !had.includes(file))
        .map(({ pointer, file }) => ({
          pointer,
          message: `${JSON.stringify(file)} is no file that the config file of this Turnout names, and no other is read`,
        }))
    })
  }

  /** Tells from now on what happens, and which live services name files that are not read. */
  follow(control: Pick<Control, 'snapshot' | 'subscribe'> & { publish(event: NewEvent): void }): void {
    this.#publish = (event) => control.publish(event)
    const look = () => this.#look(control.snapshot().services)
    this.#end = control.subscribe(({ type }) => {
      if (type === 'change') look()
    })
    look()
  }

  /** Each of them, in the order in which they came. */
  told(): readonly ToldLookup[] {
    const read = [...this.#entries].map(([name, { file, entries }]) => {
      const { readAtMs, fault } = file
      return { name, entries, readAtMs, fault }
    })
    const unread = [...this.#unread].map((name) => ({ name, entries: 0, readAtMs: 0, fault: NOT_NAMED }))
    return [...read, ...unread]
  }

  close(): void {
    this.#end()
    for (const { file } of this.#entries.values()) file.close()
  }

  #look(services: Services): void {
    const before = this.#unread
    const named = filesOfServices(services, '').map(({ file }) => file)
    this.#unread = new Set(named.filter((file) => !this.#entries.has(file)))
    for (const name of this.#unread) if (!before.has(name)) this.#tell(name, `${name}: ${NOT_NAMED}`, true)
  }

  #entryOf(name: string, path: string): Entry {
    const { clock } = this.#deps
    const entry: Entry = {
      entries: 0,
      file: new WatchedFile({
        path,
        bytesMax: FILE_BYTES_MAX,
        clock,
        take: async (bytes) => {
          const memory = await this.#pack(bytes)
          entry.entries = new VisitorList(memory).count
          this.#deps.give({ kind: 'visitors', name, memory })
        },
        tell: (fault) => {
          const visitors = `${entry.entries} visitors`
          if (fault === null) this.#tell(name, `${name} was read again: ${visitors}`, false)
          else this.#tell(name, `${name} ${fault}; the ${visitors} of before stay in use`, true)
        },
      }),
    }
    return entry
  }

  async #pack(bytes: Uint8Array): Promise<SharedArrayBuffer> {
    if (!isUtf8(bytes)) throw new FileFault('is no text in UTF-8')
    const steps = packVisitors(bytes, this.#deps.secret())
    try {
      for (let step = steps.next(); ; step = steps.next()) {
        if (step.done === true) return step.value
        await new Promise((done) => setImmediate(done))
      }
    } catch (error) {
      throw error instanceof ListFault ? new FileFault(error.message) : error
    }
  }

  #tell(name: string, message: string, isFault: boolean): void {
    const data = { file: name, failing: isFault }
    if (isFault) this.#deps.log.warn(data, message)
    else this.#deps.log.info(data, message)
    this.#publish({ type: 'lookup', service: null, message, data })
  }
}
