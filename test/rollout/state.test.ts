import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Plan, planOf, type StrategySpec, weightAt } from '../../src/config/strategy.ts'
import {
  type Effect,
  isOver,
  isTold,
  type Policy,
  type Rollout,
  type RolloutEvent,
  STATES,
  type State,
} from '../../src/rollout/rollout.ts'
import { begin, effectsOf, step } from '../../src/rollout/state.ts'
import { bulk } from '../helpers/bulk.ts'

const POLICY: Policy = { bakeMs: 1_000, onFailure: 'rollback', onInsufficient: 'wait', insufficientAfterMs: Infinity }

function started(spec: StrategySpec = { strategy: 'canary', steps: [10, 50], step: { forMs: 100 } }, policy = POLICY) {
  const plan = planOf(spec) as Plan
  return begin({ id: 'r1', to: 'green', plan, policy, before: { blue: 100 }, by: 'ci' }, 0).rollout
}

/** A rollout that is driven by hand, with all that it has asked for. */
class Driven {
  rollout: Rollout
  nowMs = 0
  readonly effects: Effect[] = []
  refused: string | undefined

  constructor(rollout: Rollout) {
    this.rollout = rollout
    this.nowMs = rollout.lookedAtMs
  }

  send(event: RolloutEvent): this {
    const next = step(this.rollout, event, this.nowMs)
    this.rollout = next.rollout
    this.effects.push(...next.effects)
    this.refused = next.refused
    return this
  }

  passed(): this {
    return this.send({ type: 'passed', works: this.rollout.works })
  }

  failed(reason = 'it broke'): this {
    return this.send({ type: 'failed', works: this.rollout.works, reason })
  }

  moved(): this {
    return this.send({ type: 'moved', weight: this.rollout.weight })
  }

  look(outcome: 'pass' | 'fail' | 'hold' | 'insufficient', afterMs = 100, answers = 1_000): this {
    this.nowMs += afterMs
    return this.send({ type: 'look', outcome, reason: outcome, answers })
  }

  force(): this {
    return this.send({ type: 'promote', by: 'alice', force: true })
  }

  by(type: 'pause' | 'resume' | 'promote' | 'abort'): this {
    return this.send({ type, by: 'alice' })
  }

  /** Up to where traffic is watched at the first step. */
  toFirstStep(): this {
    return this.passed().passed().passed().passed().moved()
  }

  get where(): string {
    return `${this.rollout.state} ${this.rollout.phase} ${this.rollout.weight}`
  }
}

describe('a rollout that goes well', () => {
  test('is checked, warmed, tried, shifted step by step, baked, and done with all traffic', () => {
    const driven = new Driven(started())
    const seen = [driven.where]
    const follow = (next: () => Driven) => seen.push(next().where)
    for (let i = 0; i < 3; i++) follow(() => driven.passed())
    for (let i = 0; i < 3; i++) {
      follow(() => driven.passed())
      follow(() => driven.moved())
      follow(() => driven.look('pass'))
    }
    follow(() => driven.passed())
    follow(() => driven.look('insufficient', 999))
    follow(() => driven.look('insufficient', 1))
    follow(() => driven.passed())
    follow(() => driven.moved())
    expect(seen).toEqual([
      'preflight working 0',
      'warming working 0',
      'smoke working 0',
      'shifting working 0',
      'shifting moving 10',
      'shifting watching 10',
      'shifting working 10',
      'shifting moving 50',
      'shifting watching 50',
      'shifting working 50',
      'shifting moving 95',
      'shifting watching 95',
      'baking working 95',
      'baking watching 95',
      'baking watching 95',
      'baking working 95',
      'baking moving 100',
      'done watching 100',
    ])
    expect(driven.effects.at(-1)).toEqual({ type: 'notify', about: 'done' })
  })

  test('no work has the number of another', () => {
    const driven = new Driven(started())
      .toFirstStep()
      .look('pass')
      .passed()
      .moved()
      .look('pass')
      .passed()
      .moved()
      .look('pass')
    const numbers = driven.effects.flatMap((effect) => (effect.type === 'run' ? [effect.works] : []))
    expect(numbers).toEqual([...new Set(numbers)])
  })
})

