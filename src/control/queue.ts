/**
 * One job at a time, in order. This is what makes control the *one* writer: a job sees what the one before it left and is
 * not interrupted by the next. The line is bounded, since a caller who is turned away at once can react, and one who waits
 * for minutes cannot.
 */
import { TurnoutError } from '../errors.ts'

/** A line of jobs. */
export interface Queue {
  /** Runs the job when all before it are done. Rejects with `overloaded` when too many wait; an urgent job goes first. */
  run<T>(job: () => Promise<T>, urgent?: boolean): Promise<T>
}

/** A queue in which at most `waitingMax` jobs wait, urgent ones not counted. A job never begins before `run` returned. */
export function createQueue(waitingMax: number): Queue {
  const waiting: (() => Promise<void>)[] = []
  let running = false

  async function work(): Promise<void> {
    for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) await job()
    running = false
  }

  return {
    async run<T>(job: () => Promise<T>, urgent = false): Promise<T> {
      if (!urgent && waiting.length >= waitingMax) throw new TurnoutError('overloaded', 'Too many changes are waiting.')
      const { promise, resolve } = Promise.withResolvers<T>()
      const entry = async () => {
        const done = job()
        resolve(done)
        await done.catch(() => {})
      }
      if (urgent) waiting.unshift(entry)
      else waiting.push(entry)
      if (!running) {
        running = true
        queueMicrotask(work)
      }
      return promise
    },
  }
}
