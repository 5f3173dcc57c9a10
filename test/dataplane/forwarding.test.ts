import { expect, test } from 'vitest'
import { service, startProxy } from '../helpers/proxy.ts'
import { rawRequest } from '../helpers/raw.ts'
import { startNamed } from '../helpers/upstream.ts'

test('a request reaches the target and its answer comes back', async () => {
  const blue = await startNamed('blue')
  const proxy = await startProxy({ services: { shop: service({ blue: [blue.url] }) } })
  const answer = await fetch(proxy.url)
  expect(answer.status).toBe(200)
  expect(await answer.text()).toBe('blue')
})

test('pipelined requests are answered in order', async () => {
  const blue = await startNamed('blue')
  const proxy = await startProxy({ services: { shop: service({ blue: [blue.url] }) } })
  const one = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
  const last = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
  const { text, end } = await rawRequest(proxy.port, one + one + last)
  expect(text.match(/\r\n\r\nblue/g)?.length).toBe(3)
  expect(end).toBe('closed')
})
