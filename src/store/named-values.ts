/**
 * The named values that go with a document when that is written again to a store that lost both, as this process knows them.
 *
 * Those that a start needs (the cookie keys, the config file as last applied) are in the local snapshot, too. Those that only a leader writes are not:
 * they would be out of date; who leads has read or written all of them, and others know them as they have been read.
 */
import { own } from '../config/record.ts'
import { LEADERS_KEYS } from './store.ts'

/** Those that a start needs. None of them is ever forgotten. */
export const NEEDED: readonly string[] = ['cookieKeys', 'cookieLayer', 'file', 'files']

export class NamedValues {
  #needed: Readonly<Record<string, string>> = {}
  readonly #leaders = new Map<string, string>()

  /** Whether a start needs it. */
  isNeeded(key: string): boolean {
    return NEEDED.includes(key)
  }

  /** Those that a start needs; another object after each change. */
  get needed(): Readonly<Record<string, string>> {
    return this.#needed
  }

  /** Those that only a leader writes. */
  get leaders(): ReadonlyMap<string, string> {
    return this.#leaders
  }

  needs(key: string): string | null {
    return own(this.#needed, key) ?? null
  }

  /** All that a start needs, as a snapshot has it. */
  begin(needed: Readonly<Record<string, string>>): void {
    this.#needed = needed
  }

  /** This is what stands in the store; null where there is none. */
  note(key: string, value: string | null): void {
    if (LEADERS_KEYS.test(key)) {
      if (value === null) this.#leaders.delete(key)
      else this.#leaders.set(key, value)
    }
    if (!this.isNeeded(key) || value === null || value === this.needs(key)) return
    this.#needed = { ...this.#needed, [key]: value }
  }
}