describe('a step ends', () => {
  test('when its verdict is pass, and its time and its requests are reached: all three', () => {
    const spec = { strategy: 'canary', steps: [{ weight: 10, forMs: 500, requests: 50 }] }
    const driven = new Driven(started(spec)).toFirstStep()
    expect(driven.look('pass', 400).where).toBe('shifting watching 10')
    expect(driven.look('pass', 100, 49).where).toBe('shifting watching 10')
    expect(driven.look('insufficient', 1, 50).where).toBe('shifting watching 10')
    expect(driven.look('pass', 0, 50).where).toBe('shifting working 10')
  })

  test('never without a verdict, however long there is none: no traffic is no success', () => {
    const driven = new Driven(started()).toFirstStep()
    for (let day = 0; day < 30; day++) driven.look('insufficient', 86_400_000, 0)
    expect(driven.where).toBe('shifting watching 10')
  })

  test('with its time, where time advances', () => {
    const driven = new Driven(started({ strategy: 'Canary10Percent5Minutes' })).toFirstStep()
    for (let second = 0; second < 299; second++) driven.look('insufficient', 1_000)
    expect(driven.look('insufficient', 999).where).toBe('shifting watching 10')
    expect(driven.look('insufficient', 1).passed().moved().where).toBe('shifting watching 100')
    expect(driven.look('insufficient', 0).where).toBe('baking working 100')
  })

  test('not by time in which nobody has looked, such as that of a process that stood still; nor does the bake', () => {
    const spec: StrategySpec = { strategy: 'canary', steps: [10], step: { forMs: 60_000 }, advance: 'time' }
    const driven = new Driven(started(spec, { ...POLICY, bakeMs: 60_000 })).toFirstStep()
    const hourMs = 3_600_000
    const watched = (where: string) => {
      expect(driven.look('insufficient', hourMs).where).toBe(where)
      expect(driven.rollout.clockMs).toBe(1_000)
      for (let second = 1; second < 60; second++) driven.look('insufficient', 1_000)
    }
    watched('shifting watching 10')
    driven.passed().moved()
    watched('shifting watching 95')
    driven.passed()
    watched('baking watching 95')
    expect(driven.where).toBe('baking working 95')
  })

  test('when somebody promotes it, if the plan says so; it tells that it waits', () => {
    const spec: StrategySpec = { strategy: 'canary', steps: [{ weight: 0, until: 'promoted' }, 50] }
    const driven = new Driven(started(spec)).toFirstStep().look('insufficient')
    expect(driven.rollout).toMatchObject({ state: 'paused', waitsForPromotion: true })
    expect(driven.effects.at(-1)).toEqual({ type: 'notify', about: 'paused' })
    for (const verb of ['promote', 'resume'] as const) {
      expect(new Driven(driven.rollout).by(verb).passed().where).toBe('shifting moving 50')
    }
  })

  test.each([
    ['wait', 'shifting'],
    ['pause', 'paused'],
    ['rollback', 'rollingBack'],
  ] as const)('with too little traffic by policy: %s', (onInsufficient, state) => {
    const driven = new Driven(
      started(undefined, { ...POLICY, onInsufficient, insufficientAfterMs: 1_000 }),
    ).toFirstStep()
    expect(driven.look('insufficient', 999).rollout.state).toBe('shifting')
    expect(driven.look('insufficient', 1).rollout.state).toBe(state)
  })
})

test.each([
  ['all traffic is with the new version', { strategy: 'blue-green' }, 100],
  ['nothing but rules leads to it', { strategy: 'canary', steps: [{ weight: 0, forMs: 2_000 }] }, 0],
  ['time decides', { strategy: 'canary', steps: [10], advance: 'time' }, 10],
] as const)('a step that wants no verdict, since %s, waits for its time and its requests alone', (_, spec, weight) => {
  const policy: Policy = { ...POLICY, onInsufficient: 'rollback', insufficientAfterMs: 1_000 }
  const step = { forMs: 2_000, requests: 50 }
  const at = () => new Driven(started({ ...spec, step } as StrategySpec, policy)).toFirstStep()
  expect(at().look('insufficient', 1_000, 50).look('insufficient', 999, 50).where).toBe(`shifting watching ${weight}`)
  expect(at().look('insufficient', 1_000, 50).look('insufficient', 1_000, 50).where).toMatch(/working/)
  expect(at().look('insufficient', 1_000, 49).rollout.state).toBe('rollingBack')
})

