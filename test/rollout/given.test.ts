/** Metrics that are given from outside: what counts of what comes. */
import { describe, expect, test } from 'vitest'
import { type Post, Posted } from '../../src/rollout/given/posted.ts'

describe('posted counts', () => {
  const plan = { kind: 'posted', name: 'conversion', margin: 0.02, isOptional: false } as const
  const post = (pool: string, good: number, bad: number, more: Partial<Post> = {}): Post => ({
    pool,
    good,
    bad,
    overMs: null,
    key: null,
    ...more,
  })
  function begun(): Posted {
    const posted = new Posted(plan)
    posted.beginStep(true, 1_000)
    return posted
  }

  test('count from the second post of each pool on, since the first may reach back before the step', () => {
    const posted = begun()
    expect(posted.post(post('green', 41, 2), 'canary', 2_000)).toEqual({
      counted: false,
      reason: expect.stringContaining('the first of green in this step'),
    })
    expect(posted.post(post('green', 10, 1), 'canary', 3_000)).toEqual({ counted: true, reason: null })
    expect(posted.post(post('blue', 90, 3), 'control', 3_000)?.counted).toBe(false)
    expect(posted.post(post('blue', 90, 4), 'control', 4_000)?.counted).toBe(true)
    expect(posted.take()).toEqual({ canary: 11, canaryBad: 1, control: 94, controlBad: 4 })
    expect(posted.take()).toEqual({ canary: 0, canaryBad: 0, control: 0, controlBad: 0 })
    posted.beginStep(true, 5_000)
    expect(posted.post(post('green', 10, 1), 'canary', 6_000)?.counted).toBe(false)
  })

  test('with the time over which they were counted, count when all of it lies within the step', () => {
    const posted = begun()
    expect(posted.post(post('green', 5, 0, { overMs: 1_000 }), 'canary', 1_999)).toEqual({
      counted: false,
      reason: 'the step began 999 ms ago, and this reaches back 1000 ms',
    })
    expect(posted.post(post('green', 5, 0, { overMs: 1_000 }), 'canary', 2_000)?.counted).toBe(true)
    expect(posted.take().canary).toBe(5)
  })

  test('that wait when a step begins are dropped, and where one side has all the traffic nothing counts', () => {
    const posted = begun()
    posted.post(post('green', 5, 0), 'canary', 2_000)
    posted.post(post('green', 5, 0), 'canary', 2_000)
    posted.beginStep(false, 3_000)
    expect(posted.take().canary).toBe(0)
    for (let n = 0; n < 2; n++) {
      expect(posted.post(post('green', 5, 0), 'canary', 4_000)?.reason).toMatch(/nothing is compared/)
    }
  })

  test('that are sent again under their key count once, and a key that stood for another post is told', () => {
    const posted = begun()
    posted.post(post('green', 1, 0), 'canary', 2_000)
    const keyed = post('green', 5, 1, { key: 'a' })
    expect(posted.post(keyed, 'canary', 2_000)).toEqual({ counted: true, reason: null })
    expect(posted.post(keyed, 'canary', 3_000)).toEqual({ counted: true, reason: null })
    expect(posted.post({ ...keyed, bad: 2 }, 'canary', 3_000)).toBe(null)
    expect(posted.take()).toMatchObject({ canary: 6, canaryBad: 1 })
    // Only the last keys are remembered.
    for (let n = 0; n < 1_000; n++) posted.post(post('green', 0, 0, { key: `k${n}` }), 'canary', 4_000)
    expect(posted.post({ ...keyed, bad: 2 }, 'canary', 5_000)).toEqual({ counted: true, reason: null })
  })
})
