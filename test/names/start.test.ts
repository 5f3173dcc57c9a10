/** Names before control is there: what they find until then is told once it is. */
import pino from 'pino'
import { expect, onTestFinished, test, vi } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { startNames } from '../../src/names/start.ts'
import { shop } from '../control/stand-in.ts'
import { addresses, startNameServer } from '../helpers/name-server.ts'

test('a host that is found before control follows has moved for it', async () => {
  const server = await startNameServer({ 'api.test': { answers: addresses(['10.0.0.1']) } })
  const pools = { blue: { version: '1', targets: ['http://api.test:80'] } }
  const services = { shop: shop({ pools, split: { blue: 100 } }) }
  const { names, follow } = startNames(pino({ level: 'silent' }), systemClock, services, {
    servers: () => [server.address],
  })
  onTestFinished(() => names.close())
  await vi.waitFor(() => expect(names.of('api.test').addresses).toHaveLength(1))
  const moved: string[] = []
  follow({
    snapshot: () => ({ services }) as never,
    subscribe: () => () => {},
    publish() {},
    addressesMoved: (host) => moved.push(host),
  })
  expect(moved).toEqual(['api.test'])
})
