import { describe, expect, test } from 'vitest'
import { questionIn } from '../../src/config/question.ts'
import type { ServiceSpec, Weights } from '../../src/config/schema.ts'
import { applyChange, type Resolved as Change } from '../../src/control/apply.ts'
import { assertAnswered, type Insistence, Unproven } from '../../src/control/leaves-nobody.ts'
import { keepObserved } from '../../src/control/observe.ts'
import type { Content } from '../../src/control/reconcile.ts'
import { isTurnoutError } from '../../src/errors.ts'
import { hostOf } from '../../src/names/address.ts'
import { type AddressObserved, UNSEEN } from '../../src/table/status.ts'
import type { AdminState, Trial } from '../../src/table/types.ts'
import { literalAddresses } from '../helpers/literal-names.ts'
import { BLUE, BLUE2, contentOf, GREEN, put, shop } from './stand-in.ts'

const NOW = 1_000_000
const tools = { drainMs: () => 30_000 }
const service = 'shop'

/** Blue has everything and is healthy; of green nothing is known. */
const start = (changes: Partial<ServiceSpec> = {}) =>
  seen(contentOf({ shop: shop(changes) }), 'blue', { health: 'healthy' })

/** Content in which the targets of a pool are seen as given: all of them, or the first few. */
function seen(content: Content, pool: string, as: Partial<AddressObserved>, count = Infinity): Content {
  const observed = content.observed[service] ?? {}
  const question = as.health === 'healthy' ? questionIn(content.services[service], pool) : null
  const found = { ...as, ...(question !== null && { question }) }
  const targets = content.services[service].pools[pool].targets
    .slice(0, count)
    .map((url) => [url, { [hostOf(url)]: { ...UNSEEN, ...observed[pool]?.[url]?.[hostOf(url)], ...found } }])
  return {
    ...content,
    observed: {
      ...content.observed,
      [service]: { ...observed, [pool]: { ...observed[pool], ...Object.fromEntries(targets) } },
    },
  }
}
const healthy = (content: Content, pool: string) => seen(content, pool, { health: 'healthy' })
const ill = (content: Content, pool: string) => seen(content, pool, { health: 'unhealthy' })

/** What becomes of a change: its content, or why it is refused. */
function outcome(before: Content, change: Change, insistence: Insistence = {}): Content | string {
  const after = applyChange(before, change, NOW, tools)
  try {
    assertAnswered(before, after, change, NOW, literalAddresses, insistence)
    return { ...after, observed: keepObserved(after, [service], literalAddresses) }
  } catch (error) {
    if (isTurnoutError(error, 'conflict')) return error.message
    throw error
  }
}

function made(before: Content, ...changes: Change[]): Content {
  return changes.reduce((content, change) => {
    const next = outcome(content, change)
    if (typeof next === 'string') throw new Error(next)
    return next
  }, before)
}
const forced = (before: Content, change: Change) => outcome(before, change, { force: true }) as Content
const isUnproven = (before: Content, change: Change): boolean => {
  try {
    assertAnswered(before, applyChange(before, change, NOW, tools), change, NOW, literalAddresses)
    return false
  } catch (error) {
    return error instanceof Unproven
  }
}

const to = (pool: string): Change => ({ kind: 'switch', to: { shop: pool } })
const back: Change = { kind: 'back', service }
const split = (weights: Weights): Change => ({ kind: 'split', service, weights })
const patch = (changes: Record<string, unknown>): Change => ({ kind: 'service.patch', service, patch: changes })
const poolState = (pool: string, state: AdminState): Change => ({ kind: 'pool.state', service, pool, state })
const targetState = (pool: string, target: string, state: AdminState): Change => ({
  kind: 'target.state',
  service,
  pool,
  target,
  state,
})
const poolPut = (pool: string, targets: string[], version = '1.1'): Change => ({
  kind: 'pool.put',
  service,
  pool,
  spec: { version, targets },
})
const file = (services: Record<string, ServiceSpec>): Change => ({ kind: 'file', services })
const restore = (then: Content): Change => ({
  kind: 'restore',
  from: 1,
  services: then.services,
  intents: then.intents,
})

test('a target of weight 0 is nobody who would be left to answer', () => {
  const pools = { ...shop().pools, blue: { ...shop().pools['blue'], weights: { [BLUE]: 0 } } }
  expect(outcome(start({ pools }), targetState('blue', BLUE, 'maint'))).not.toBeTypeOf('string')
  expect(outcome(start({ pools }), targetState('blue', BLUE2, 'maint'))).toMatch(
    'Nobody would be left to answer for shop',
  )
})

