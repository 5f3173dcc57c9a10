/** Answers of the last moments, in slots of equal length: a fixed number of them, however many answers there are. */
export class AnswerWindow {
  readonly #slotMs: number
  readonly #answers: Float64Array
  readonly #bad: Float64Array
  /** Number of the slot that was written last, counted from time 0. */
  #last = -1

  constructor(lengthMs: number, slots: number) {
    // Of a window without length no slot would ever be the last.
    this.#slotMs = Math.max(1, lengthMs / slots)
    this.#answers = new Float64Array(slots)
    this.#bad = new Float64Array(slots)
  }

  add(nowMs: number, answers: number, bad: number): void {
    this.#moveTo(nowMs)
    const at = this.#last % this.#answers.length
    this.#answers[at] += answers
    this.#bad[at] += bad
  }

  /** Sums of the slots that are not over yet. */
  sums(nowMs: number): { readonly answers: number; readonly bad: number } {
    this.#moveTo(nowMs)
    const sum = (values: Float64Array) => values.reduce((total, value) => total + value, 0)
    return { answers: sum(this.#answers), bad: sum(this.#bad) }
  }

  clear(): void {
    this.#answers.fill(0)
    this.#bad.fill(0)
  }

  #moveTo(nowMs: number): void {
    const slot = Math.max(this.#last, Math.floor(nowMs / this.#slotMs))
    const { length } = this.#answers
    for (let next = Math.max(this.#last + 1, slot - length + 1); next <= slot; next++) {
      this.#answers[next % length] = 0
      this.#bad[next % length] = 0
    }
    this.#last = slot
  }
}
