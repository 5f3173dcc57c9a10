/**
 * The posts of a metric that came under a key, the last `KEYS_MAX` of them, and what has become of each. Pure.
 *
 *   waits, for the other side ──► judged, on its way to the tests ──► settled: the tests have it, or never will
 *
 * They are kept with the tests and written with them at once, those that are settled alone. So whatever of a post has outlived a restart is known
 * again when it is sent once more, and what was lost is taken like a new one. Some characters of each are enough: of a thousand posts one is taken for
 * another in one case of 10^12.
 */
import { hashString } from '../../table/bucket.ts'
import type { PostAnswer } from './posted.ts'

/** Answers by key that are remembered. */
export const KEYS_MAX = 1_000

/** Characters of a key, and of what was posted under it; one more says whether it counts. */
const KEY_LENGTH = 11
const CONTENT_LENGTH = 4
const LENGTH = KEY_LENGTH + CONTENT_LENGTH + 1

const COUNTED: PostAnswer = { counted: true, reason: null }
const NOT_COUNTED: PostAnswer = { counted: false, reason: 'it did not count when it was sent first, before a restart' }

type Stage = 'waits' | 'judged' | 'settled'

interface Known {
  readonly content: string
  answer: PostAnswer
  stage: Stage
}

const keyOf = (text: string): string =>
  (hashString(text) * 2 ** 20 + (hashString(text, 1) >>> 12)).toString(36).padStart(KEY_LENGTH, '0')
const contentOf = (text: string): string =>
  (hashString(text) % 36 ** CONTENT_LENGTH).toString(36).padStart(CONTENT_LENGTH, '0')

export class Keys {
  /** The oldest first. */
  readonly #known = new Map<string, Known>()
  /** Those that are not settled. */
  readonly #open = new Set<Known>()

  /** `kept` is what `kept` was before a restart. */
  constructor(kept = '') {
    for (let at = 0; at + LENGTH <= kept.length; at += LENGTH) {
      const content = kept.slice(at + KEY_LENGTH, at + LENGTH - 1)
      const answer = kept[at + LENGTH - 1] === '1' ? COUNTED : NOT_COUNTED
      this.#known.set(kept.slice(at, at + KEY_LENGTH), { content, answer, stage: 'settled' })
    }
  }

  /** Those that are settled, to be kept. */
  get kept(): string {
    let text = ''
    for (const [key, { content, answer, stage }] of this.#known) {
      if (stage === 'settled') text += key + content + (answer.counted ? '1' : '0')
    }
    return text
  }

  /** How a post of before stands that had this key; undefined where there was none, null where it was another one. */
  answerTo(key: string, content: string): PostAnswer | null | undefined {
    const known = this.#known.get(keyOf(key))
    if (known === undefined) return undefined
    return known.content === contentOf(content) ? known.answer : null
  }

  add(key: string, content: string, answer: PostAnswer, stage: Stage): void {
    const known: Known = { content: contentOf(content), answer, stage }
    this.#known.set(keyOf(key), known)
    if (stage !== 'settled') this.#open.add(known)
    for (const [oldest, of] of this.#known) {
      if (this.#known.size <= KEYS_MAX) break
      this.#known.delete(oldest)
      this.#open.delete(of)
    }
  }

  /** All of a stage have come to the next one, and are answered so from now on, if otherwise than before. */
  move(from: Stage, to: Stage, answer?: PostAnswer): void {
    for (const known of this.#open) {
      if (known.stage !== from) continue
      known.stage = to
      known.answer = answer ?? known.answer
      if (to === 'settled') this.#open.delete(known)
    }
  }
}
