/**
 * The instance that drives a rollout is lost, after each single thing that it has written: another one takes it up, and nothing happens twice.
 *
 * Two controllers over one store, each with a clock and counters of its own. The first stands still as soon as it has written so often; what it
 * still sends is refused, as Redis does by the number of its lead. So every state of a rollout is left once at each place where that differs.
 */
import { setImmediate } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { TurnoutError } from '../../src/errors.ts'
import { FIELD, laneOffset, SIDE, TRIAL, trialOffset } from '../../src/metrics/layout.ts'
import type { Kept } from '../../src/rollout/kept.ts'
import { type ToldRollout, toldRollout } from '../../src/rollout/told.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { type FleetCounts, LEADERS_KEYS, LEADERS_KINDS, type Store } from '../../src/store/store.ts'
import { SHOP } from '../admin/stand-in.ts'
import { bulk } from '../helpers/bulk.ts'
import { startHook } from '../helpers/hook.ts'
import { measuredTraffic } from '../helpers/measured-traffic.ts'
import { drivenUntil } from '../helpers/raw.ts'
import { startNamed } from '../helpers/upstream.ts'
import { type Stand, stand } from './stand.ts'

interface World {
  readonly shared: Store
  /** Who leads. */
  leader: number
  /** What the first one may still write of rollouts. */
  writesLeft: number
  readonly texts: Map<string, string>
  seats: number
  /** All that it was kept as. */
  readonly states: Set<string>
  /** The new version has had half of the traffic. */
  isHalf: boolean
}

/** All that instances have in common, but what they say of what they have counted. */
const countsOf = (world: World): FleetCounts => ({
  async report(id, text) {
    world.texts.set(id, text)
    const others = [...world.texts].filter(([its]) => its !== id)
    return { count: world.texts.size, others: others.map(([its, said]) => ({ id: its, agoMs: 0, text: said })) }
  },
  seat: async () => ++world.seats,
  listen() {},
})

/** The store as one instance has it. */
function storeOf(world: World, who: number): Store {
  const { shared } = world
  const write = async <T>(isOfLeader: boolean, text: string | null, work: () => Promise<T>): Promise<T> => {
    if (!isOfLeader) return work()
    if (world.leader !== who) throw new TurnoutError('conflict', 'Another instance leads by now.')
    const done = await work()
    for (const [, state] of (text ?? '').matchAll(/"state":"(\w+)","phase"/g)) world.states.add(state)
    if (who === 0 && --world.writesLeft === 0) world.leader = 1
    return done
  }
  return {
    local: null,
    fleet: {
      counts: countsOf(world),
      lifeMs: 3_000,
      unreplicated: () => 0,
      announce: async (self) => [self],
      leave: async () => {},
      listen() {},
      onLeadLost() {},
      stillLeads: async () => world.leader === who,
      rewrite: async () => false,
    },
    load: (since) => shared.load(since),
    position: () => shared.position(),
    commit: (present, commit) =>
      write(LEADERS_KINDS.has(commit.change.kind), Object.values(commit.named ?? {}).join(), () =>
        shared.commit(present, commit),
      ),
    replace: (present, replacement) => shared.replace(present, replacement),
    revisions: (limit, before) => shared.revisions(limit, before),
    revision: (revision) => shared.revision(revision),
    observed: async () => ({}),
    saveObserved: async () => {},
    get: (key) => shared.get(key),
    put: (key, value) => write(LEADERS_KEYS.test(key), value, () => shared.put(key, value)),
    putIfAbsent: (key, value) => shared.putIfAbsent(key, value),
    isShared: async () => world.leader !== who,
    hasOthers: async () => world.leader !== who,
    yield: async () => {},
    mayBlock() {},
    close: async () => {},
  }
}

type Plot = 'good' | 'unfit' | 'bad' | 'crowded' | 'paused' | 'aborted' | 'ill'