test('whom a rule of before denies a pool is not left to nobody by taking the other pools away', () => {
  const rules = [{ name: 'bots', when: { header: { 'user-agent': 'bot' } }, deny: 'blue' }]
  const both = healthy(start({ rules, failover: ['green'] }), 'green')
  const left = /Whom rule bots of shop denies pool blue would be answered by nobody/
  const away = [poolState('green', 'maint'), targetState('green', GREEN, 'drain'), patch({ failover: [] })]
  for (const change of away) expect(outcome(both, change)).toMatch(left)
  expect(forced(both, away[0])).toBeTypeOf('object')
  // What was so before is no reason to refuse something else, and to go back is not kept from anybody.
  const alone = start({ rules, failover: [] })
  expect(outcome(alone, targetState('blue', BLUE2, 'maint'))).toBeTypeOf('object')
  const shifted = made(healthy(alone, 'green'), split({ blue: 50, green: 50 }))
  expect(outcome(shifted, back)).toBeTypeOf('object')
  expect(outcome(shifted, split({ blue: 1 }))).toMatch(left)
  // Where it is named twice it is one pool all the same.
  const twice = healthy(start({ rules, split: { blue: 90, green: 10 }, failover: ['blue'] }), 'green')
  expect(outcome(twice, away[0])).toMatch(left)
  expect(outcome(ill(start({ failover: ['blue'] }), 'green'), { kind: 'rules', service, rules })).toMatch(left)
  // To rescue whom nobody answers is never refused for whom the rule denies.
  const dead = ill(healthy(start({ rules: [{ ...rules[0], deny: 'green' }] }), 'green'), 'blue')
  expect(outcome(dead, to('green'))).toBeTypeOf('object')
  // A rolling release drains what it replaces.
  const replacing = { pool: 'green', step: 1, targets: [GREEN] } as unknown as Trial
  const released = { ...both, intents: { shop: { ...both.intents['shop'], trial: replacing } } }
  expect(outcome(released, targetState('green', GREEN, 'drain'))).toBeTypeOf('object')
})

describe('a switch', () => {
  test('needs a pool that a probe has found healthy: unknown is not well, and it may be waited for', () => {
    expect(outcome(start(), to('green'))).toMatch(
      'Pool green of shop is not proven: of its 1 ready targets 0 are found',
    )
    expect(isUnproven(start(), to('green'))).toBe(true)
    expect(isUnproven(ill(start(), 'green'), to('green'))).toBe(true)
    expect(outcome(healthy(start(), 'green'), to('green'))).toBeTypeOf('object')
    expect(outcome(start(), to('green'), { force: true })).toBeTypeOf('object')
  })

  test.each([
    [5, 1, false],
    [5, 2, false],
    [5, 3, true],
    [2, 1, true],
    [1, 0, false],
  ])('of %i targets with %i proven: %s', (count, proven, allowed) => {
    const targets = Array.from({ length: count }, (_, n) => `http://10.0.0.${n + 1}:80`)
    const content = seen(made(start(), poolPut('green', targets)), 'green', { health: 'healthy' }, proven)
    expect(typeof outcome(content, to('green'))).toBe(allowed ? 'object' : 'string')
  })

  test('does not count targets that are not ready, nor those that are ejected', () => {
    const two = made(start(), poolPut('green', [GREEN, 'http://10.0.0.1:80', 'http://10.0.0.2:80']))
    const one = seen(two, 'green', { health: 'healthy' }, 1)
    expect(outcome(one, to('green'))).toBeTypeOf('string')
    const rest = [targetState('green', '10.0.0.1:80', 'maint'), targetState('green', '10.0.0.2:80', 'maint')]
    expect(outcome(made(one, ...rest), to('green'))).toBeTypeOf('object')
    const ejected = seen(healthy(start(), 'green'), 'green', { ejectedUntilMs: NOW + 1 })
    expect(outcome(ejected, to('green'))).toMatch('not proven')
    expect(outcome(seen(ejected, 'green', { ejectedUntilMs: NOW }), to('green'))).toBeTypeOf('object')
  })

  test('asks again about targets that went and came back, and about a pool whose addresses have changed', () => {
    const well = healthy(start(), 'green')
    expect(outcome(made(well, poolPut('green', []), poolPut('green', [GREEN])), to('green'))).toMatch('not proven')
    expect(outcome(made(well, poolPut('green', ['http://127.0.0.1:3009'])), to('green'))).toMatch('not proven')
  })

  test.each<AdminState>(['drain', 'standby', 'maint'])(
    'is refused for a pool in state %s, even where all weight is there already, and no wait helps',
    (state) => {
      const content = forced(made(healthy(start(), 'green'), to('green')), poolState('green', state))
      for (const before of [content, made(healthy(start(), 'green'), poolState('green', state))]) {
        expect(outcome(before, to('green'))).toMatch(`in state ${state}; set it ready first`)
        expect(isUnproven(before, to('green'))).toBe(false)
      }
    },
  )

  test('is refused for a pool without targets, and one none of whose targets is ready', () => {
    const empty = made(start(), poolPut('green', []))
    expect(outcome(empty, to('green'))).toMatch('has no targets')
    const out = made(healthy(start(), 'green'), targetState('green', GREEN, 'maint'))
    expect(outcome(out, to('green'))).toMatch('has no target that is ready')
  })

  test('of several services is made for all or for none', () => {
    const two = seen(contentOf({ shop: shop(), api: shop({}, 'api.test') }), 'green', { health: 'healthy' })
    const change: Change = { kind: 'switch', to: { shop: 'green', api: 'green' } }
    expect(outcome(two, change)).toMatch('Pool green of api is not proven')
  })

  test('in a service without probes needs targets that are ready and not ejected', () => {
    const content = start({ health: undefined })
    expect(outcome(content, to('green'))).toBeTypeOf('object')
    expect(outcome(seen(content, 'green', { ejectedUntilMs: NOW + 1 }), to('green'))).toMatch('0 are not ejected')
  })
})

