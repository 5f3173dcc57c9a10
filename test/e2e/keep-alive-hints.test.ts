/** What a target says in `Keep-Alive` about how long, and for how many requests, it keeps a connection. */
import { expect, test } from 'vitest'
import { metric } from '../helpers/admin.ts'
import { head, pipeline } from '../helpers/ask.ts'
import { openLine } from '../helpers/load.ts'
import { service, startProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { startAnswering, startRaw } from '../helpers/upstream.ts'

const hinting = (hint: string): string => `HTTP/1.1 200 OK\r\nKeep-Alive: ${hint}\r\nContent-Length: 2\r\n\r\nok`

test('the time that a target keeps connections is honoured, a second before its end', async () => {
  const hinted = await startAnswering(hinting('timeout=2'))
  const timeouts = { upstreamKeepAlive: '60s' }
  const proxy = await startProxy({ timeouts, services: { shop: service({ blue: [hinted.url] }) } })
  const line = await openLine(proxy.port)
  await line?.ask({ method: 'GET' })
  await line?.ask({ method: 'GET' })
  expect(hinted.connections()).toBe(1)
  await until('the connection is given up', async () => (await metric(proxy, 'turnout_upstream_connections')) === 0)
  await line?.ask({ method: 'GET' })
  expect(hinted.connections()).toBe(2)
  line?.close()
})

test('a target that keeps connections for a second or one request only gets none twice, not even at once', async () => {
  const hints = ['timeout=1', 'timeout=0', 'max=1', 'max=0', 'timeout=60, max=1']
  const targets = await Promise.all(hints.map((hint) => startAnswering(hinting(hint))))
  const shops = targets.map((target, n) => {
    return [`shop${n}`, service({ blue: [target.url] }, { routes: [{ host: `${n}.test`, path: '/' }] })]
  })
  const proxy = await startProxy({ services: Object.fromEntries(shops) })
  for (const n of hints.keys()) await pipeline(proxy.port, new Array(20).fill(head('/', { host: `${n}.test` })), 1)
  expect(targets.map((target) => target.connections())).toEqual(hints.map(() => 20))
})

test.each<[how: string, max: (nth: number) => string]>([
  ['as the whole', () => ', max=5'],
  ['as what is left', (nth) => `, max=${5 - nth}`],
  ['once, at first', (nth) => (nth === 0 ? ', max=5' : '')],
])('a target that tells a number of requests %s gets no more of them on a connection', async (_, max) => {
  const counts: number[] = []
  const counting = await startRaw((socket, text, index) => {
    if (!text.endsWith('\r\n\r\n')) return
    const nth = text.split('\r\n\r\n').length - 2
    counts[index] = nth + 1
    socket.write(hinting(`timeout=60${max(nth)}`))
  })
  const proxy = await startProxy({ services: { shop: service({ blue: [counting.url] }) } })
  await pipeline(proxy.port, new Array(20).fill(head('/')), 1)
  expect(Math.max(...counts)).toBeLessThanOrEqual(5)
  expect(counting.connections()).toBeLessThanOrEqual(5)
})