test('too little traffic pauses it once: whoever resumes it is patient for as long again, and no step takes over what was waited', () => {
  const policy: Policy = { ...POLICY, onInsufficient: 'pause', insufficientAfterMs: 1_000 }
  const driven = new Driven(started(undefined, policy)).toFirstStep().look('insufficient', 1_000).by('resume')
  expect(driven.look('insufficient', 999).rollout.state).toBe('shifting')
  expect(driven.look('insufficient', 1).rollout.state).toBe('paused')
  driven.by('resume').look('pass').passed().moved()
  expect(driven.look('insufficient', 999).rollout.state).toBe('shifting')
  expect(driven.look('insufficient', 1).rollout.state).toBe('paused')
})

describe('a hold', () => {
  test('stops the clock and the steps, and goes on when it is over', () => {
    const driven = new Driven(started({ strategy: 'canary', steps: [10], step: { forMs: 200 } })).toFirstStep()
    driven.look('insufficient', 150).look('hold')
    expect(driven.rollout).toMatchObject({ state: 'holding', clockMs: 150, reason: 'hold' })
    expect(driven.look('hold', 60_000).look('pass', 60_000).where).toBe('shifting watching 10')
    expect(driven.rollout.clockMs).toBe(150)
    expect(driven.look('pass', 50).where).toBe('shifting working 10')
  })

  test('holds up a step whose hooks pass meanwhile, until it is over', () => {
    const driven = new Driven(started()).toFirstStep().look('pass').look('hold').passed()
    expect(driven.where).toBe('holding worked 10')
    expect(driven.look('insufficient').where).toBe('shifting moving 50')
  })

  test('is no shelter: a version that is worse goes back', () => {
    expect(new Driven(started()).toFirstStep().look('hold').look('fail').where).toBe('rollingBack moving 0')
  })

  test('does not keep a person from going on', () => {
    expect(new Driven(started()).toFirstStep().look('hold').by('promote').where).toBe('shifting working 10')
  })
})

describe('a pause', () => {
  test('stops the clock, keeps the weight and is still judged', () => {
    const driven = new Driven(started()).toFirstStep().look('insufficient', 50).by('pause')
    expect(driven.look('pass', 10_000).rollout).toMatchObject({ state: 'paused', weight: 10, clockMs: 50 })
    expect(driven.by('resume').rollout).toMatchObject({ state: 'shifting', clockMs: 50, reason: null })
    expect(driven.by('pause').look('fail').where).toBe('rollingBack moving 0')
  })

  test.each([0, 1, 2, 3] as const)('in the midst of work (%i) lets it end, and goes on from there', (done) => {
    const driven = new Driven(started())
    for (let i = 0; i < done; i++) driven.passed()
    const straight = new Driven(driven.rollout).passed().where
    expect(driven.by('pause').passed().rollout.state).toBe('paused')
    expect(driven.by('resume').where).toBe(straight)
  })

  test('in the midst of a shift lets it be told, and goes on watching', () => {
    const driven = new Driven(started()).passed().passed().passed().passed().by('pause').moved().by('resume')
    expect(driven.where).toBe('shifting watching 10')
  })

  test('can be the answer to what fails; going on tries it anew, under a number of its own', () => {
    const driven = new Driven(started(undefined, { ...POLICY, onFailure: 'pause' }))
      .passed()
      .failed('the cache stays cold')
    expect(driven.rollout).toMatchObject({ state: 'paused', reason: 'the cache stays cold' })
    expect(driven.effects.at(-1)).toEqual({ type: 'notify', about: 'paused' })
    const { works } = driven.rollout
    expect(driven.by('resume').where).toBe('warming working 0')
    expect(driven.rollout.works).toBe(works + 1)
  })

  test('is told whoever has made it, since each waits for a person', () => {
    const driven = new Driven(started()).toFirstStep().by('pause')
    expect(driven.effects.at(-1)).toEqual({ type: 'notify', about: 'paused' })
  })

  test('because of a verdict is told once, not at every look', () => {
    const driven = new Driven(started(undefined, { ...POLICY, onFailure: 'pause' })).toFirstStep().look('fail')
    const told = driven.effects.length
    for (let i = 0; i < 10; i++) driven.look('fail')
    expect(driven.rollout.state).toBe('paused')
    expect(driven.effects).toHaveLength(told)
  })
})