describe('a split', () => {
  test('does not give a first share to a pool that is not proven, and not a larger one to a pool that fails', () => {
    expect(isUnproven(start(), split({ blue: 90, green: 10 }))).toBe(true)
    const shared = made(healthy(start(), 'green'), split({ blue: 90, green: 10 }))
    expect(outcome(shared, split({ blue: 80, green: 20 }))).toBeTypeOf('object')
    expect(isUnproven(ill(shared, 'green'), split({ blue: 80, green: 20 }))).toBe(true)
    expect(isUnproven(ill(shared, 'green'), split({ blue: 0, green: 10 }))).toBe(true)
    expect(outcome(ill(shared, 'green'), split({ blue: 95, green: 5 }))).toBeTypeOf('object')
    expect(outcome(ill(shared, 'green'), split({ blue: 1, green: 0 }))).toBeTypeOf('object')
  })

  test('is refused where a share would go to an empty pool or one in standby, even where it is so already', () => {
    const standby = forced(start({ split: { blue: 90, green: 10 } }), poolState('green', 'standby'))
    expect(outcome(standby, split({ blue: 90, green: 10 }))).toMatch('in state standby')
    const empty = made(start(), poolPut('green', []))
    expect(outcome(empty, split({ blue: 90, green: 10 }))).toMatch('has no targets')
  })

  test('is the same by a patch and by a whole spec', () => {
    const weights = { blue: 90, green: 10 }
    expect(isUnproven(start(), patch({ split: weights }))).toBe(true)
    expect(isUnproven(start(), put(shop({ split: weights })))).toBe(true)
    expect(outcome(ill(start(), 'green'), file({ shop: shop({ split: weights }) }))).toMatch('not proven')
    expect(outcome(made(healthy(start(), 'green'), poolState('green', 'maint')), patch({ split: weights }))).toMatch(
      'maint',
    )
  })

  test('is judged by what was asked until now where the same change asks something else, since nobody could be asked that yet', () => {
    const changes = { health: { path: '/other' }, split: { blue: 90, green: 10 } }
    expect(outcome(healthy(start(), 'green'), patch(changes))).toBeTypeOf('object')
    expect(isUnproven(start(), patch(changes))).toBe(true)
    // And then what is asked now has found nobody.
    const other = made(healthy(start(), 'green'), patch({ health: { path: '/other' } }))
    expect(isUnproven(other, to('green'))).toBe(true)
    expect(isUnproven(healthy(other, 'green'), to('green'))).toBe(false)
  })

  test('may come with a pool that is new in the same change, since nothing could have proven it', () => {
    const red = { version: '2', targets: ['http://127.0.0.1:3009'] }
    expect(outcome(start(), patch({ pools: { red }, split: { blue: 90, red: 10 } }))).toBeTypeOf('object')
    expect(outcome(contentOf({}), put(shop({ split: { blue: 1, green: 1 } })))).toBeTypeOf('object')
    expect(outcome(start({ health: undefined }), patch({ health: {}, split: { green: 10 } }))).toBeTypeOf('object')
  })
})

