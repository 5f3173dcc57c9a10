/** /metrics over HTTP: what clients send to the admin API is never in it. */
import { expect, test } from 'vitest'
import { count, startAdmin } from './stand-in.ts'

test('/metrics is the Prometheus text with the counters of this moment', async () => {
  const { call, memory } = await startAdmin()
  count(memory, 1, 'status2xx', 42)
  const { status, headers, body } = await call('GET', '/metrics')
  expect(status).toBe(200)
  expect(headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
  expect(body).toMatch(
    /^turnout_requests_total\{code_class="2xx",service="shop",pool="green",version="1.1",target="127.0.0.1:3002"\} 42$/m,
  )
})

test('nothing that a client sends becomes a label', async () => {
  const { call } = await startAdmin()
  const mark = 'sent-by-a-client'
  await call('GET', `/${mark}`)
  await call('GET', `/v1/services/${mark}/status`, undefined, { 'x-mark': mark, 'user-agent': mark })
  await call('POST', '/v1/explain', { url: `/${mark}`, headers: { [mark]: mark } })
  await call('PUT', `/v1/services/shop/split`, { weights: { [mark]: 1 } })
  await call('POST', '/v1/services/shop/switch', { to: mark })
  const series = (text: string) => text.match(/^turnout_\S+(?= )/gm)!
  const before = series((await call('GET', '/metrics')).body)
  await call('GET', `/v1/${mark}?${mark}=${mark}`)
  const after = (await call('GET', '/metrics')).body
  expect(after).not.toContain(mark)
  expect(series(after)).toEqual(before)
})
