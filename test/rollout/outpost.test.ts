/**
 * What an instance does for a rollout that another one runs: what it counts and says, when it judges by itself, and what it takes out.
 *
 * The rollout is a real one, as it is kept; whoever runs it has gone, so that nobody follows but where a test says so.
 */
import { setImmediate } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { allocateSharedMemory, CELL, SIDE, TRIAL, trialOffset } from '../../src/metrics/layout.ts'
import type { Kept } from '../../src/rollout/kept.ts'
import { Ledger } from '../../src/rollout/ledger.ts'
import { Outpost } from '../../src/rollout/outpost.ts'
import { Past } from '../../src/rollout/past.ts'
import type { Reports } from '../../src/rollout/reports.ts'
import { begun } from './stand.ts'

const VERDICT = { harm: 30, rate: { above: 0.05, over: '5m' } }

interface Options {
  /** What the rollout is begun with. */
  readonly sent?: object
  /** Instances that there are. */
  readonly count?: number
  /** The store gives no seat yet. */
  readonly hasNoSeat?: boolean
}

async function posted({ sent = {}, count = 1, hasNoSeat = false }: Options = {}) {
  const stood = await begun(sent)
  await stood.rollouts.close()
  const { control, clock, store } = stood
  const memory = allocateSharedMemory(1)
  const [told, hurried]: [string[], number[]] = [[], []]
  const known = {
    kept: (JSON.parse((await store.get('rollout:shop'))!) as Kept[])[0] as Kept | null,
    hasSeat: !hasNoSeat,
    seats: 0,
    /** The seat that it had when it asked last. */
    given: null as number | null,
  }
  const reports: Pick<Reports, 'count' | 'hurry' | 'seat'> = {
    count,
    hurry: () => void hurried.push(clock.steadyMs()),
    async seat(_rollout, given) {
      known.seats++
      known.given = given
      if (!known.hasSeat) throw new Error('the store is away')
      return 1
    },
  }
  const status = () => control.snapshot().status['shop']
  const { slot, trial } = status()
  const ledger = new Ledger(trial!.rollout!, trial!.step)
  const deps = {
    control,
    memory,
    clock,
    past: new Past(memory),
    log: { error() {}, warn() {} } as never,
    reports: reports as Reports,
    publish: ({ message }: { message: string }) => void told.push(message),
    elsewhere: { isThere: true, kept: () => known.kept, refresh: async () => {} },
  }
  const outpost = new Outpost(deps, 'shop', { ...trial!, rollout: trial!.rollout! }, ledger)
  onTestFinished(() => outpost.end(false))
  const add = (side: number, field: number, count: number) => {
    memory.trials[trialOffset(0, slot, side) + field] += count
  }
  /** Ten answers of each side, of the new version so many that fail, which clients are brought; then a look. */
  const answer = async (failing: number, looks = 1): Promise<void> => {
    for (let n = 0; n < looks; n++) {
      for (const side of [SIDE.canary, SIDE.control]) add(side, TRIAL.answers, 10)
      add(SIDE.canary, TRIAL.bad, failing)
      add(SIDE.canary, TRIAL.harm, failing)
      clock.move(100)
      outpost.look()
      await setImmediate()
    }
  }
  /** Its first look asks for what it needs, and the next one, a second later, has it. */
  const ready = async () => {
    for (let n = 0; n < 2; n++) {
      outpost.look()
      await setImmediate()
      clock.move(1_000)
    }
    outpost.look()
  }
  const stepIn = () => Atomics.load(memory.cells, CELL.step + slot)
  const ejected = () => Object.values(status().pools['green'].targets).map(({ ejectedUntilMs }) => ejectedUntilMs)
  return { outpost, ledger, trial: trial!, clock, known, told, hurried, answer, ready, stepIn, ejected, stood }
}

test('its workers count in the step that the rollout is in, and what they count is in what it says; a failure is said soon', async () => {
  const { ledger, trial, stepIn, answer, hurried } = await posted()
  expect(stepIn()).toBe(trial.step)
  await answer(0, 3)
  expect(hurried).toEqual([])
  await answer(2)
  // Its number, the harm, and answers and failures of both sides.
  expect(ledger.total.slice(1, 6)).toEqual([2, 40, 2, 40, 0])
  expect(hurried).toHaveLength(1)
  // The stratum in which the failure is counted may still be open where it is judged; one more of full size closes it.
  await answer(0, 2)
  expect(hurried).toHaveLength(2)
})

