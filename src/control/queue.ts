/**
 * One job at a time, in order. This is what makes control the *one* writer: a job sees what the one before it left and is
 * not interrupted by the next. The line is bounded, since a caller who is turned away at once can react, and one who waits
 * for minutes cannot.
 *
 * A job that finds the store locked by another process has changed nothing, and is tried again from its beginning. Until then it keeps its
 * place before those that came later, but urgent ones pass: neither health nor a way back waits for somebody else's lock.
 */
import { Patience } from '../busy.ts'
import type { Clock } from '../clock.ts'
import { TurnoutError } from '../errors.ts'

/** A line of jobs. */
export interface Queue {
  /** Runs the job when all before it are done. Rejects with `overloaded` when too many wait; an urgent job goes first. */
  run<T>(job: () => Promise<T>, urgent?: boolean): Promise<T>
}

interface Entry {
  /** Does it; gives the pause in ms before it is to be tried again, or null when it has ended. */
  attempt(): Promise<number | null>
  /** Not before this moment. */
  atMs: number
}

/** A queue in which at most `waitingMax` jobs wait, urgent ones not counted. A job never begins before `run` returned. */
export function createQueue(waitingMax: number, clock: Pick<Clock, 'after' | 'monotonicMs'>): Queue {
  const urgent: Entry[] = []
  const waiting: Entry[] = []
  let running = false
  let wake = (): void => {}

  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const cancel = clock.after(ms, resolve)
      wake = () => {
        cancel()
        resolve()
      }
    })

  async function work(): Promise<void> {
    while (urgent.length > 0 || waiting.length > 0) {
      const first = urgent.shift() ?? waiting.shift()!
      const earlyMs = first.atMs - clock.monotonicMs()
      const pauseMs = earlyMs > 0 ? null : await first.attempt()
      if (pauseMs !== null) first.atMs = clock.monotonicMs() + pauseMs
      if (pauseMs === null && earlyMs <= 0) continue
      waiting.unshift(first)
      if (urgent.length === 0) await pause(pauseMs ?? earlyMs)
    }
    running = false
  }

  return {
    async run<T>(job: () => Promise<T>, isUrgent = false): Promise<T> {
      if (!isUrgent && waiting.length >= waitingMax) {
        throw new TurnoutError('overloaded', 'Too many changes are waiting.')
      }
      const { promise, resolve, reject } = Promise.withResolvers<T>()
      const patience = new Patience(clock)
      const attempt = async (): Promise<number | null> => {
        try {
          resolve(await job())
        } catch (error) {
          const pauseMs = patience.pauseMs(error)
          if (pauseMs !== null) return pauseMs
          reject(error)
        }
        return null
      }
      const line = isUrgent ? urgent : waiting
      line.push({ attempt, atMs: -Infinity })
      if (isUrgent) wake()
      if (!running) {
        running = true
        queueMicrotask(work)
      }
      return promise
    },
  }
}
