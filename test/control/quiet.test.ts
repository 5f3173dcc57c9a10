/** Which holds of switches are quiet: nothing of what they hold is at a target any more. */
import { expect, test } from 'vitest'
import type { AskedHold, Change } from '../../src/change.ts'
import type { Clock } from '../../src/clock.ts'
import { Instances } from '../../src/control/instances.ts'
import { REFUSED_MS, seeToLeftHolds } from '../../src/control/left-holds.ts'
import { Quiet } from '../../src/control/quiet.ts'
import { FIELD, HELD, heldOffset, laneOffset, WORKER_FIELD, WORKER_FIELDS } from '../../src/metrics/layout.ts'
import type { Instance } from '../../src/store/store.ts'
import { BLUE, codeOf, put, shop, startControl } from './stand-in.ts'

const asked = (more: Partial<AskedHold> = {}): AskedHold => ({
  id: 'h-1',
  forMs: 10_000,
  only: 'writes',
  queueMax: 10,
  bytesMax: 1_000,
  isOfSwitch: true,
  ...more,
})
const hold = (more: Partial<AskedHold> = {}, services = ['shop']): Change => ({
  kind: 'hold',
  services,
  hold: asked(more),
})

/** Control with two services, and what watches their holds by hand. */
async function started() {
  const parts = await startControl()
  await parts.make(put())
  await parts.make(put(shop({}, 'api.test'), 'api'))
  const looks = new Set<() => void>()
  const every: Clock['every'] = (_ms, run) => {
    looks.add(run)
    return () => void looks.delete(run)
  }
  const told: string[] = []
  const clock = { ...parts.clock, every }
  const quiet = new Quiet({
    ...parts,
    clock,
    busyPredecessor: () => null,
    publish: ({ message }) => void told.push(message),
  })
  const look = () => [...looks].forEach((run) => void run())
  const moves = (worker: number) => void parts.memory.lanes[worker * WORKER_FIELDS + WORKER_FIELD.aliveMs]++
  const bothMove = () => [0, 1].forEach(moves)
  return { ...parts, quiet, look, looks, told, moves, bothMove }
}

test('a hold is quiet once every worker has begun a later turn and no write is at a target; nobody looks before there is one, and after', async () => {
  const { make, quiet, look, looks, told, moves, memory, control } = await started()
  expect(looks.size).toBe(0)
  await make(hold())
  look()
  moves(0)
  look()
  expect(quiet.ids()).toEqual([])
  const cell = heldOffset(1, control.snapshot().status['shop'].slot) + HELD.writes
  memory.held[cell] = 1
  moves(1)
  look()
  expect([quiet.ids(), told]).toEqual([[], []])
  memory.held[cell] = 0
  look()
  expect([quiet.ids(), told]).toEqual([['h-1'], ['shop is held, and no write to it is under way any more']])
  expect(looks.size).toBe(0)
  await make({ kind: 'release', services: ['shop'] })
  expect(quiet.ids()).toEqual([])
})

test('a hold of all waits for reads too, one of several services for each of them, and one that is no switch is not looked at', async () => {
  const { make, quiet, look, looks, bothMove, memory, target } = await started()
  await make({ kind: 'hold', services: ['shop'], hold: { ...asked(), isOfSwitch: undefined } as unknown as AskedHold })
  expect(looks.size).toBe(0)
  await make({ kind: 'release', services: ['shop'] })
  await make(hold({ only: 'all' }, ['shop', 'api']))
  bothMove()
  const inFlight = laneOffset(0, target(BLUE, 'blue', 'api').slots[0]) + FIELD.inFlight
  memory.targets[inFlight] = 1
  look()
  expect(quiet.ids()).toEqual([])
  memory.targets[inFlight] = 0
  look()
  expect(quiet.ids()).toEqual(['h-1'])
})

test('where several instances share a store each of them must say so, and who does not in time is named', async () => {
  const { control, clock, advance } = await startControl()
  const other: { told: Instance } = { told: { id: 'i-2', name: 'two:1', version: '1', revision: 0, epoch: 0 } }
  const fleet = {
    lifeMs: 5_000,
    announce: async (self: Instance) => [self, other.told],
    leave: async () => {},
    listen: () => {},
    onLeadLost: () => {},
  } as never
  const ids: string[] = []
  const every: Clock['every'] = () => () => {}
  const self = { name: 'one:1', version: '1' }
  const instances = new Instances({
    store: { fleet, local: null },
    control,
    clock: { ...clock, every },
    self,
    quiet: { ids: () => ids },
    busy: { told: () => ({}) },
  })
  const signal = new AbortController().signal
  const late = instances.quieted('h-1', 50, signal)
  ids.push('h-1')
  for (let n = 0; n < 8; n++) await advance(10)
  expect(await late).toEqual(['two:1'])
  const all = instances.quieted('h-1', 1_000, signal)
  other.told = { ...other.told, quiet: ['h-1'] }
  await advance(20)
  expect(await all).toEqual([])
  expect(instances.told().map(({ name }) => name)).toEqual(['one:1', 'two:1'])
  expect('quiet' in instances.told()[0]).toBe(false)
})

test('a hold of a switch that was not made is taken out of the document when it has ended, with a line of why; other holds stay', async () => {
  const { make, control, clock, advance } = await started()
  const end = seeToLeftHolds(control, clock)
  await make(hold({ forMs: 1_000 }))
  const other: Partial<AskedHold> = { id: 'h-2', forMs: 1_000 }
  await make({
    kind: 'hold',
    services: ['api'],
    hold: { ...asked(other), isOfSwitch: undefined } as unknown as AskedHold,
  })
  // Until the workers have refused who still waits it is not released, or these would go on.
  await advance(999)
  await advance(REFUSED_MS)
  expect(control.snapshot().status['shop'].hold?.id).toBe('h-1')
  await advance(2)
  await advance(1)
  expect([control.snapshot().status['shop'].hold, control.snapshot().status['api'].hold?.id]).toEqual([
    undefined,
    'h-2',
  ])
  const messages = control.events().map(({ message }) => message)
  expect(messages).toContain(
    'shop is not held any more: the switch that it was for was not made, and who still waited was refused',
  )
  expect(messages.at(-1)).toBe('shop released, since its switch was not made in time, by turnout')
  end()
})

test('a hold for a switch is refused by what would refuse the switch, holds nobody while its pool is not proven, and begins when it is', async () => {
  const { control, make, clock } = await startControl()
  await make(put())
  const change = { ...hold(), to: { shop: 'green' } } as Change
  expect(await codeOf(() => control.change(change, { actor: 'ann' }))).toBe('conflict')
  expect(await codeOf(() => control.change({ ...change, to: { shop: 'none' } } as Change, { actor: 'ann' }))).toBe(
    'not_found',
  )
  const held = control.change(change, { actor: 'ann', waitMs: 10_000 })
  expect(control.snapshot().status['shop'].hold).toBeUndefined()
  await control.observe([{ service: 'shop', pool: 'green', target: 'http://127.0.0.1:3003', health: 'healthy' }])
  expect((await held).changed).toBe(true)
  expect(control.snapshot().status['shop'].hold?.untilMs).toBe(clock.steadyMs() + 10_000)
  expect(control.snapshot().services['shop'].split).toEqual({ blue: 100, green: 0 })
})