/** Two requests at once; and four, of which those before carry three, so that their way back is made in steps. */
const QUIET = measuredTraffic({ perSecond: 100, eachMs: 20 }, { perSecond: 0, eachMs: 0 })
const CROWDED = measuredTraffic({ perSecond: 100, eachMs: 20 }, { perSecond: 100, eachMs: 20 })

interface Ended {
  readonly told: ToldRollout
  /** Places at which it was, by what was kept. */
  readonly states: ReadonlySet<string>
  readonly writes: number
}

const EVENTS = ['BeforeInstall', 'BeforeStep', 'AfterAllowTraffic', 'AfterBake', 'OnRollback'] as const

/** One rollout from begin to end, the first instance being lost after so many writes. */
async function run(plot: Plot, writesMax: number): Promise<Ended> {
  const { world, stands, hook } = await together(plot, writesMax)
  try {
    return await play(plot, writesMax, world, stands, hook)
  } finally {
    await closeAll(stands)
  }
}

/** Two instances over one store. */
async function together(plot: Plot, writesMax: number) {
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const hook = await startHook<{ event: string; step: number; key: string }>()
  const world: World = {
    shared: memoryStore(),
    leader: 0,
    writesLeft: writesMax,
    texts: new Map(),
    seats: 0,
    states: new Set(),
    isHalf: false,
  }
  const pools = { blue: { version: '1.0', targets: [blue.url] }, green: { version: '1.1', targets: [green.url] } }
  const shop = { ...SHOP, pools, split: { blue: 1, green: 0 } }
  const traffic = { service: () => (plot !== 'crowded' ? null : world.isHalf ? CROWDED : QUIET) }
  const stands = [await stand(storeOf(world, 0), { traffic }, shop), await stand(storeOf(world, 1), { traffic }, shop)]
  return { world, stands, hook }
}

/** Both let go of all that they hold, which is much: a test has some sixty of these. */
async function closeAll(stands: readonly Stand[]): Promise<void> {
  let isClosed = false
  const closed = Promise.all(stands.map(({ rollouts, control }) => rollouts.close().then(() => control.close())))
  void closed.finally(() => {
    isClosed = true
  })
  // What waits to try again learns at its next try that nobody wants it any more.
  for (let n = 0; !isClosed; n++) {
    if (n > 20_000) throw new Error(`it does not close: ${JSON.stringify(stands.map(({ told }) => told))}`)
    for (const { clock } of stands) clock.move(1_000)
    await setImmediate()
  }
}

