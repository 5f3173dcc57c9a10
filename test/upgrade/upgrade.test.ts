/** An upgrade with a new process that says what the test has it say. */
import { expect, test } from 'vitest'
import type { Offer, Ready } from '../../src/upgrade/messages.ts'
import { sealed } from '../../src/upgrade/messages.ts'
import type { Present, SuccessorNews } from '../../src/upgrade/sides.ts'
import { Upgrade } from '../../src/upgrade/upgrade.ts'
import { movableClock } from '../admin/stand-in.ts'

const READY: Ready = {
  pid: 2,
  version: '0.2.0',
  listeners: ['http://127.0.0.1:80'],
  admin: 'http://127.0.0.1:99',
  revision: 5,
  taken: [true, false],
}

const TOLD = { message: 'process 1 has ended: nothing was cut', data: { pid: 1 } }

/** What was done, in order. */
function begin(changes: Partial<Present> = {}, limitMs = 120_000) {
  const done: string[] = []
  const clock = movableClock()
  const note = (what: string) => async () => void done.push(what)
  const at = { host: '', port: 80, bound: 80, descriptors: [3] }
  const offer: ReturnType<Present['offer']> = { store: 's', listeners: [at], admin: at, isShared: false }
  let news: SuccessorNews | null = null
  const behind = { is: false }
  const upgrade = new Upgrade({
    clock,
    start(offered, told) {
      expect(offered).toEqual(offer)
      news = told
      done.push('start')
      return {
        pid: 2,
        get isBehind() {
          return behind.is
        },
        send: ({ type, ...more }) => void done.push('told' in more ? `${type}, ${more.told?.message}` : type),
        kill: note('kill'),
      }
    },
  })
  upgrade.attach({
    self: { pid: 1, version: '0.1.0' },
    offer: () => offer,
    yield: note('yield'),
    takeBack: note('takeBack'),
    drain: async (taken) => {
      done.push(`drain ${taken.join()}`)
      return TOLD
    },
    held: () => null,
    handOver: () => ({ pools: [], gone: [] }),
    follow: async ({ kind }, revision) => void done.push(`follow ${kind} ${revision}`),
    publish: ({ type, message }) => void done.push(`${type}: ${message}`),
    log: { info() {}, error() {} },
    ...changes,
  })
  const outcome = upgrade.begin(limitMs)
  outcome.catch(() => {})
  const say = (message: object) => {
    news!.message(sealed(message))
    return settled()
  }
  const sayAll = async (...types: string[]) => {
    for (const type of types) await say({ type })
  }
  return { upgrade, outcome, behind, done, clock, say, sayAll, news: () => news! }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))
const FAILED = (why: string) =>
  `upgrade: the upgrade failed, and process 1 goes on as before: The new process, 2, ${why}.`

test('the old one stops to write when it is asked, then gives, and drains once the new one serves', async () => {
  const { upgrade, outcome, done, clock, say, sayAll } = begin()
  await sayAll('built', 'probed')
  expect(done).toEqual(['start'])
  await sayAll('asks')
  expect(done).toEqual(['start', 'yield', 'yours'])
  expect(upgrade.isReplaced).toBe(false)
  clock.move(250)
  await say({ type: 'ready', ...READY })
  const { taken: _, ...ready } = READY
  expect(await outcome).toEqual({ ...ready, from: { pid: 1, version: '0.1.0' }, tookMs: 250, held: null })
  expect(upgrade.isReplaced).toBe(true)
  await upgrade.whenDrained
  expect(done).toEqual(['start', 'yield', 'yours', 'drain true,false', 'letGo', `drained, ${TOLD.message}`])
})

test('while the old one drains it tells whose tunnels it closes, unless that is not read; and follows what the new one routes by', async () => {
  const { promise: drained, resolve: end } = Promise.withResolvers<typeof TOLD>()
  const { done, clock, say, sayAll, behind, upgrade } = begin({ drain: () => drained })
  const routed = { type: 'routed', change: { kind: 'release' }, revision: 4 }
  await sayAll('built', 'probed', 'asks')
  await say(routed)
  await say({ type: 'ready', ...READY })
  clock.move(500)
  behind.is = true
  clock.move(500)
  await say(routed)
  // An older one reads over what it does not know.
  await say({ type: 'news' })
  end(TOLD)
  await upgrade.whenDrained
  expect(done.slice(3)).toEqual(['letGo', 'letGo', 'follow release 4', 'letGo', `drained, ${TOLD.message}`])
})

test('a second one is refused meanwhile, and afterwards too', async () => {
  const { upgrade, sayAll, say } = begin()
  await sayAll('built')
  await expect(upgrade.begin(1_000)).rejects.toMatchObject({ code: 'conflict', message: /process 2 is built, 0 ms/ })
  await sayAll('probed', 'asks')
  await say({ type: 'ready', ...READY })
  await expect(upgrade.begin(1_000)).rejects.toMatchObject({ code: 'conflict', message: /Process 2 serves already/ })
})

const before: readonly (readonly string[])[] = [[], ['built'], ['built', 'probed']]
const after: readonly (readonly string[])[] = [['built', 'probed', 'asks']]

test.each(before)('one that ends early is told, and nothing was given away', async (...words) => {
  const { upgrade, outcome, done, sayAll, news } = begin()
  await sayAll(...words)
  news().gone('has ended with exit code 1')
  await expect(outcome).rejects.toMatchObject({
    code: 'upgrade_failed',
    message: 'The new process, 2, has ended with exit code 1.',
  })
  expect(done).toEqual(['start', 'kill', FAILED('has ended with exit code 1')])
  // And another one may be tried.
  expect(upgrade.isReplaced).toBe(false)
  upgrade.begin(60_000).catch(() => {})
  expect(done.at(-1)).toBe('start')
})

