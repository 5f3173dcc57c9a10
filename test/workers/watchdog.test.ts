/** When a silent worker is taken for lost, and when not: without any thread, so to the millisecond. */
import { expect, test } from 'vitest'
import { CHECK_MS, type Pulse, type Verdict, Watchdog } from '../../src/workers/watchdog.ts'

/** A worker that does what the test says: `alive` moves, `cpuShare` burns, `answers` tells of it. */
class Worker implements Pulse {
  lifeMs = 1
  patience = 0
  cpu = 0
  cpuShare = 0
  answers = true
  canBeAsked = true
  asked = 0
  #nowMs = 0
  readonly #watchdog = new Watchdog(this)
  readonly #waiting: (() => void)[] = []

  life(): number {
    return this.lifeMs
  }
  patienceMs(): number {
    return this.patience
  }
  cpuMs(): Promise<number> | null {
    if (!this.canBeAsked) return null
    this.asked++
    const { cpu } = this
    if (this.answers) return Promise.resolve(cpu)
    return new Promise((resolve) => this.#waiting.push(() => resolve(cpu)))
  }

  /** Looks at it after a time. */
  async look(afterMs = CHECK_MS): Promise<Verdict | null> {
    this.#nowMs += afterMs
    this.cpu += afterMs * this.cpuShare
    const verdict = this.#watchdog.check(this.#nowMs)
    await Promise.resolve()
    await Promise.resolve()
    return verdict
  }

  /** Looks until there is a verdict, or the time is over. */
  async watch(forMs: number): Promise<{ verdict: Verdict | null; afterMs: number }> {
    for (let afterMs = CHECK_MS; afterMs <= forMs; afterMs += CHECK_MS) {
      const verdict = await this.look()
      if (verdict !== null) return { verdict, afterMs }
    }
    return { verdict: null, afterMs: forMs }
  }

  /** What it was asked so far is answered now. */
  answer(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

async function startWorker(state: Partial<Pick<Worker, 'cpuShare' | 'patience' | 'answers' | 'canBeAsked'>> = {}) {
  const worker = new Worker()
  await worker.look()
  return Object.assign(worker, state)
}

test('a worker that shows life at every look is never asked for anything', async () => {
  const worker = await startWorker({ cpuShare: 1 })
  for (let i = 0; i < 100; i++) {
    worker.lifeMs += CHECK_MS
    expect(await worker.look()).toBe(null)
  }
  expect(worker.asked).toBe(0)
})

test('a worker that burns CPU in silence loops, and that is known after 0.4 s', async () => {
  const worker = await startWorker({ cpuShare: 1 })
  expect(await worker.watch(10_000)).toEqual({ verdict: 'loop', afterMs: 400 })
})

test('a loop that gets only a part of a processor is known when it has burnt enough', async () => {
  const worker = await startWorker({ cpuShare: 0.25 })
  expect(await worker.watch(10_000)).toEqual({ verdict: 'loop', afterMs: 800 })
})

test('a worker that is silent without burning CPU gets three seconds', async () => {
  const worker = await startWorker()
  expect(await worker.watch(10_000)).toEqual({ verdict: 'silent', afterMs: 3_000 })
})

test('a worker that burns CPU but does not answer, as in a long garbage collection, gets three seconds', async () => {
  const worker = await startWorker({ cpuShare: 1, answers: false })
  expect(await worker.watch(10_000)).toEqual({ verdict: 'silent', afterMs: 3_000 })
  expect(worker.asked).toBe(1)
})

test('where CPU time cannot be asked for, a silent worker gets three seconds', async () => {
  const worker = await startWorker({ cpuShare: 1, canBeAsked: false })
  expect(await worker.watch(10_000)).toEqual({ verdict: 'silent', afterMs: 3_000 })
})

test('any sign of life begins the silence anew, and what was proven before counts no more', async () => {
  const worker = await startWorker({ cpuShare: 1 })
  for (let i = 0; i < 5; i++) {
    expect(await worker.watch(350)).toMatchObject({ verdict: null })
    worker.lifeMs++
    expect(await worker.look()).toBe(null)
  }
  worker.cpuShare = 0
  expect(await worker.watch(10_000)).toEqual({ verdict: 'silent', afterMs: 3_000 })
})

test('an answer that comes after a sign of life proves nothing', async () => {
  const worker = await startWorker({ cpuShare: 1, answers: false })
  expect(await worker.watch(350)).toMatchObject({ verdict: null })
  worker.lifeMs++
  await worker.look()
  Object.assign(worker, { answers: true, cpuShare: 0 })
  worker.answer()
  expect(await worker.watch(10_000)).toEqual({ verdict: 'silent', afterMs: 3_000 })
})

test('time in which nobody looked is not held against a worker', async () => {
  const worker = await startWorker({ cpuShare: 1 })
  expect(await worker.look(60_000)).toBe(null)
  worker.lifeMs++
  expect(await worker.look()).toBe(null)
})

test('a worker that has asked for patience gets it in addition, up to ten seconds', async () => {
  const patient = await startWorker({ cpuShare: 1, patience: 2_000 })
  expect(await patient.watch(30_000)).toEqual({ verdict: 'loop', afterMs: 2_400 })
  const greedy = await startWorker({ patience: 3_600_000 })
  expect(await greedy.watch(30_000)).toEqual({ verdict: 'silent', afterMs: 13_000 })
})
