/** Holds by the admin API, over the real control. */
import { expect, test } from 'vitest'
import { TurnoutError } from '../../src/errors.ts'
import { startAdmin } from './stand-in.ts'

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

test('a release that could not be stored says that the requests go on', async () => {
  const { call, control } = await startAdmin()
  await call('POST', '/v1/services/shop/hold', {})
  control.failNext = new TurnoutError('store_unavailable')
  const { status, body } = await call('POST', '/v1/services/shop/release')
  expect([status, body.code]).toEqual([503, 'store_unavailable'])
  expect(body.detail).toContain('The requests go on all the same.')
})
