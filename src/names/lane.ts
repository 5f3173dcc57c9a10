/** Jobs in order of their coming, at most so many at a time; no job may reject. */
export class Lane {
  readonly #max: number
  readonly #waiting: (() => Promise<void>)[] = []
  #running = 0

  constructor(max: number) {
    this.#max = max
  }

  add(job: () => Promise<void>): void {
    this.#waiting.push(job)
    if (this.#running < this.#max) void this.#work()
  }

  async #work(): Promise<void> {
    this.#running++
    for (let job = this.#waiting.shift(); job !== undefined; job = this.#waiting.shift()) await job()
    this.#running--
  }
}