describe('a schedule', () => {
  const SCHEDULED = { ...POLICY, isScheduled: true }
  const asks = { type: 'run', work: 'schedule', works: expect.any(Number) }

  test('is asked again where a pause or a hold has ended and more would be given, and the hook before it is not called anew', () => {
    for (const halt of [(driven: Driven) => driven.by('pause'), (driven: Driven) => driven.look('hold')]) {
      const driven = halt(new Driven(started(undefined, SCHEDULED)).toFirstStep().look('pass')).passed()
      if (driven.rollout.state === 'paused') driven.by('resume')
      else driven.look('insufficient')
      expect(driven.where).toBe('shifting working 10')
      expect(driven.effects.at(-1)).toEqual(asks)
      expect(effectsOf(driven.rollout)).toEqual([asks])
      // Another pause, and the same again.
      driven.by('pause').passed().by('resume')
      expect(driven.effects.at(-1)).toEqual(asks)
      expect(driven.passed().where).toBe('shifting moving 50')
      expect(driven.effects.filter((effect) => effect.type === 'run' && effect.work === 'beforeStep')).toHaveLength(2)
    }
  })

  test('is asked before what has failed is tried anew, where that gives more', () => {
    const spec = { strategy: 'rolling', targets: ['a', 'b', 'c'] }
    const driven = new Driven(started(spec, { ...SCHEDULED, onFailure: 'pause' }))
    driven.passed().passed().passed().passed().passed().moved().failed().by('resume')
    expect(driven.effects.at(-1)).toEqual(asks)
    const asking = driven.rollout
    driven.passed()
    expect(driven.effects.at(-1)).toMatchObject({ type: 'run', work: 'replacing' })
    // Paused meanwhile, it is told of what fails then, and not once more of what had failed before.
    const { rollout: paused } = new Driven(asking).by('pause')
    const { works } = paused
    for (const event of [{ type: 'passed', works } as const, { type: 'failed', works, reason: 'it broke' } as const]) {
      const { rollout } = step(paused, event, 0)
      expect([rollout.state, rollout.phase]).toEqual(['paused', 'broken'])
      expect(isTold(paused, rollout, event)).toBe(event.type === 'failed')
    }
  })

  test('is not asked again where nothing more is given, nor on the way back', () => {
    const driven = new Driven(started(undefined, SCHEDULED)).toFirstStep().by('pause').by('resume')
    expect(driven.where).toBe('shifting watching 10')
    driven.look('pass').by('pause').passed().by('resume').by('abort')
    expect(driven.effects.at(-1)).toEqual({ type: 'back' })
    expect(driven.moved().passed().rollout.state).toBe('rolledBack')
  })

  test('is overruled by a person with force, for one step and by name', () => {
    const waiting = new Driven(started(undefined, SCHEDULED)).toFirstStep().look('pass')
    expect(new Driven(waiting.rollout).by('promote').refused).toBe('a rollout that is shifting takes no promote')
    const said = { hurriedBy: 'alice', reason: 'promoted by alice, whatever its schedule says' }
    expect(waiting.force().rollout).toMatchObject({ ...said, phase: 'working', works: waiting.rollout.works })
    expect(waiting.passed().moved().rollout).toMatchObject({ ...said, weight: 50 })
    expect(waiting.look('pass').rollout).toMatchObject({ hurriedBy: null, reason: null })
    const paused = new Driven(waiting.rollout).by('pause').passed().force()
    expect(paused.where).toBe('shifting moving 95')
    const watching = new Driven(started(undefined, SCHEDULED)).toFirstStep().force()
    expect(watching.rollout).toMatchObject({ ...said, phase: 'working', at: 1 })
    expect(new Driven(started(undefined, SCHEDULED)).force().rollout).toMatchObject({ state: 'preflight', ...said })
    // Without a schedule there is nothing to overrule.
    expect(new Driven(started()).toFirstStep().force().rollout).toMatchObject({ hurriedBy: null, reason: null })
  })
})

