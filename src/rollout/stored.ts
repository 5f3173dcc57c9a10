/**
 * From what a store gave to a rollout. What was stored is not believed: it may be of an older Turnout, of a newer one, or edited by hand. Pure.
 *
 * - What an older one did not know is filled in with what it means there (older-forms.ts).
 * - Whatever is relied on by those who drive, judge or tell a rollout is looked at, piece by piece.
 * - One that has not ended goes by all that it says, so where a piece of it makes no sense it counts as lost, and its split goes back
 *   (orphans.ts). Of one that has ended a piece that may be absent is left out.
 */
import { withoutUnknown } from '../config/known.ts'
import { isRecord } from '../config/record.ts'
import { HOOKS_MAX, RolloutSchema, type RolloutSpec } from '../config/schema-rollout.ts'
import type { Plan, Step } from '../config/strategy.ts'
import { validate } from '../config/validate.ts'
import type { ClumpState } from './clump.ts'
import type { ToldGate } from './gates/gate-log.ts'
import type { BoundedPlan, CountedPlan, GivenPlan, PostedPlan } from './given/plan.ts'
import type { ToldMetric } from './given/told.ts'
import type { Forgiven, Kept, Passage } from './kept.ts'
import { isReading } from './ledger.ts'
import type { History, MarginState } from './margin-test.ts'
import { ofToday } from './older-forms.ts'
import { isWealth, type OriginState, type Stratum } from './origin-test.ts'
import type { Taken, ToldShare } from './pooled.ts'
import { activeOf, isOver, type Policy, type Rollout, STATES } from './rollout.ts'
import {
  amount,
  count,
  entriesOf,
  figure,
  flag,
  holds,
  listOf,
  map,
  maybe,
  named,
  orNull,
  record,
  type Shape,
  share,
  text,
  time,
  type Whole,
} from './shape.ts'
import { soundFault } from './sound.ts'
import type { Retire, Standby } from './standby.ts'
import type { Side, ToldVerdict } from './told.ts'
import { type Before, type GivenOptions, OUTCOMES, type TestStates, type VerdictOptions } from './verdict.ts'
import type { Wish } from './wish.ts'

const weights = entriesOf(count)
const state = holds((value) => STATES.some((name) => name === value))

const PLAN = record<Plan>({
  steps: listOf(record<Step>({ weight: holds(isPercent), forMs: amount, requests: count, untilPromoted: flag })),
  advance: named<Plan['advance']>({ verdict: true, time: true }),
  keep: holds(isPercent),
  batches: orNull(listOf(listOf(text))),
})

const POLICY = record<Policy>({
  bakeMs: amount,
  onFailure: named<Policy['onFailure']>({ rollback: true, pause: true }),
  onInsufficient: named<Policy['onInsufficient']>({ wait: true, pause: true, rollback: true }),
  insufficientAfterMs: amount,
  isScheduled: maybe(flag),
  isMeasured: maybe(flag),
})

const ROLLOUT = record<Rollout>({
  id: text,
  to: text,
  plan: PLAN,
  policy: POLICY,
  before: weights,
  state,
  phase: named<Rollout['phase']>({ working: true, worked: true, broken: true, moving: true, watching: true }),
  work: named<Rollout['work']>({
    preflight: true,
    warming: true,
    smoke: true,
    beforeStep: true,
    draining: true,
    replacing: true,
    afterTraffic: true,
    afterBake: true,
    restoring: true,
    onRollback: true,
  }),
  works: count,
  asks: maybe(orNull(named<NonNullable<Rollout['asks']>>({ worked: true, broken: true }))),
  hurriedBy: maybe(orNull(text)),
  at: holds((value) => Number.isSafeInteger(value) && (value as number) >= -1),
  weight: holds(isPercent),
  begun: count,
  clockMs: amount,
  patientFromMs: maybe(amount),
  lookedAtMs: amount,
  resumesTo: named<Rollout['resumesTo']>({ preflight: true, warming: true, smoke: true, shifting: true, baking: true }),
  waitsForPromotion: flag,
  hasFailed: maybe(flag),
  goneOn: maybe(count),
  reason: orNull(text),
  by: text,
})