describe('back', () => {
  const switched = () => made(healthy(start(), 'green'), to('green'))

  test('asks for no proof, but where somebody answers it does not go to a pool that fails', () => {
    expect(outcome(ill(switched(), 'blue'), back)).toMatch('Nobody would be left to answer')
    expect(outcome(ill(ill(switched(), 'blue'), 'green'), back)).toBeTypeOf('object')
    expect(outcome(seen(switched(), 'blue', { health: 'unknown' }), back)).toBeTypeOf('object')
  })

  test('is refused when the pool is not ready or has no targets left', () => {
    expect(outcome(made(switched(), poolState('blue', 'maint')), back)).toMatch('in state maint')
    expect(outcome(made(switched(), poolPut('blue', [])), back)).toMatch('has no targets')
  })
})

describe('what would leave a service to nobody is refused unless it is forced', () => {
  test.each<AdminState>(['drain', 'standby', 'maint'])('%s of the only pool with weight', (state) => {
    expect(outcome(start(), poolState('blue', state))).toMatch('Nobody would be left to answer for shop')
    expect(forced(start(), poolState('blue', state)).intents[service].pools['blue'].admin).toBe(state)
    expect(outcome(start({ split: { blue: 1, green: 1 } }), poolState('blue', state))).toBeTypeOf('object')
    expect(outcome(ill(start({ split: { blue: 1, green: 1 } }), 'green'), poolState('blue', state))).toMatch('Nobody')
  })

  test('a state of the last target that is ready and does not fail', () => {
    const one = made(start(), targetState('blue', BLUE, 'drain'))
    expect(outcome(one, targetState('blue', BLUE2, 'standby'))).toMatch('Nobody')
    const sick = seen(start(), 'blue', { health: 'unhealthy' }, 1)
    expect(outcome(sick, targetState('blue', BLUE2, 'maint'))).toMatch('Nobody')
  })

  test('a pool with weight that is emptied, by itself or by a patch', () => {
    expect(outcome(start(), poolPut('blue', [], '1.0'))).toMatch('has traffic and would have no targets')
    expect(outcome(start(), patch({ pools: { blue: { targets: [] } } }))).toMatch('would have no targets')
    expect(outcome(start({ split: { blue: 1, green: 1 } }), poolPut('green', []))).toMatch('would have no targets')
    expect(outcome(start(), poolPut('green', []))).toBeTypeOf('object')
  })

  test('not what somebody takes over: by the failover list, and by the hot standby', () => {
    expect(outcome(start({ failover: ['green'] }), poolState('blue', 'standby'))).toBeTypeOf('object')
    const switched = made(healthy(start(), 'green'), to('green'))
    expect(outcome(switched, poolState('green', 'standby'))).toBeTypeOf('object')
    expect(outcome(ill(switched, 'blue'), poolState('green', 'standby'))).toMatch('Nobody')
  })

  test('not where nobody answered before either, so that a way out of that is never barred', () => {
    const out = forced(start(), poolState('blue', 'maint'))
    expect(outcome(out, { kind: 'rules', service, rules: [] })).toBeTypeOf('object')
    expect(outcome(out, targetState('blue', BLUE, 'maint'))).toBeTypeOf('object')
    expect(outcome(ill(start(), 'blue'), poolState('blue', 'standby'))).toBeTypeOf('object')
  })
})

describe('services are removed by name', () => {
  const two = () => contentOf({ shop: shop(), api: shop({}, 'api.test') })

  test('one by one without a question', () => {
    expect(outcome(two(), { kind: 'service.delete', service: 'api' })).toBeTypeOf('object')
  })

  test('by a file only with prune, which force is not', () => {
    for (const change of [file({}), file({ shop: shop() })]) {
      expect(outcome(two(), change)).toMatch(/The file no longer has .*api, which would be removed/)
      expect(outcome(two(), change, { force: true })).toBeTypeOf('string')
      expect(outcome(two(), change, { prune: true })).toBeTypeOf('object')
    }
  })

  test('by an earlier revision only when forced', () => {
    expect(outcome(two(), restore(start()))).toMatch('Revision 1 has no api, which would be removed')
    expect(outcome(two(), restore(start()), { force: true })).toBeTypeOf('object')
  })
})
