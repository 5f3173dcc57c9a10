/** Random ids, cut from a text of many: asking the system for each would cost more than all else that is done with it. */
import { randomBytes } from 'node:crypto'

const ID_LENGTH = 32
const POOL_BYTES = 8_192

export class Ids {
  /** The last id that was given out. */
  last = ''
  #pool = ''
  #at = 0

  /** 32 random hexadecimal digits. Whoever keeps one for long keeps 16 KiB alive. */
  next(): string {
    if (this.#at === this.#pool.length) {
      this.#pool = randomBytes(POOL_BYTES).toString('hex')
      this.#at = 0
    }
    this.#at += ID_LENGTH
    this.last = this.#pool.slice(this.#at - ID_LENGTH, this.#at)
    return this.last
  }
}
