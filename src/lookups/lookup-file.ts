/**
 * A file, or URL, that requests are looked up in: watched, and given to all threads whenever it was read, until it is let go.
 */
import type { LookupFunction } from 'node:net'
import { resolve } from 'node:path'
import type { Logger } from 'pino'
import type { Clock } from '../clock.ts'
import { isUrl } from '../config/called-url.ts'
import { PAGE_BYTES_MAX } from '../config/schema-maintenance.ts'
import type { Lookup, LookupName } from '../dataplane/lookups/lookups.ts'
import type { HashSecret } from '../table/half-sip-hash.ts'
import { type Content, countriesIn, keysIn, pageIn, visitorsIn } from './content.ts'
import { type Watched, WatchedFile } from './watched-file.ts'
import { WatchedUrl } from './watched-url.ts'

const BYTES_MAX = {
  visitors: 32 * 1_048_576,
  countries: 512 * 1_048_576,
  keys: 1_048_576,
  page: PAGE_BYTES_MAX,
} as const
const CONTENT_OF = { visitors: visitorsIn, countries: countriesIn, keys: keysIn, page: pageIn } as const

export interface LookupFileDeps {
  readonly clock: Pick<Clock, 'after' | 'every' | 'nowMs'>
  /** For `lookup` of node:net: where the host of a URL is. */
  readonly find: LookupFunction
  /** Folder that relative paths start from. */
  readonly directory: string
  /** A new secret, by chance. */
  secret(): HashSecret
  /** Gives something to all threads. */
  give(lookup: Lookup): void
  /** Has all threads forget what they were given. */
  takeBack(lookup: LookupName): void
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

/** Tells what has become of a file; a loud one is for people to look at. */
export type TellLookup = (name: string, message: string, isFault: boolean, isLoud?: boolean) => void

export class LookupFile {
  readonly kind: Lookup['kind']
  readonly name: string
  /** Absolute, or a URL. */
  readonly path: string
  readonly #deps: LookupFileDeps
  readonly #tell: TellLookup
  readonly #watched: Watched
  #content: Pick<Content, 'entries' | 'words'> = { entries: 0, words: '' }
  /** Visitors that were in use before. */
  #before = 0
  #isLetGo = false

  constructor({ kind, name }: LookupName, deps: LookupFileDeps, tell: TellLookup) {
    this.kind = kind
    this.name = name
    this.path = isUrl(name) ? name : resolve(deps.directory, name)
    this.#deps = deps
    this.#tell = tell
    const options = {
      path: this.path,
      bytesMax: BYTES_MAX[kind],
      clock: deps.clock,
      take: (bytes: Uint8Array<SharedArrayBuffer>) => this.#take(bytes),
      tell: (fault: string | null) => this.#told(fault),
    }
    this.#watched = isUrl(name) ? new WatchedUrl({ ...options, find: deps.find }) : new WatchedFile(options)
  }

  /** Reads it for the first time and watches it from then on; rejects with a `FileFault` when it cannot be used. */
  open(): Promise<void> {
    return this.#watched.open()
  }

  told(): ToldLookup {
    const { entries, words } = this.#content
    const { readAtMs, fault } = this.#watched
    return { kind: this.kind, name: this.name, entries, content: words, readAtMs, fault }
  }

  /** Watches it no more; threads keep what they have. */
  close(): void {
    this.#watched.close()
  }

  /** Watches it no more, and has all threads forget it. */
  letGo(): void {
    this.#isLetGo = true
    this.close()
    this.#deps.takeBack({ kind: this.kind, name: this.name })
  }

  async #take(bytes: Uint8Array<SharedArrayBuffer>): Promise<void> {
    const content = await CONTENT_OF[this.kind](bytes, this.#deps.secret())
    // Meanwhile, and threads would have it for good.
    if (this.#isLetGo) return
    this.#before = this.#content.entries
    this.#content = content
    this.#deps.give({ kind: this.kind, name: this.name, memory: content.memory })
  }

  #told(fault: string | null): void {
    const { kind, name } = this
    const { entries, words } = this.#content
    const kept = words === '' ? 'there is none yet' : `what was read before (${words}) stays in use`
    // A list that was cut off looks like one that is shorter.
    const isCut = kind === 'visitors' && entries < this.#before / 2
    const shrank = isCut ? `, where there were ${this.#before}: is it whole?` : ''
    if (fault === null) this.#tell(name, `${name} was read again: ${words}${shrank}`, false, isCut)
    else this.#tell(name, `${name} ${fault}; ${kept}`, true)
  }
}