/** A rollout in each state and phase that there is before its end. */
function everywhere(): Driven[] {
  const all: Driven[] = []
  const driven = new Driven(started())
  const keep = () => {
    all.push(new Driven(driven.rollout), new Driven(driven.rollout).by('pause'))
  }
  keep()
  for (let i = 0; i < 3; i++) {
    driven.passed()
    keep()
  }
  for (let i = 0; i < 3; i++) {
    driven.passed()
    keep()
    driven.moved()
    keep()
    all.push(new Driven(driven.rollout).look('hold'))
    driven.look('pass')
    keep()
    all.push(new Driven(driven.rollout).look('hold'))
  }
  driven.passed()
  keep()
  all.push(new Driven(driven.rollout).look('hold'))
  driven.look('insufficient', 1_000)
  keep()
  driven.passed()
  keep()
  return all
}

const BACK = { failed: 'rollingBack', fail: 'rollingBack', abort: 'rollingBack' }

/** Where each event may lead, by state; whatever is not here changes no state. */
const LEADS: Readonly<Record<State, Readonly<Record<string, string>>>> = {
  preflight: { ...BACK, passed: 'warming', pause: 'paused' },
  warming: { ...BACK, passed: 'smoke', pause: 'paused' },
  smoke: { ...BACK, passed: 'shifting', pause: 'paused' },
  shifting: { ...BACK, pass: 'baking', hold: 'holding', pause: 'paused', promote: 'baking' },
  baking: { ...BACK, moved: 'done', hold: 'holding', pause: 'paused' },
  holding: {
    ...BACK,
    pass: 'shifting baking',
    insufficient: 'shifting baking',
    pause: 'paused',
    promote: 'shifting baking',
  },
  paused: {
    ...BACK,
    moved: 'done',
    resume: 'preflight warming smoke shifting baking',
    promote: 'shifting baking',
  },
  rollingBack: { passed: 'rolledBack', failed: 'rolledBack' },
  rolledBack: {},
  done: {},
}

test('every event in every state leads where the diagram says, and nowhere else', () => {
  const places = everywhere()
  const back = new Driven(started()).toFirstStep().by('abort')
  places.push(new Driven(back.rollout), new Driven(back.moved().rollout), new Driven(back.passed().rollout))
  const straight = new Driven(started({ strategy: 'all-at-once' }, { ...POLICY, bakeMs: 0 })).toFirstStep()
  places.push(new Driven(straight.look('pass').passed().look('pass').passed().moved().rollout))
  const events: Record<string, (driven: Driven) => Driven> = {
    passed: (driven) => driven.passed(),
    failed: (driven) => driven.failed(),
    moved: (driven) => driven.moved(),
    pass: (driven) => driven.look('pass', 1_000),
    insufficient: (driven) => driven.look('insufficient', 1_000),
    hold: (driven) => driven.look('hold', 100),
    fail: (driven) => driven.look('fail', 100),
    pause: (driven) => driven.by('pause'),
    resume: (driven) => driven.by('resume'),
    promote: (driven) => driven.by('promote'),
    abort: (driven) => driven.by('abort'),
  }
  for (const state of STATES) {
    const here = places.filter(({ rollout }) => rollout.state === state)
    expect(here.length, state).toBeGreaterThan(0)
    const leads = Object.entries(events).flatMap(([name, event]) => {
      const ends = here.map(({ rollout }) => event(new Driven(rollout)).rollout.state)
      const others = STATES.filter((end) => end !== state && ends.includes(end))
      return others.length === 0 ? [] : [[name, others.join(' ')] as const]
    })
    expect([state, Object.fromEntries(leads)]).toEqual([state, LEADS[state]])
  }
})

test('a verdict that fails in a pause that a person has made is told, and so is one after somebody went on', () => {
  const driven = new Driven(started(undefined, { ...POLICY, onFailure: 'pause' })).toFirstStep().by('pause')
  const told = () => driven.effects.filter(({ type }) => type === 'notify').length
  expect(told()).toBe(1)
  driven.look('fail').look('fail')
  expect(driven.rollout).toMatchObject({ state: 'paused', reason: 'fail' })
  expect(told()).toBe(2)
  expect(driven.by('resume').look('insufficient').where).toBe('shifting watching 10')
  driven.send({ type: 'look', outcome: 'fail', reason: 'of before', answers: 9, goneOn: 0 })
  expect(driven.where).toBe('shifting watching 10')
  driven.look('fail').look('fail')
  expect(told()).toBe(3)
})