const POSTED: Whole<PostedPlan> = { kind: text, name: text, isOptional: flag, margin: share }
const POLLED = { kind: text, name: text, isOptional: flag, prometheus: text, everyMs: amount }
const GIVEN: { readonly [K in GivenPlan['kind']]: Shape } = {
  posted: record<PostedPlan>(POSTED),
  counted: record<CountedPlan>({ ...POLLED, margin: share, bad: text, all: text }),
  bounded: record<BoundedPlan>({ ...POLLED, query: text, above: figure, below: figure, row: count }),
}
const given: Shape = (value, at) => {
  const kind = isRecord(value) ? value['kind'] : undefined
  return typeof kind === 'string' && Object.hasOwn(GIVEN, kind) ? GIVEN[kind as GivenPlan['kind']](value, at) : at
}

const WISH = record<Wish>({
  strategy: text,
  plan: PLAN,
  policy: POLICY,
  verdict: record<VerdictOptions>({
    alpha: share,
    beta: share,
    margin: share,
    tolerance: holds((value) => Number.isFinite(value) && (value as number) >= 1),
    harmMax: amount,
    rate: record<VerdictOptions['rate']>({ above: amount, overMs: amount }),
    given: listOf(record<GivenOptions>({ name: text, margin: share, isOptional: flag })),
  }),
  given: maybe(listOf(given)),
  failing: maybe(listOf(holds((value) => Array.isArray(value) && value.length === 2 && value.every(Number.isInteger)))),
  earlyCloseMs: maybe(amount),
  spec: map,
  standbyMs: maybe(amount),
  version: maybe(text),
})

const SUMS = { canary: amount, canaryBad: amount, control: amount, controlBad: amount } satisfies Whole<Stratum>
const HISTORY = record<History>({ bad: amount, all: amount })
const CLUMP = record<ClumpState>({ x2: figure, dof: figure })

const TESTS = record<TestStates>({
  origin: record<OriginState>({ wealth: holds(isWealth), seen: amount, peak: figure, failed: flag }),
  margin: record<MarginState>({ log: figure, passed: flag, history: HISTORY }),
  totals: maybe(record<Stratum>(SUMS)),
})

const TAKEN = record<Taken>({ name: text, step: count, reading: holds(isReading), byRules: maybe(amount), ...SUMS })

const side = { requests: amount, failed: amount }
const counted = orNull(record<NonNullable<ToldMetric['canary']>>({ all: amount, bad: amount }))
const VERDICT = record<ToldVerdict>({
  outcome: holds((value) => OUTCOMES.some((name) => name === value)),
  metric: text,
  evidence: figure,
  p: maybe(figure),
  canary: record<Side>({ ...side, slow: amount }),
  control: record<Side>({ ...side, slow: amount }),
  wouldNotice: figure,
  sentence: text,
  metrics: maybe(
    listOf(
      record<ToldMetric>({
        name: text,
        canary: counted,
        control: counted,
        value: figure,
        evidence: figure,
        passed: flag,
        lastError: orNull(text),
      }),
    ),
  ),
  instances: maybe(
    listOf(
      record<ToldShare>({
        name: text,
        isSelf: flag,
        canary: record<ToldShare['canary']>(side),
        control: record<ToldShare['control']>(side),
        silentMs: amount,
      }),
    ),
  ),
})

const GATE = record<ToldGate>({
  gate: text,
  at: orNull(text),
  state: named<ToldGate['state']>({ waiting: true, passed: true, failed: true, skipped: true }),
  reason: orNull(text),
  startedAtMs: time,
  endedAtMs: orNull(time),
})

const STANDBY = record<Standby>({
  pools: listOf(text),
  untilMs: time,
  isOver: flag,
  retire: maybe(record<Retire>({ tries: count, reason: text, againAtMs: orNull(time) })),
})