/** From its begin to its end. */
async function play(
  plot: Plot,
  writesMax: number,
  world: World,
  stands: readonly Stand[],
  hook: { readonly url: string; readonly heard: readonly { event: string; step: number; key: string }[] },
): Promise<Ended> {
  for (const { rollouts } of stands) await rollouts.start()
  const [one, two] = stands
  const { states } = world
  const isLost = () => world.leader === 1
  const tick = async (ms: number) => {
    for (const each of isLost() ? [two] : stands) {
      traffic(each, plot, world)
      each.clock.move(ms)
    }
    for (let n = 0; n < 3; n++) await setImmediate()
  }
  const sent = {
    to: 'green',
    steps: [
      { weight: 10, for: '1s' },
      { weight: 50, for: '1s' },
    ],
    advance: 'time' as const,
    keep: 0,
    bake: '1s',
    smoke: [{ path: '/', status: '200', within: '5s' }],
    hooks: EVENTS.map((at) => ({ at, url: hook.url, timeout: '30s' })),
    // Green answers another one.
    ...(plot === 'unfit' && { announces: { path: '/' } }),
    ...(plot === 'crowded' && { capacity: { requestsPerTarget: 3 } }),
  }
  let begun: unknown
  one.rollouts.begin('shop', sent, 'alice').then(
    (value) => {
      begun = value
    },
    (error: unknown) => {
      begun = error
    },
  )
  // Who is lost while it begins one has nobody to answer to; but here its clock goes on, so that it tells why it could not.
  for (let n = 0; begun === undefined && n < 300; n++) {
    one.clock.move(100)
    for (let m = 0; m < 3; m++) await setImmediate()
  }
  // One of which nobody was told that it has begun is not there; whoever has sent it is told so.
  if (begun instanceof Error) return { told: { state: 'preflight' } as ToldRollout, states, writes: 0 }
  let asked = 0
  const verbs = async (): Promise<void> => {
    const leads = stands[world.leader]
    const running = leads.rollouts.running('shop')
    if (running === null || running.runsElsewhere) return
    const ask = (verb: 'pause' | 'resume' | 'abort') =>
      leads.rollouts.command('shop', 'current', verb, 'bob').then(
        () => void asked++,
        () => {},
      )
    if (plot === 'paused' && asked === 0 && running.weight === 10) void ask('pause')
    else if (plot === 'paused' && running.state === 'paused') void ask('resume')
    else if (plot === 'aborted' && running.weight === 50 && running.state === 'shifting') void ask('abort')
  }
  const isOver = async () => /"state":"(done|rolledBack)"/.test((await world.shared.get('rollout:shop')) ?? '')
  for (let n = 0; !(await isOver()); n++) {
    if (n > 400)
      throw new Error(
        `it does not end: ${JSON.stringify([world.leader, two.rollouts.list('shop')[0], one.told, two.told])}`,
      )
    await verbs()
    await tick(plot === 'ill' && states.has('holding') ? 1_000 : 100)
  }
  const text = await world.shared.get('rollout:shop')
  const { revision } = await world.shared.position()
  // The first one wakes after half a minute, and goes on with what it knows: it says nothing any more, and calls nobody.
  if (isLost()) {
    const said = () => [one.events.length, one.told.length, hook.heard.length]
    const before = said()
    one.clock.move(30_000)
    for (let n = 0; n < 20; n++) {
      one.clock.move(100)
      await setImmediate()
    }
    expect(await world.shared.get('rollout:shop')).toBe(text)
    expect((await world.shared.position()).revision).toBe(revision)
    expect(said()).toEqual(before)
  }
  const told = toldRollout(JSON.parse(text!)[0] as Kept)
  await nothingTwice(world, told, hook.heard, plot === 'crowded' ? 2 : 1)
  return { told, states, writes: writesMax - world.writesLeft }
}

/** A tenth of a second of traffic, as this instance counts it; the new version fails in the second step of a bad one, and of a crowded one. */
function traffic({ control, memory }: Stand, plot: Plot, world: World): void {
  const status = control.snapshot().status['shop']
  const weights = control.snapshot().services['shop'].split ?? {}
  if (status.trial === undefined || (weights['green'] ?? 0) === 0) return
  const isHalf = weights['green'] === weights['blue']
  world.isHalf ||= isHalf
  const add = (side: number, failing: number) => {
    memory.trials[trialOffset(0, status.slot, side) + TRIAL.answers] += 20
    memory.trials[trialOffset(0, status.slot, side) + TRIAL.bad] += 20 * failing
  }
  add(SIDE.canary, (plot === 'bad' || plot === 'crowded') && isHalf ? 1 : 0)
  add(SIDE.control, plot === 'ill' && isHalf && !world.states.has('holding') ? 0.5 : 0)
}

async function nothingTwice(
  { shared }: World,
  { id, history }: ToldRollout,
  heard: readonly { event: string; step: number; key: string }[],
  backsMax: number,
): Promise<void> {
  // Each event has one key, whoever calls.
  for (const { event, step, key } of heard) {
    const same = heard.filter((other) => other.event === event && other.step === step)
    expect(new Set(same.map((other) => other.key))).toEqual(new Set([key]))
  }
  const entries = (await shared.revisions(1_000)).toReversed().filter(({ change }) => change['rollout'] === id)
  const given = entries
    .filter(({ change }) => change.kind === 'shift')
    .map(({ change }) => change['weights'] as Record<string, number>)
    .map(({ blue, green }) => green / (blue + green))
  const changed = given.filter((share, at) => share !== given[at - 1])
  const highest = changed.indexOf(Math.max(...changed))
  const [forward, back] = [changed.slice(0, highest + 1), changed.slice(highest)]
  // Forward step by step, none twice, and back at the very end, at once where there is room.
  expect(forward).toEqual([...new Set(forward)].toSorted((a, b) => a - b))
  expect(back).toEqual([...new Set(back)].toSorted((a, b) => b - a))
  expect(back.length - 1).toBeLessThanOrEqual(backsMax)
  const states = history.map(({ state }) => state)
  for (const end of ['done', 'rollingBack', 'rolledBack'] as const) {
    expect(states.filter((state) => state === end).length).toBeLessThanOrEqual(1)
  }
}