describe('a way back', () => {
  test('is taken from every state by an abort and by a verdict, and leads to the split before', () => {
    const places = everywhere()
    expect(new Set(places.map(({ rollout }) => rollout.state))).toEqual(
      new Set<State>(['preflight', 'warming', 'smoke', 'shifting', 'paused', 'holding', 'baking']),
    )
    for (const { rollout } of places) {
      for (const driven of [new Driven(rollout).by('abort'), new Driven(rollout).look('fail')]) {
        expect(driven.rollout).toMatchObject({ state: 'rollingBack', weight: 0, before: { blue: 100 } })
        expect(driven.effects.at(-1)).toEqual({ type: 'back' })
        driven.moved().passed()
        expect(driven.rollout.state).toBe('rolledBack')
        expect(driven.effects.at(-1)).toEqual({ type: 'notify', about: 'rolledBack' })
      }
    }
  })

  test('latches: nothing that comes then changes where it leads', () => {
    const driven = new Driven(started()).toFirstStep().look('fail')
    for (const verb of ['pause', 'resume', 'promote'] as const) {
      driven.by(verb)
      expect(driven.refused).toMatch(/rollingBack/)
    }
    driven.by('abort').look('pass').passed().failed()
    expect(driven.where).toBe('rollingBack moving 0')
    expect(driven.refused).toBeUndefined()
  })

  test('is not taken for done by a shift that it has overtaken', () => {
    const driven = new Driven(started())
      .passed()
      .passed()
      .passed()
      .passed()
      .by('abort')
      .send({ type: 'moved', weight: 10 })
    expect(driven.where).toBe('rollingBack moving 0')
    expect(driven.moved().where).toBe('rollingBack working 0')
  })

  test('ends although the hook that is told of it fails', () => {
    expect(new Driven(started()).toFirstStep().by('abort').moved().failed().rollout.state).toBe('rolledBack')
  })

  test('is not taken from a rollout that is done', () => {
    const driven = new Driven(started({ strategy: 'all-at-once' }, { ...POLICY, bakeMs: 0 }))
    driven.toFirstStep().look('insufficient').passed().look('insufficient').passed().moved()
    expect(driven.rollout.state).toBe('done')
    expect(driven.by('abort').rollout.state).toBe('done')
    expect(driven.refused).toBeUndefined()
  })
})

describe('a rolling release', () => {
  const TARGETS = { strategy: 'rolling', targets: ['a', 'b', 'c'], step: { forMs: 100 } }
  const works = (driven: Driven) => driven.effects.flatMap((effect) => (effect.type === 'run' ? effect.work : []))

  /** Up to where the first batch is replaced. */
  const toReplacing = () => new Driven(started(TARGETS)).passed().passed().passed().passed().passed().moved()

  test('drains a batch before its step moves, and replaces it after', () => {
    const driven = toReplacing()
    expect(driven.where).toBe('shifting working 33')
    driven.passed()
    expect(driven.where).toBe('shifting watching 33')
    for (const weight of [67, 100]) {
      driven.look('pass').passed().passed()
      expect(driven.where).toBe(`shifting moving ${weight}`)
      driven.moved().passed()
      expect(driven.rollout.weight).toBe(weight)
    }
    expect(driven.rollout.begun).toBe(3)
    driven.look('insufficient').passed().look('insufficient', 1_000).passed().moved()
    expect(driven.rollout.state).toBe('done')
    const batch = ['beforeStep', 'draining', 'replacing']
    const all = ['warming', 'smoke', ...batch, ...batch, ...batch, 'afterTraffic', 'afterBake']
    expect(works(driven)).toEqual(all)
  })

  test('restores what was begun on its way back, and ends although that fails, saying so', () => {
    const driven = toReplacing().failed('the hook said no')
    expect(driven.where).toBe('rollingBack moving 0')
    driven.moved()
    expect(works(driven).at(-1)).toBe('restoring')
    driven.failed('c is gone').passed()
    expect(driven.rollout).toMatchObject({
      state: 'rolledBack',
      begun: 1,
      reason: 'the hook said no; and then c is gone',
    })
    expect(works(driven).at(-1)).toBe('onRollback')
  })

  test('restores nothing where nothing was begun', () => {
    const driven = new Driven(started(TARGETS)).passed().passed().passed().by('abort').moved()
    expect(works(driven)).not.toContain('restoring')
  })

  test('that is paused while targets are out has them back all the same', () => {
    const driven = new Driven(started(TARGETS)).passed().passed().passed().passed().passed().by('pause').moved()
    expect(works(driven).at(-1)).toBe('replacing')
    driven.passed()
    expect(driven.where).toBe('paused worked 33')
    expect(driven.by('resume').where).toBe('shifting watching 33')
  })
})

