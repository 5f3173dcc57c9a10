/** Posts that are sent again under their key after another process has taken the rollout up. */
import { setImmediate } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { Keys } from '../../src/rollout/given/keys.ts'
import { begun, type Stand, stand } from './stand.ts'

const VERDICT = { rate: { above: 0.05, over: '1m' }, metrics: [{ name: 'conversion' }] }
const ASKED = { steps: [{ weight: 50, for: '1h' }], verdict: VERDICT }
const counted = { counted: true, reason: null }

/** Posts 41 of each pool over two seconds, under the key `n`. */
function send({ rollouts }: Stand, n: number) {
  return ['green', 'blue'].map((pool) =>
    rollouts.post('shop', 'current', 'conversion', { pool, good: 40, bad: 1, overMs: 2_000, key: `${pool}${n}` }),
  )
}

const canaryOf = ({ rollouts }: Stand) => rollouts.running('shop')?.verdict?.metrics[0].canary

/** Time goes on, with its looks. */
async function passes({ clock }: Stand, seconds: number) {
  for (let tenth = 0; tenth < seconds * 10; tenth++) {
    clock.move(100)
    await setImmediate()
  }
}

/** Another process after this one, which ends without a word. */
async function after({ store, rollouts }: Stand): Promise<Stand> {
  await rollouts.close()
  const next = await stand(store)
  onTestFinished(() => next.rollouts.close())
  await next.rollouts.start()
  await passes(next, 3)
  return next
}

test('what is kept of them counts once, over however many restarts, and another post under such a key is told', async () => {
  const first = await begun(ASKED, 50)
  for (let n = 0; n < 4; n++) {
    await passes(first, 3)
    send(first, n)
  }
  await passes(first, 11)
  // The first interval only says how the next should be.
  expect(canaryOf(first)).toEqual({ all: 123, bad: 3 })
  let last = first
  for (let restart = 0; restart < 2; restart++) {
    last = await after(last)
    for (let n = 1; n < 4; n++) expect(send(last, n)).toEqual([counted, counted])
    expect(send(last, 0)).toMatchObject(
      Array(2).fill({ counted: false, reason: expect.stringMatching(/did not count/) }),
    )
    await passes(last, 11)
    expect(canaryOf(last)).toEqual({ all: 123, bad: 3 })
  }
  const other = { pool: 'green', good: 41, bad: 1, overMs: 2_000, key: 'green1' }
  expect(() => last.rollouts.post('shop', 'current', 'conversion', other)).toThrow('stood for another post')
  send(last, 4)
  send(last, 5)
  await passes(last, 1)
  expect(canaryOf(last)).toEqual({ all: 164, bad: 4 })
})

test('what is lost with a process that is killed, or waits for the other side, counts when it is sent again', async () => {
  const first = await begun(ASKED, 50)
  await passes(first, 3)
  send(first, 0)
  send(first, 1)
  await passes(first, 11)
  send(first, 2)
  const waits = { pool: 'green', good: 40, bad: 1, overMs: 2_000, key: 'green3' }
  first.rollouts.post('shop', 'current', 'conversion', waits)
  await passes(first, 1)
  expect(canaryOf(first)).toEqual({ all: 82, bad: 2 })
  const next = await after(first)
  expect(canaryOf(next)).toEqual({ all: 41, bad: 1 })
  // The first interval of this process.
  send(next, 9)
  for (let n = 1; n < 4; n++) send(next, n)
  await passes(next, 1)
  expect(canaryOf(next)).toEqual({ all: 123, bad: 3 })
})

test('a thousand are known again, whatever is kept is short, and what is not settled is not kept', () => {
  const keys = new Keys()
  for (let n = 0; n < 1_001; n++) keys.add(`key-${n}`, `${n}`, counted, 'settled')
  keys.add('waits', '', counted, 'waits')
  expect(keys.kept).toHaveLength(999 * 16)
  const again = new Keys(keys.kept)
  expect(again.kept).toBe(keys.kept)
  expect([1, 2, 1_000].map((n) => again.answerTo(`key-${n}`, `${n}`))).toEqual([undefined, counted, counted])
  expect([again.answerTo('waits', ''), again.answerTo('key-2', '3')]).toEqual([undefined, null])
})
