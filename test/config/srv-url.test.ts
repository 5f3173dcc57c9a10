/** Which names may be targets by SRV records, and what is said of the others. */
import { describe, expect, test } from 'vitest'
import { badSrv, isSrvUrl } from '../../src/config/srv-url.ts'

const bad = (host: string, port?: string) =>
  badSrv(host, port, `srv+http://${host}${port === undefined ? '' : `:${port}`}`)

describe('a target by SRV records', () => {
  test('is known by its scheme, in any case', () => {
    expect(['srv+http://_a._tcp.b', 'SRV+https://_a._tcp.b', 'http://srv'].map(isSrvUrl)).toEqual([true, true, false])
  })

  test('has a name with a service and a protocol', () => {
    expect(['_web._tcp.service.consul', '_web-2._tcp.x.', '_w._http.marathon'].map((host) => bad(host))).toEqual([
      null,
      null,
      null,
    ])
  })

  test('has no port, which its records say', () => {
    expect(bad('_web._tcp.test', '80')).toContain('leave out ":80"')
  })

  test('is no plain name and no address', () => {
    expect(bad('web.test')).toContain('or for a name without SRV records http://web.test:PORT')
    expect(bad('10.0.0.1')).toContain('an address has no SRV records: write http://10.0.0.1:PORT')
    expect(bad('[::1]')).toContain('an address has no SRV records')
    expect(bad('_tcp.test')).toContain('such as _web._tcp.example.com')
  })

  test('goes by TCP', () => {
    expect(bad('_web._udp.test')).toContain('HTTP needs _tcp in the place of _udp')
  })
})
