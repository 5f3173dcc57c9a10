/** What of the events is in the log of the process: who has changed what, and what became of rollouts, drains, holds and targets. */
import pino from 'pino'
import { expect, test } from 'vitest'
import { createEvents, type NewEvent } from '../../src/control/events.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { GREEN, shop, standingClock, startControl } from './stand-in.ts'

/** A log of this level, and what it has written. */
function openLog(level: string) {
  const written: Record<string, unknown>[] = []
  const write = (line: string) => void written.push(JSON.parse(line) as Record<string, unknown>)
  const log = pino(
    { level, base: null, timestamp: false, formatters: { level: (label) => ({ level: label }) } },
    { write },
  )
  return { log, written }
}

/** What the log of this level says of these events. */
function linesOf(events: readonly NewEvent[], level = 'info') {
  const { log, written } = openLog(level)
  const { publish } = createEvents(standingClock().clock, log)
  events.forEach(publish)
  return written
}

const of = (type: NewEvent['type'], data: NewEvent['data'], message: string = type): NewEvent => ({
  type,
  service: 'shop',
  message,
  data,
})

test('who has changed what is a line, with the split before and after', async () => {
  const { log, written } = openLog('info')
  const { control } = await startControl({ store: memoryStore(), log })
  const by = { actor: 'anna' }
  await control.change({ kind: 'service.put', service: 'shop', spec: shop({ health: undefined }) }, by)
  await control.change({ kind: 'split', service: 'shop', weights: { blue: 90, green: 10 } }, by)
  await control.change({ kind: 'switch', to: { shop: 'green' } }, { ...by, force: true })
  await control.change({ kind: 'target.state', service: 'shop', pool: 'green', target: GREEN, state: 'ready' }, by)
  await control.change({ kind: 'back', service: 'shop' }, by)
  const shift = {
    kind: 'shift',
    service: 'shop',
    before: { blue: 90, green: 10 },
    rollout: 'r-1',
    askedBy: 'anna',
  } as const
  const [trial, actor] = [{ pool: 'green', step: 0, rollout: 'r-1' }, 'rollout r-1']
  await control.change({ ...shift, weights: { blue: 50, green: 50 }, trial, verb: 'begin' }, { actor })
  // Workers have a way back before the store.
  await control.change(
    { ...shift, weights: shift.before, trial: null, ends: 'back' },
    { actor, force: true, atOnce: true },
  )
  const said = written.filter(({ event }) => event === 'change')
  expect(said.map(({ msg, revision }) => [revision, msg])).toEqual([
    [1, 'service shop set by anna'],
    [2, 'shop split blue=90, green=10 by anna; split of shop: blue=100, green=0 -> blue=90, green=10'],
    [3, 'switched shop to green by anna, forced; split of shop: blue=90, green=10 -> blue=0, green=100'],
    [4, 'shop back to the split before by anna; split of shop: blue=0, green=100 -> blue=90, green=10'],
    [
      5,
      'shop shifted to blue=50, green=50 by rollout r-1, asked for by anna; split of shop: blue=90, green=10 -> blue=50, green=50',
    ],
    [
      6,
      'shop shifted to blue=90, green=10 by rollout r-1, asked for by anna; split of shop: blue=50, green=50 -> blue=90, green=10',
    ],
  ])
  expect(said[1]).toMatchObject({
    level: 'info',
    service: 'shop',
    actor: 'anna',
    kind: 'split',
    splits: { shop: { before: { blue: 100, green: 0 }, after: { blue: 90, green: 10 } } },
  })
})

test('what is bad is a warning, what is not is none, and what has a line already gets no second one', () => {
  const levels = (events: readonly NewEvent[]) => linesOf(events).map(({ msg, level }) => [msg, level])
  expect(
    levels([
      of('rollout', { state: 'shifting' }, 'goes on'),
      of('rollout', { state: 'paused' }, 'paused'),
      of('rollout', { state: 'rolledBack' }, 'back'),
      of('rollout', { state: 'shifting', trouble: true }, 'waits'),
      of('health', { health: 'healthy', before: 'unknown' }, 'first check'),
      of('health', { health: 'healthy', before: 'healthy' }, 'something else was asked'),
      of('health', { health: 'unhealthy', before: 'unknown' }, 'unhealthy'),
      of('health', { health: 'healthy', before: 'unhealthy' }, 'healthy'),
      of('ejection', { ejectedUntilMs: 7 }, 'ejected'),
      of('drain', { finished: true }, 'drained'),
      of('drain', { tunnels: { pace: 'stopped' } }, 'stopped'),
      of('hold', { quiet: true }, 'quiet'),
      of('hold', { finished: true }, 'not released'),
      ...(['file', 'name', 'lookup', 'worker', 'store', 'mirror', 'upgrade', 'shutdown'] as const).map((type) =>
        of(type, {}),
      ),
    ]),
  ).toEqual([
    ['goes on', 'info'],
    ['paused', 'warn'],
    ['back', 'warn'],
    ['waits', 'warn'],
    ['unhealthy', 'warn'],
    ['healthy', 'info'],
    ['ejected', 'warn'],
    ['drained', 'info'],
    ['stopped', 'warn'],
    ['quiet', 'info'],
    ['not released', 'warn'],
  ])
})

test('an event is one line of bounded length, and none under log.level error', () => {
  const events = [
    of('rollout', { state: 'rolledBack' }, 'the hook said:\r\n  no\n12:00:00 INFO all is well'),
    of('rollout', { state: 'paused' }, 'x'.repeat(100_000)),
    { ...of('change', { services: Array.from({ length: 5_000 }, (_, n) => `s${n}`) }), service: null },
  ]
  const lines = linesOf(events)
  expect(lines[0]['msg']).toBe('the hook said: no 12:00:00 INFO all is well')
  for (const line of lines) expect(JSON.stringify(line).length).toBeLessThan(3_000)
  expect(linesOf(events, 'warn')).toHaveLength(2)
  expect(linesOf(events, 'error')).toEqual([])
})
