/** Where the gates of a rollout ask targets: at which of their addresses, with which Host, and with a certificate for which name. */
import { lookup } from 'node:dns'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import tls from 'node:tls'
import { describe, expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { probe } from '../../src/health/probe.ts'
import type { Address } from '../../src/names/address.ts'
import { Asker } from '../../src/rollout/gates/asker.ts'
import type { About } from '../../src/rollout/gates/gate.ts'
import { placesOf } from '../../src/rollout/gates/places.ts'
import type { AddressStatus } from '../../src/table/status.ts'
import { healthPlan } from '../health/stand-in.ts'
import { makeCertificate } from '../helpers/certificate.ts'
import { program } from '../helpers/programs.ts'
import { temporaryFolder } from '../helpers/proxy.ts'
import { startAt } from '../helpers/upstream.ts'
import { makePlan, makeStatus } from '../table/make.ts'

const openssl = program('openssl')
const never = new AbortController().signal
const SRV = 'srv+http://_web._tcp.test'
const API = 'http://api.test:80'

/** A place of SRV records. */
const placeOf = (host: string, ip: string, port: number): Address => ({
  address: `${ip}:${port}`,
  alternate: null,
  srv: { host, ip, port, weight: 1 },
})

function makeAsker(): Asker {
  const asker = new Asker(lookup)
  onTestFinished(() => asker.close())
  return asker
}

describe('a target', () => {
  const seen = (address: string, changes: Partial<AddressStatus> = {}): AddressStatus => ({
    address,
    alternate: null,
    health: 'healthy',
    ejectedUntilMs: 0,
    slot: 0,
    ...changes,
  })
  const namesOf = (addresses: readonly AddressStatus[], url = API, nowMs = 1_000) => {
    const plan = makePlan({ pools: [{ name: 'blue', version: '1', targets: [url] }], weights: { blue: 1 } })
    const status = makeStatus(plan, { targets: { [url]: { addresses } } })
    const about = { status: () => status, rollout: { to: 'blue' } } as About
    return placesOf(about, [url], nowMs).map(({ name }) => name)
  }

  test('is asked at each address that takes requests, and is told with it', () => {
    const [ill, out] = [seen('10.0.0.3', { health: 'unhealthy' }), seen('10.0.0.4', { ejectedUntilMs: 2_000 })]
    expect(namesOf([seen('10.0.0.1'), seen('10.0.0.2', { health: 'unknown' }), ill, out])).toEqual([
      `${API} (10.0.0.1)`,
      `${API} (10.0.0.2)`,
    ])
    expect(namesOf([seen('10.0.0.1'), out], API, 2_000)).toHaveLength(2)
    expect(namesOf([seen('127.0.0.1')], 'http://127.0.0.1:3001')).toEqual(['http://127.0.0.1:3001'])
    expect(namesOf([seen('10.0.0.1:81')], SRV)).toEqual([`${SRV} (10.0.0.1:81)`])
  })

  test('of which none takes requests is asked at all', () => {
    const ill = ['10.0.0.1', '10.0.0.2'].map((address) => seen(address, { health: 'unhealthy' }))
    expect(namesOf(ill)).toHaveLength(2)
  })

  test('without an address cannot be asked, and says so', () => {
    expect(() => namesOf([])).toThrow(`${API} has no address: its name cannot be resolved`)
  })
})

describe('a place', () => {
  test('is asked where its record says, by the host of the record, unless another Host is wanted', async () => {
    const hosts: (string | undefined)[] = []
    const { port } = await startAt('127.0.0.2', 0, (request, response) => {
      hosts.push(request.headers.host)
      response.end('here')
    })
    const [asker, place] = [makeAsker(), { url: SRV, address: placeOf('a.test', '127.0.0.2', port) }]
    expect(await asker.getAt(place, '/x?y', 2_000, never, {})).toEqual({ status: 200, body: 'here' })
    await asker.getAt(place, '/', 2_000, never, { host: 'shop.test' })
    expect(hosts).toEqual([`a.test:${port}`, 'shop.test'])
  })

  test('that does not accept is asked at its alternate', async () => {
    const { port } = await startAt('127.0.0.3', 0)
    const address = { address: '127.0.0.2', alternate: '127.0.0.3' }
    const asked = makeAsker().getAt({ url: `http://api.test:${port}`, address }, '/', 2_000, never, {})
    expect((await asked).body).toBe('127.0.0.3')
  })

  test('of one name has connections of its own', async () => {
    const one = await startAt('127.0.0.2', 0)
    await startAt('127.0.0.3', one.port)
    const [asker, url] = [makeAsker(), `http://api.test:${one.port}`]
    const bodies = ['127.0.0.2', '127.0.0.3', '127.0.0.2'].map(async (address) => {
      const place = { url, address: { address, alternate: null } }
      return (await asker.getAt(place, '/', 2_000, never, {})).body
    })
    expect(await Promise.all(bodies)).toEqual(['127.0.0.2', '127.0.0.3', '127.0.0.2'])
  })

  test.skipIf(openssl === null)(
    'has a certificate for the host of its record, whatever Host is asked for, and so it is with probes',
    async () => {
      const { cert, key } = makeCertificate(openssl!, temporaryFolder(), 'DNS:a.test')
      const before = tls.getCACertificates('default')
      tls.setDefaultCACertificates([...before, cert])
      onTestFinished(() => tls.setDefaultCACertificates(before))
      const names: unknown[] = []
      const server = createServer({ cert, key }, (request, response) => {
        names.push((request.socket as tls.TLSSocket).servername)
        response.end('{}')
      })
      await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
      onTestFinished(() => void server.close())
      const { port } = server.address() as AddressInfo
      const at = (host: string) => ({ url: 'srv+https://_web._tcp.test', address: placeOf(host, '127.0.0.1', port) })
      const asker = makeAsker()
      for (const headers of [{}, { host: 'shop.test' }] as Record<string, string>[])
        expect(await asker.getAt(at('a.test'), '/', 2_000, never, headers)).toMatchObject({ status: 200 })
      await expect(asker.getAt(at('b.test'), '/', 2_000, never, { host: 'a.test' })).rejects.toThrow('b.test')
      const probed = async (host: string, wanted: string) => {
        const { url, address } = at(host)
        const plan = healthPlan({ host: wanted, timeoutMs: 2_000 })
        return (await probe(url, address, plan, '', systemClock, never)).result
      }
      expect([await probed('a.test', 'shop.test'), await probed('b.test', 'a.test')]).toEqual(['pass', 'fail'])
      expect(new Set(names)).toEqual(new Set(['a.test']))
    },
  )
})
