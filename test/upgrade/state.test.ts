/** The states of an upgrade: every happening in every phase, and what can never come of them. */
import { expect, test } from 'vitest'
import { type Effect, type Happening, isUnderWay, LIMIT_MS, type Phase, step } from '../../src/upgrade/state.ts'

const PHASES = Object.keys(LIMIT_MS) as Phase[]
const HAPPENINGS: readonly Happening[] = ['built', 'probed', 'asks', 'yielded', 'ready', 'drained', 'broken']

test('it goes through its phases in one order only, and says at each what is to be done', () => {
  const way: [Happening, Phase, Effect[]][] = [
    ['built', 'built', []],
    ['probed', 'probed', []],
    ['asks', 'yielding', ['yield']],
    ['yielded', 'handed', ['give']],
    ['ready', 'draining', ['drain']],
    ['drained', 'ended', ['tell']],
  ]
  let phase: Phase = 'starting'
  for (const [happening, next, effects] of way) {
    for (const other of HAPPENINGS) if (![happening, 'broken'].includes(other)) expect(step(phase, other)).toBeNull()
    expect(step(phase, happening)).toEqual({ phase: next, effects })
    phase = next
  }
})

test('what breaks before the new one serves leads back, the new one is killed first, and what was given away is taken back', () => {
  for (const phase of PHASES.filter(isUnderWay)) {
    const hasGivenAway = phase === 'yielding' || phase === 'handed'
    const effects = hasGivenAway ? ['kill', 'takeBack'] : ['kill']
    expect(step(phase, 'broken')).toEqual({ phase: 'failed', effects })
  }
})

test('there is no way back once the new one serves, and none from an end', () => {
  for (const phase of PHASES.filter((phase) => !isUnderWay(phase))) {
    for (const happening of HAPPENINGS) {
      expect(step(phase, happening)).toEqual(
        phase === 'draining' && happening === 'drained' ? { phase: 'ended', effects: ['tell'] } : null,
      )
    }
  }
})

test('each phase in which somebody waits for the other has a limit', () => {
  for (const phase of PHASES) expect(LIMIT_MS[phase] !== null).toBe(isUnderWay(phase))
})