const KEPT: Whole<Kept> = {
  service: text,
  from: text,
  wish: WISH,
  rollout: ROLLOUT,
  askedBy: maybe(orNull(text)),
  isHurried: maybe(flag),
  startedAtMs: time,
  updatedAtMs: time,
  endedAtMs: orNull(time),
  history: listOf(record<Passage>({ atMs: time, state, weight: amount, reason: orNull(text) })),
  standby: maybe(STANDBY),
  gates: maybe(listOf(GATE)),
  live: maybe(record<Before>({ histories: listOf(HISTORY), clumps: listOf(CLUMP) })),
  tests: orNull(listOf(TESTS)),
  taken: maybe(entriesOf(TAKEN)),
  postKeys: maybe(entriesOf(text)),
  answers: maybe(amount),
  verdict: orNull(VERDICT),
  harm: amount,
  forgiven: maybe(record<Forgiven>({ harm: amount, times: count })),
  step: count,
}

/** What one that has ended may do without, and what it has then. */
const SPARED: Partial<Kept> = { tests: null, verdict: null, history: [] }
const isSpared = (key: string): boolean => key in SPARED || KEPT[key as keyof Kept](undefined, '') === null

function isPercent(value: unknown): boolean {
  return typeof value === 'number' && value >= 0 && value <= 100
}

/** A rollout of this service as it can be gone on with, or told of; what is not relied on is named to `unread`. null: all of it. */
export function soundKept(stored: unknown, service: string, unread: (error: Error) => void): Kept | null {
  const value = ofToday(stored)
  const { rollout } = value
  const isEnded = isRecord(rollout) && isOver(rollout as unknown as Rollout)
  const id = isRecord(rollout) ? String(rollout['id']) : 'without a name'
  let kept = value
  for (const [key, shape] of Object.entries<Shape>(KEPT)) {
    const fault = shape(value[key], key)
    if (fault === null) continue
    const isLeftOut = isEnded && isSpared(key)
    unread(new TypeError(`${fault} of rollout ${id} makes no sense${isLeftOut ? `, so ${key} is left out` : ''}`))
    if (!isLeftOut) return null
    kept = { ...kept, [key]: SPARED[key as keyof Kept] }
  }
  const sound = kept as unknown as Kept
  const fault = sound.service === service ? contradictionOf(sound) : `it is one of ${sound.service}`
  if (fault === null) return sound
  unread(new TypeError(`rollout ${id} makes no sense: ${fault}`))
  return null
}

/** Where what it says goes against something else of it. */
function contradictionOf({ rollout, wish, standby }: Kept): string | null {
  const { plan, at, begun } = rollout
  const { steps, batches } = plan
  const active = activeOf(rollout)
  if (steps.length === 0) return 'it has no steps'
  if (at >= steps.length || (at < 0 && (active === 'shifting' || active === 'baking'))) return `it is at step ${at}`
  if (batches !== null && (batches.length !== steps.length || begun > batches.length)) return 'its batches are no steps'
  const fault = soundFault(rollout, rollout)
  if (fault !== null) return fault
  // Who is told, and called, matters as long as something is to be done yet.
  if (isOver(rollout) && standby?.isOver !== false) return null
  for (const spec of specsOf(wish.spec)) {
    const [refused] = validate(RolloutSchema, withoutUnknown(RolloutSchema, spec).value).refused
    if (refused !== undefined) return `wish/spec${refused.pointer} ${refused.message}`
  }
  return null
}

/** What was asked for, as it could be sent: the hooks of all steps are in one list (wish.ts), and may be more than one such list has. */
function specsOf({ hooks, ...spec }: RolloutSpec): RolloutSpec[] {
  if (!Array.isArray(hooks)) return [hooks === undefined ? spec : { ...spec, hooks }]
  const lists = Array.from({ length: Math.ceil(hooks.length / HOOKS_MAX) }, (_, at) =>
    hooks.slice(at * HOOKS_MAX, (at + 1) * HOOKS_MAX),
  )
  return [spec, ...lists.map((list) => ({ hooks: list }))]
}