const END = {
  good: 'done',
  unfit: 'rolledBack',
  bad: 'rolledBack',
  crowded: 'rolledBack',
  paused: 'done',
  aborted: 'rolledBack',
  ill: 'done',
} as const
const seen = new Set<string>()

for (const plot of ['good', 'unfit', 'bad', 'crowded', 'paused', 'aborted', 'ill'] as const) {
  test(`whatever a rollout has come to when its leader is lost, it ends as it would have: ${plot}`, async () => {
    const whole = await run(plot, 1_000)
    expect(whole.told.state).toBe(END[plot])
    for (const state of whole.states) seen.add(state)
    // What comes before is the same in all of them.
    const from = plot === 'good' || plot === 'unfit' ? 1 : Math.ceil(whole.writes / 2)
    for (let writes = from; writes <= whole.writes; writes += END[plot] === 'done' ? bulk(3, 1) : 1) {
      const { told } = await run(plot, writes)
      if (told.state !== 'preflight') expect([writes, told.state]).toEqual([writes, END[plot]])
      else expect(writes).toBeLessThan(4)
    }
  })
}

test('a step without a weight counts what each instance has answered by rules, also when its leader is lost meanwhile', async () => {
  const { world, stands } = await together('good', 1_000)
  onTestFinished(() => closeAll(stands))
  const [one, two] = stands
  for (const { rollouts } of stands) await rollouts.start()
  const tick = async () => {
    for (const { clock } of world.leader === 1 ? [two] : stands) clock.move(100)
    for (let n = 0; n < 3; n++) await setImmediate()
  }
  const answer = ({ control, memory }: Stand, count: number) => {
    const [{ slots }] = Object.values(control.snapshot().status['shop'].pools['green'].targets)
    memory.targets[laneOffset(0, slots[0]) + FIELD.attemptsGood] += count
  }
  const waiting = (count: number) =>
    drivenUntil(`${count} have come`, async () => {
      await tick()
      const { runsElsewhere, next } = stands[world.leader].rollouts.running('shop') ?? {}
      return runsElsewhere === false && next?.waitsFor === `its requests, ${count} of 12`
    })
  const steps = [{ weight: 0, requests: 12 }, { weight: 10 }].map((step) => ({ ...step, for: '1s' }))
  const begun = one.rollouts.begin('shop', { to: 'green', steps }, 'alice')
  await waiting(0)
  await begun
  answer(one, 3)
  answer(two, 4)
  await waiting(7)
  const text = () => world.shared.get('rollout:shop')
  const before = await text()
  await drivenUntil('that is kept', async () => {
    await tick()
    return (await text()) !== before
  })
  answer(one, 1)
  answer(two, 2)
  await waiting(10)
  expect(JSON.parse((await text())!)[0].answers).toBe(7)
  world.leader = 1
  await waiting(10)
  answer(two, 2)
  await drivenUntil('it goes on', async () => {
    await tick()
    return two.rollouts.running('shop')?.weight === 10
  })
})

test('and every state of a rollout was among them', () => {
  expect([...seen].sort()).toEqual(
    [
      'preflight',
      'warming',
      'smoke',
      'shifting',
      'holding',
      'paused',
      'baking',
      'rollingBack',
      'done',
      'rolledBack',
    ].sort(),
  )
})
