/** What a store has to tell: kept for a listener that comes later, a few at most, and then given to it at once. */
import type { LocalNews } from './store.ts'

const KEPT_MAX = 10

export class News {
  readonly #kept: LocalNews[] = []
  #heard: ((news: LocalNews) => void) | null = null

  tell(level: LocalNews['level'], message: string, data: LocalNews['data'] = {}): void {
    const news = { level, message, data }
    if (this.#heard !== null) this.#heard(news)
    else if (this.#kept.length < KEPT_MAX) this.#kept.push(news)
  }

  listen(heard: (news: LocalNews) => void): void {
    this.#heard = heard
    for (const news of this.#kept.splice(0)) heard(news)
  }
}