test.each(after)('one that breaks after that is killed before anything is taken back', async (...words) => {
  const { outcome, done, sayAll, say } = begin()
  await sayAll(...words)
  await say({ type: 'failed', message: '0.0.0.0:80 is taken' })
  await expect(outcome).rejects.toThrow('says: 0.0.0.0:80 is taken.')
  expect(done).toEqual(['start', 'yield', 'yours', 'kill', 'takeBack', FAILED('says: 0.0.0.0:80 is taken')])
})

test('what is late in a phase, or as a whole, has failed', async () => {
  const phase = begin()
  phase.clock.move(60_000)
  await expect(phase.outcome).rejects.toThrow('did not build its tables within 60000 ms')
  const whole = begin({}, 59_000)
  await whole.sayAll('built')
  whole.clock.move(29_000)
  await whole.sayAll('probed', 'asks')
  whole.clock.move(29_000)
  await settled()
  expect(whole.done).not.toContain('kill')
  whole.clock.move(1_000)
  await expect(whole.outcome).rejects.toThrow(/within/)
  expect(whole.done).toContain('takeBack')
})

test('one that says what nobody understands, or out of turn, has failed', async () => {
  const odd = begin()
  odd.news().message({ protocol: 2, type: 'built' })
  await expect(odd.outcome).rejects.toThrow('does not understand')
  const early = begin()
  await early.say({ type: 'ready', ...READY })
  await expect(early.outcome).rejects.toThrow('says ready while it is starting')
})

test('a store that is away when the old one should stop, or write again, is waited for', async () => {
  let tries = 0
  const { outcome, done, clock, sayAll } = begin({
    async yield() {
      throw new Error('the store is away')
    },
    async takeBack() {
      if (++tries < 3) throw new Error('still away')
    },
  })
  await sayAll('built', 'probed', 'asks')
  await settled()
  for (let n = 0; n < 3; n++) {
    clock.move(500)
    await settled()
  }
  await expect(outcome).rejects.toThrow('cannot take over: the store is away')
  expect(tries).toBe(3)
  expect(done).toContain('kill')
})

test('one that would not have all sockets, since a worker was replaced meanwhile, does not take over', async () => {
  let calls = 0
  const at = { host: '', port: 80, bound: 80, descriptors: [3] }
  const offer = { store: 's', listeners: [at], admin: at, isShared: false }
  const changed = { ...offer, listeners: [{ ...at, descriptors: [9] }] }
  const { outcome, done, sayAll } = begin({ offer: () => (calls++ === 0 ? offer : changed) })
  await sayAll('built', 'probed', 'asks')
  await expect(outcome).rejects.toThrow('a worker was replaced meanwhile; try again')
  expect(done).toEqual([
    'start',
    'kill',
    'takeBack',
    FAILED('cannot take over: a worker was replaced meanwhile; try again'),
  ])
})

test.each([
  [
    'has sockets that the new one has not, of a worker that was replaced in the last moment, accepts first what waits',
    9,
    'false,false',
  ],
  ['has none that the new one has not accepts nothing more', 3, 'true,false'],
])('one that %s', async (_what, descriptor, drained) => {
  let calls = 0
  const offered = (descriptors: number[]) => {
    const at = { host: '', port: 80, bound: 80, descriptors }
    return { store: 's', listeners: [at], admin: at, isShared: false }
  }
  const { done, say, sayAll, upgrade } = begin({ offer: () => offered([++calls > 2 ? descriptor : 3]) })
  await sayAll('built', 'probed', 'asks')
  await say({ type: 'ready', ...READY })
  await upgrade.whenDrained
  expect(done).toContain(`drain ${drained}`)
})

test('what could be handed over at the start and no longer can when the new one asks is told, and all is as before', async () => {
  let calls = 0
  const at = { host: '', port: 80, bound: 80, descriptors: [3] }
  const { outcome, done, sayAll } = begin({
    offer() {
      if (calls++ > 0) throw new Error('a switch holds shop')
      return { store: 's', listeners: [at], admin: at, isShared: false }
    },
  })
  await sayAll('built', 'probed', 'asks')
  await expect(outcome).rejects.toThrow('cannot take over: a switch holds shop')
  expect(done).toEqual(['start', 'kill', 'takeBack', FAILED('cannot take over: a switch holds shop')])
})

test('an end of the old one ends what is under way, and is nothing to a new one that serves', async () => {
  const { upgrade, outcome, done, sayAll } = begin()
  await sayAll('built')
  await upgrade.giveUp()
  await expect(outcome).rejects.toThrow('was given up')
  const why = 'The new process, 2, was given up, since the present process is to end.'
  expect(done).toEqual(['start', 'kill', `upgrade: the upgrade failed, and process 1 ends: ${why}`])
  // And none begins any more: it would be left over.
  await expect(upgrade.begin(1_000)).rejects.toMatchObject({ code: 'conflict', message: 'This process ends.' })
  const other = begin()
  await other.sayAll('built', 'probed', 'asks')
  await other.say({ type: 'ready', ...READY })
  await other.upgrade.giveUp()
  expect(other.done).not.toContain('kill')
})

test('what cannot be handed over, or started, is told, and can be tried again', async () => {
  const upgrade = new Upgrade({
    clock: movableClock(),
    start() {
      throw new Error('spawn ENOMEM')
    },
  })
  await expect(upgrade.begin(1)).rejects.toThrow('has not started')
  const present = { self: { pid: 1, version: '1' }, offer: () => ({}) as Offer, log: { info() {}, error() {} } }
  upgrade.attach(present as unknown as Present)
  for (let n = 0; n < 2; n++) await expect(upgrade.begin(1)).rejects.toThrow('cannot be started: spawn ENOMEM')
})
