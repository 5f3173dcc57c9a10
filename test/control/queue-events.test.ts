import { describe, expect, test } from 'vitest'
import { BUSY_MS, StoreBusy } from '../../src/busy.ts'
import { systemClock } from '../../src/clock.ts'
import { EVENTS_KEPT } from '../../src/config/event-types.ts'
import { createEvents, type NewEvent } from '../../src/control/events.ts'
import { createQueue } from '../../src/control/queue.ts'
import { codeOf, gate, standingClock } from './stand-in.ts'

describe('the queue', () => {
  test('runs one job at a time in order, and an urgent one next', async () => {
    const queue = createQueue(10, systemClock)
    const seen: string[] = []
    const { promise, open } = gate()
    const jobs = [
      queue.run(async () => {
        seen.push('a')
        await promise
        seen.push('a ends')
      }),
      queue.run(async () => void seen.push('b')),
      queue.run(async () => void seen.push('c')),
    ]
    await Promise.resolve()
    jobs.push(queue.run(async () => void seen.push('urgent'), true))
    open()
    await Promise.all(jobs)
    expect(seen).toEqual(['a', 'a ends', 'urgent', 'b', 'c'])
  })

  test('tries a job again that has found the store locked, in its place; urgent ones pass it, and after a second it fails', async () => {
    const { clock, advance } = standingClock()
    const queue = createQueue(10, clock)
    const seen: string[] = []
    let isLocked = true
    const jobs = ['a', 'b'].map((name) =>
      queue.run(async () => {
        seen.push(name)
        if (isLocked) throw new StoreBusy('locked')
      }),
    )
    await advance(20)
    expect(new Set(seen)).toEqual(new Set(['a']))
    seen.length = 0
    await queue.run(async () => void seen.push('urgent'), true)
    expect(seen).toEqual(['urgent'])
    isLocked = false
    await advance(100)
    await Promise.all(jobs)
    expect(seen).toEqual(['urgent', 'a', 'b'])
    isLocked = true
    const failed = codeOf(() =>
      queue.run(async () => {
        throw new StoreBusy('locked')
      }),
    )
    await advance(BUSY_MS - 100)
    expect(await Promise.race([failed, 'it is tried'])).toBe('it is tried')
    await advance(300)
    expect(await failed).toBe('store_unavailable')
  })

  test('goes on after a job that failed, and tells only its caller', async () => {
    const queue = createQueue(10, systemClock)
    const failed = queue.run(async () => {
      throw new Error('no')
    })
    const done = queue.run(async () => 'yes')
    await expect(failed).rejects.toThrow('no')
    expect(await done).toBe('yes')
  })

  test('turns away who would be one too many, but not what is urgent', async () => {
    const queue = createQueue(2, systemClock)
    const { promise, open } = gate()
    const running = queue.run(() => promise)
    await Promise.resolve()
    const waiting = [queue.run(async () => 1), queue.run(async () => 2)]
    expect(await codeOf(() => queue.run(async () => 3))).toBe('overloaded')
    waiting.push(queue.run(async () => 4, true))
    open()
    await running
    expect(await Promise.all(waiting)).toEqual([1, 2, 4])
    expect(await queue.run(async () => 5)).toBe(5)
  })
})

describe('events', () => {
  const event = (message = ''): NewEvent => ({ type: 'worker', service: null, message, data: {} })
  const start = () => {
    const failures: unknown[] = []
    const log = { info() {}, warn() {}, error: (said: unknown) => void failures.push(said) }
    return { failures, events: createEvents(standingClock(42).clock, log) }
  }

  test('are numbered from 1 with their time, and listed oldest first', () => {
    const { events } = start()
    events.publish(event('one'))
    events.publish(event('two'))
    expect(events.list()).toEqual([
      { id: 1, atMs: 42, ...event('one') },
      { id: 2, atMs: 42, ...event('two') },
    ])
    expect(events.list(1).map(({ id }) => id)).toEqual([2])
    expect(events.list(2)).toEqual([])
  })

  test(`are kept up to ${EVENTS_KEPT}`, () => {
    const { events } = start()
    for (let n = 0; n < 3 * EVENTS_KEPT + 5; n++) events.publish(event())
    const list = events.list()
    expect(list).toHaveLength(EVENTS_KEPT)
    expect(list[0].id).toBe(2 * EVENTS_KEPT + 6)
  })

  test('are all given to who asks with a number of an earlier process', () => {
    const { events } = start()
    events.publish(event())
    expect(events.list(900)).toHaveLength(1)
  })

  test('reach every listener, though one of them throws, until it ends its subscription', () => {
    const { events, failures } = start()
    const seen: number[] = []
    events.subscribe(() => {
      throw new Error('no')
    })
    const end = events.subscribe(({ id }) => void seen.push(id))
    events.publish(event())
    end()
    events.publish(event())
    expect(seen).toEqual([1])
    expect(failures).toHaveLength(2)
  })
})