test('a release that fails altogether is found by itself, said, and taken out here once nobody has followed for a second', async () => {
  const { ledger, ready, answer, ejected, told, stood } = await posted()
  await ready()
  await answer(10, 5)
  expect(ledger.failed).toMatchObject({ goneOn: 0 })
  expect(ledger.failed!.why).toContain('green')
  expect([ejected(), told]).toEqual([[0], []])
  await answer(10, 12)
  expect(ejected()[0]).toBeGreaterThan(stood.clock.steadyMs())
  // Told once, however long it is so, and renewed before it ends.
  await answer(0, 400)
  expect(ejected()[0]).toBeGreaterThan(stood.clock.steadyMs())
  expect(told).toHaveLength(1)
  expect(told[0]).toContain('this instance by itself takes green out of its own traffic')
  // What people have set stays as it is.
  expect(stood.control.snapshot().services['shop'].split).toEqual({ blue: 9, green: 1 })
})

test('a release that is like the other is neither found to fail nor taken out', async () => {
  const { ledger, ready, answer, ejected } = await posted()
  await ready()
  await answer(0, 200)
  expect([ledger.failed, ejected()]).toEqual([undefined, [0]])
})

test('where a failure is to pause a rollout, it is said, and nothing is taken out', async () => {
  const { ledger, ready, answer, ejected, told } = await posted({ sent: { onFailure: 'pause' } })
  await ready()
  await answer(10, 40)
  expect(ledger.failed).toBeDefined()
  expect([ejected(), told]).toEqual([[0], []])
})

test('without a seat nothing is judged here; it is asked for until there is one, and said again from then on', async () => {
  const { ledger, ready, answer, known } = await posted({ hasNoSeat: true })
  await ready()
  await answer(10, 40)
  expect(ledger.failed).toBeUndefined()
  expect(known.seats).toBeGreaterThan(2)
  known.hasSeat = true
  await answer(10, 40)
  expect(ledger.failed).toBeDefined()
  // The store may lose it, and give it to another.
  const { seats } = known
  await answer(10, 40)
  expect(known.given).toBe(1)
  expect(known.seats).toBeGreaterThan(seats)
})

test('what is kept of another rollout, or nothing, is nothing to judge by', async () => {
  const { ledger, ready, answer, known } = await posted()
  const { kept } = known
  known.kept = { ...kept!, rollout: { ...kept!.rollout, id: 'r-0' } }
  await ready()
  await answer(10, 40)
  known.kept = null
  await answer(10, 40)
  expect(ledger.failed).toBeUndefined()
  known.kept = kept
  await answer(10, 40)
  expect(ledger.failed).toBeDefined()
})

test('of the harm budget it has the part of one instance', async () => {
  // Failures as rare as those would be no verdict.
  const sent = { verdict: { ...VERDICT, tolerance: 1_000 } }
  const { ledger, ready, answer } = await posted({ count: 3, sent })
  await ready()
  for (let harm = 1; harm <= 10; harm++) {
    await answer(0, 20)
    await answer(1)
    expect([harm, ledger.failed]).toEqual([harm, undefined])
  }
  await answer(0, 20)
  await answer(1)
  expect(ledger.failed?.why).toBe('11 answers of green failed here, which is more than its part of the harm budget')
})

test('when a person has gone on in spite of it, it judges anew, and what was forgiven counts no more', async () => {
  const { ledger, ready, answer, known, outpost, clock } = await posted({ sent: { verdict: VERDICT } })
  await ready()
  await answer(10, 4)
  expect(ledger.failed).toMatchObject({ goneOn: 0 })
  known.kept = { ...known.kept!, rollout: { ...known.kept!.rollout, goneOn: 1 } }
  clock.move(1_000)
  outpost.look()
  expect(ledger.failed).toBeUndefined()
  await answer(0, 40)
  expect(ledger.failed).toBeUndefined()
  await answer(10, 10)
  expect(ledger.failed).toMatchObject({ goneOn: 1 })
})

test('in another step counts begin anew, but for the harm, and workers count in that', async () => {
  const { outpost, ledger, trial, answer, stepIn } = await posted()
  await answer(3, 2)
  outpost.follow({ ...trial, step: trial.step + 1 })
  expect([ledger.step, stepIn()]).toEqual([trial.step + 1, trial.step + 1])
  expect(ledger.total.slice(1, 6)).toEqual([6, 0, 0, 0, 0])
  await answer(0)
  expect(ledger.total.slice(1, 6)).toEqual([6, 10, 0, 10, 0])
  // The same once more is no other.
  outpost.follow({ ...trial, step: trial.step + 1 })
  expect(ledger.total.slice(2, 6)).toEqual([10, 0, 10, 0])
})

test('when it is over, workers count no more, but where the rollout is taken up here', async () => {
  const { outpost, trial, stepIn } = await posted()
  outpost.end(true)
  expect(stepIn()).toBe(trial.step)
  outpost.end(false)
  expect(stepIn()).toBe(0)
})
