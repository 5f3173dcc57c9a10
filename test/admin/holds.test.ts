/** Holds by the admin API, over the real control. */
import { setTimeout } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { TurnoutError } from '../../src/errors.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { startAdmin } from './stand-in.ts'

const ME = { name: 'one:1', version: '1', revision: 1, epoch: 1, isSelf: true, leads: false, clockAheadMs: 0 }
const ALONE = {
  cutOff: null,
  staleMs: 0,
  storeFault: null,
  busyAt: () => [],
  told: () => [ME],
  local: null,
  everywhere: async <T>(made: T) => made,
}

test('a hold and its release are changes like others: with a revision, an event and a line of the audit; a second release changes nothing', async () => {
  const { call } = await startAdmin()
  const held = await call('POST', '/v1/services/shop/hold', { for: '20s', only: 'writes' })
  expect([held.status, held.body.changed, held.body.service]).toEqual([200, true, 'shop'])
  const { hold, held: figures } = (await call('GET', '/v1/services/shop/status')).body
  expect([hold.only, hold.queue, hold.untilMs - hold.sinceMs, figures.waiting]).toEqual(['writes', 10_000, 20_000, 0])
  expect((await call('POST', '/v1/services/shop/release')).body.changed).toBe(true)
  expect((await call('POST', '/v1/services/shop/release')).body.changed).toBe(false)
  expect((await call('GET', '/v1/services/shop/status')).body.hold).toBeNull()
  const { entries } = (await call('GET', '/v1/audit')).body
  expect(entries.slice(0, 2).map(({ change }: { change: object }) => change)).toMatchObject([
    { kind: 'release', service: 'shop' },
    { kind: 'hold', service: 'shop', hold: { forMs: 20_000, only: 'writes' } },
  ])
  const { events } = (await call('GET', '/v1/events?follow=false')).body
  expect(events.map(({ message }: { message: string }) => message).slice(-2)).toEqual([
    'shop held for 20 s, writes only, by local',
    'shop released by local',
  ])
})

test('a hold of no time at all, however it is written, is refused, alone and of a switch', async () => {
  const { call } = await startAdmin()
  for (const none of ['0s', '00000ms', '0.0s', '0.000m']) {
    for (const [path, body, pointer] of [
      ['hold', { for: none }, '/for'],
      ['switch', { to: 'green', hold: { for: none } }, '/hold/for'],
    ] as const) {
      const refused = await call('POST', `/v1/services/shop/${path}`, body)
      expect([refused.status, refused.body.errors[0].pointer]).toEqual([422, pointer])
      expect(refused.body.errors[0].message).toContain('a duration above 0 and of at most 10m')
    }
  }
  for (const some of ['1ms', '0.001s', '0.05m']) {
    expect((await call('POST', '/v1/services/shop/hold', { for: some })).status).toBe(200)
  }
})

test('a release that could not be stored says that the requests go on', async () => {
  const { call, control } = await startAdmin()
  await call('POST', '/v1/services/shop/hold', {})
  control.failNext = new TurnoutError('store_unavailable')
  const { status, body } = await call('POST', '/v1/services/shop/release')
  expect([status, body.code]).toEqual([503, 'store_unavailable'])
  expect(body.detail).toContain('The requests go on all the same.')
})

test('a switch under a hold holds nobody while another process uses the same file, whose requests nobody sees here; with force it does', async () => {
  const store = Object.assign(memoryStore(), { hasOthers: async () => true })
  const { call } = await startAdmin({
    store,
    instances: { ...ALONE, quieted: async () => [] },
    callHook: async () => 'answered 418',
  })
  const asked = { to: 'green', hold: { for: '10s' }, hook: { url: 'http://ci.test/m?token=x' } }
  const refused = await call('POST', '/v1/services/shop/switch', asked)
  expect([refused.status, refused.body.detail]).toEqual([
    409,
    'Another process uses the same store, and nobody can see here what is under way in it. Nobody was held; with force it is done all the same.',
  ])
  const forced = await call('POST', '/v1/services/shop/switch?force=true', asked)
  expect([forced.body.code, forced.body.detail]).toEqual([
    'hook_failed',
    'Hook http://ci.test/m: answered 418. Nothing was switched, and who was held goes where he went before.',
  ])
})

test('the hook of a switch has a second less than its hold, however long it took to keep it', async () => {
  const given: number[] = []
  const { call, control } = await startAdmin({
    instances: {
      ...ALONE,
      async quieted(_hold, limitMs) {
        given.push(limitMs)
        return []
      },
    },
    async callHook(_hook, _key, _body, withinMs) {
      given.push(withinMs)
      return 'answered 418'
    },
  })
  const { change } = control
  control.change = async (asked, options) => {
    const made = await change(asked, options)
    await setTimeout(400)
    return made
  }
  await call('POST', '/v1/services/shop/switch', {
    to: 'green',
    hold: { for: '4s' },
    hook: { url: 'http://ci.test/m' },
  })
  const [quietMs, hookMs] = given
  expect(quietMs).toBeLessThanOrEqual(1_600)
  expect(hookMs).toBeLessThanOrEqual(2_600)
  expect(hookMs).toBeGreaterThan(0)
})

test('instances that do not hold, or do not say that nothing is under way there, call the switch off and are named', async () => {
  const { call } = await startAdmin({
    instances: { ...ALONE, told: () => [ME, { ...ME, name: 'two:1', isSelf: false }], quieted: async () => ['two:1'] },
  })
  const { body } = await call('POST', '/v1/services/shop/switch', { to: 'green', hold: { for: '2s', only: 'writes' } })
  expect([body.code, body.detail]).toEqual([
    'conflict',
    'Writes were still under way after 1 s (0 of shop; at two:1). Nothing was switched, and who was held goes where he went before.',
  ])
  expect((await call('GET', '/v1/services/shop/status')).body.hold).toBeNull()
})