test('the end of work that is not the present one changes nothing', () => {
  const driven = new Driven(started()).passed()
  const { rollout } = driven
  driven
    .send({ type: 'passed', works: 1 })
    .send({ type: 'failed', works: 1, reason: 'late' })
    .send({ type: 'moved', weight: 0 })
  expect(driven.rollout).toEqual(rollout)
})

test('after a restart the same work is asked for under the same number, and a shift again', () => {
  const driven = new Driven(started())
  expect(effectsOf(driven.rollout)).toEqual([{ type: 'run', work: 'preflight', works: 1 }])
  driven.passed().passed().passed().passed()
  expect(effectsOf(driven.rollout)).toEqual([{ type: 'move', weight: 10 }])
  expect(effectsOf(driven.moved().rollout)).toEqual([])
  expect(effectsOf(driven.by('abort').rollout)).toEqual([{ type: 'back' }])
})

test('a random walk keeps every promise', () => {
  const events = fc.oneof(
    { weight: 60, arbitrary: fc.constant('passed') },
    { weight: 3, arbitrary: fc.constant('failed') },
    { weight: 50, arbitrary: fc.constant('moved') },
    { weight: 80, arbitrary: fc.constantFrom('pass', 'insufficient', 'hold') },
    { weight: 20, arbitrary: fc.constantFrom('pause', 'resume', 'promote', 'force') },
    { weight: 1, arbitrary: fc.constantFrom('abort', 'fail') },
  )
  const specs = fc.constantFrom<StrategySpec>(
    { strategy: 'canary' },
    { strategy: 'blue-green' },
    { strategy: 'Canary10Percent5Minutes' },
    { strategy: 'canary', steps: [{ weight: 0, until: 'promoted' }, 20], keep: 10 },
    { strategy: 'rolling', targets: ['a', 'b', 'c'] },
  )
  const policies = fc.record<Policy>({
    bakeMs: fc.constantFrom(0, 500),
    onFailure: fc.constantFrom('rollback', 'pause'),
    onInsufficient: fc.constantFrom('wait', 'pause', 'rollback'),
    insufficientAfterMs: fc.constantFrom(300, Infinity),
    isScheduled: fc.boolean(),
  })
  const ends = new Map<State, number>()
  fc.assert(
    fc.property(specs, policies, fc.array(events, { minLength: 20, maxLength: 120 }), (spec, policy, walk) => {
      const driven = new Driven(started(spec, policy))
      const { plan, before } = driven.rollout
      let highest = 0
      for (const name of walk) {
        const from = driven.rollout
        if (name === 'passed') driven.passed()
        else if (name === 'failed') driven.failed()
        else if (name === 'moved') driven.moved()
        else if (name === 'pass' || name === 'fail' || name === 'hold' || name === 'insufficient') driven.look(name)
        else if (name === 'force') driven.force()
        else driven.by(name as 'pause')
        const { rollout } = driven
        // Steps come one after the other, and the weight is that of a step, or none, or all.
        expect(rollout.at - from.at).toBeOneOf([0, 1])
        expect(rollout.weight).toBeOneOf([0, 100, ...plan.steps.map((_, at) => weightAt(plan, at))])
        if (rollout.state !== 'rollingBack' && rollout.state !== 'rolledBack') {
          expect(rollout.weight).toBeGreaterThanOrEqual(highest)
          highest = rollout.weight
        }
        expect(rollout.before).toBe(before)
        if (isOver(from)) expect(rollout).toBe(from)
        // What is asked for is what a restart would ask for.
        const asked = effectsOf(rollout)
        if (rollout.phase === 'moving' && from.phase !== 'moving') expect(driven.effects).toContainEqual(asked[0])
      }
      ends.set(driven.rollout.state, (ends.get(driven.rollout.state) ?? 0) + 1)
    }),
    { numRuns: bulk(600, 3_000) },
  )
  // The walks have been everywhere that matters.
  for (const state of ['done', 'rolledBack', 'paused', 'holding', 'baking', 'shifting'] as const) {
    expect([state, (ends.get(state) ?? 0) > 0]).toEqual([state, true])
  }
})
