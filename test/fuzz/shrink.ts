/**
 * Makes a message that shows a fault as short as it can, in bounded steps and time, with nothing kept between them: takes out
 * runs of whole lines first, then pieces of any size down to single bytes, over again while that helps, and puts plain letters
 * in the place of what does not matter.
 */

/** Trials, and time, after which the best so far must do. */
const TRIALS_MAX = 20_000
const TRIALS_MS_MAX = 20_000

class Shrinking {
  best: string
  readonly #fails: (text: string) => boolean
  readonly #startMs = performance.now()
  #trials = 0

  constructor(text: string, fails: (text: string) => boolean) {
    this.best = text
    this.#fails = fails
  }

  get isOver(): boolean {
    return this.#trials >= TRIALS_MAX || performance.now() - this.#startMs > TRIALS_MS_MAX
  }

  /** Puts something in the place of `best[from, to)` when it fails like that too. */
  put(from: number, to: number, piece: string): boolean {
    const candidate = this.best.slice(0, from) + piece + this.best.slice(to)
    if (this.isOver || candidate === this.best) return false
    this.#trials++
    if (!this.#fails(candidate)) return false
    this.best = candidate
    return true
  }
}

/** Takes out every run of lines that can be. */
function dropLines(shrinking: Shrinking): void {
  const starts = () => [0, ...[...shrinking.best.matchAll(/\n/g)].map(({ index }) => index + 1), shrinking.best.length]
  for (let first = 0; first < starts().length - 1; first++) {
    for (let last = starts().length - 1; last > first; last--) {
      if (shrinking.put(starts()[first], starts()[last], '')) last = starts().length
    }
  }
}

/** Takes out pieces, the largest first; tells whether it could. */
function dropPieces(shrinking: Shrinking): boolean {
  const before = shrinking.best.length
  for (let size = Math.ceil(before / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = shrinking.best.length - size; at > -size; at -= size) {
      shrinking.put(Math.max(0, at), Math.max(0, at) + size, '')
    }
  }
  return shrinking.best.length < before
}

/** The shortest text found for which `fails` holds; it must hold for `text`. */
export function shrink(text: string, fails: (text: string) => boolean): string {
  const shrinking = new Shrinking(text, fails)
  dropLines(shrinking)
  while (dropPieces(shrinking) && !shrinking.isOver);
  for (let at = 0; at < shrinking.best.length; at++) {
    if (/[b-zA-Z0-9\x80-\xff]/.test(shrinking.best[at])) shrinking.put(at, at + 1, 'a')
  }
  return shrinking.best
}
