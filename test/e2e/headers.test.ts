/** What Turnout says about its choice: to the target always, to the client when asked to, and never by the client's word. */
import { expect, test } from 'vitest'
import { ask, BROWSER, see, startSeeing } from '../helpers/ask.ts'
import { WORKERS } from '../helpers/bulk.ts'
import { call, service, startProxy } from '../helpers/proxy.ts'
import { shareProxy } from '../helpers/shared-proxy.ts'
import { startNamed, startUpstream } from '../helpers/upstream.ts'

const proxyTo = shareProxy()

test('the target is told service, pool and release of the choice, and the release changes with a switch', async () => {
  const [blue, green] = [await startSeeing('blue'), await startSeeing('green')]
  const proxy = await startProxy({
    workers: WORKERS,
    services: { shop: service({ blue: [blue.url], green: [green.url] }) },
  })
  const told = async () => {
    const { name, headers } = await see(proxy.port)
    return [name, ...['service', 'pool', 'release'].map((what) => headers[`x-turnout-${what}`]?.join())]
  }
  expect(await told()).toEqual(['blue', 'shop', 'blue', expect.stringMatching(/^r1-/)])
  await call(proxy, 'POST', '/v1/services/shop/switch', { to: 'green' })
  expect(await told()).toEqual(['green', 'shop', 'green', expect.stringMatching(/^r2-/)])
  await call(proxy, 'POST', '/v1/services/shop/back')
  expect(await told()).toEqual(['blue', 'shop', 'blue', expect.stringMatching(/^r1-/)])
})

test('X-Turnout-* of a client never reaches the target, in whatever case, spelling or number', async () => {
  const blue = await startSeeing('blue')
  const proxy = await proxyTo(blue)
  const { headers } = await see(proxy.port, {
    headers: {
      'X-Turnout-Pool': ['green', 'red'],
      'x-turnout-service': 'other',
      'X-TURNOUT-RELEASE': 'r99',
      'x-turnout-anything': '1',
      x_turnout_pool: 'green',
      'X-Turnout_Anything': '1',
      'x-turn': 'kept',
    },
  })
  const ours = Object.keys(headers).filter((name) => name.replaceAll('_', '-').startsWith('x-turnout'))
  expect(ours.sort()).toEqual(['x-turnout-pool', 'x-turnout-release', 'x-turnout-service'])
  expect(headers).toMatchObject({
    'x-turnout-pool': ['blue'],
    'x-turnout-service': ['shop'],
    'x-turnout-release': [expect.stringMatching(/^r1-[0-9a-f]+$/)],
  })
  expect(headers['x-turn']).toEqual(['kept'])
})

test('the list of Connection takes none of our fields away', async () => {
  const blue = await startSeeing('blue')
  const proxy = await proxyTo(blue)
  const named = 'close, x-turnout-pool, x-forwarded-for, forwarded, host, x-request-id, via, x-mine'
  const { headers } = await see(proxy.port, { headers: { connection: named, 'x-mine': '1', host: 'shop.test' } })
  expect(headers).toMatchObject({
    'x-turnout-pool': ['blue'],
    'x-forwarded-for': ['127.0.0.1'],
    host: ['shop.test'],
    via: ['1.1 turnout'],
  })
  expect(headers['x-request-id']?.[0]).toMatch(/^[0-9a-f]{32}$/)
  expect(headers['x-mine']).toBeUndefined()
})

test('clients are told the choice only when debugHeaders is on, and a target cannot tell it in our name', async () => {
  const boasting = await startUpstream((_request, response) => {
    response.setHeader('x-turnout-pool', 'invented').setHeader('X-Turnout-Other', '1').end('ok')
  })
  const proxy = await startProxy({ workers: WORKERS, services: { shop: service({ blue: [boasting.url] }) } })
  const ours = async () => {
    const { headers } = await ask(proxy.port, { headers: BROWSER })
    return Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('x-turnout')))
  }
  expect(await ours()).toEqual({})
  await call(proxy, 'PATCH', '/v1/services/shop', { debugHeaders: true })
  expect(await ours()).toEqual({
    'x-turnout-service': 'shop',
    'x-turnout-pool': 'blue',
    'x-turnout-release': expect.stringMatching(/^r1-/),
  })
  await call(proxy, 'PATCH', '/v1/services/shop', { debugHeaders: false })
  expect(await ours()).toEqual({})
})

test('the request id of a client is kept when it is visible ASCII, else replaced, and is the same for target and client', async () => {
  const blue = await startSeeing('blue')
  const proxy = await proxyTo(blue)
  const idFor = async (headers: Record<string, string>) => {
    const answer = await ask(proxy.port, { headers })
    const atTarget = JSON.parse(answer.body).headers['x-request-id']
    expect(atTarget).toEqual([answer.headers['x-request-id']])
    return atTarget[0] as string
  }
  for (const good of ['abc-123_Z', 'Root=1-5759e988-bd862e3fe1be46a994272793;a:b/c+d,e@f', '{"\\~!', 'x'.repeat(200)]) {
    expect(await idFor({ 'x-request-id': good })).toBe(good)
  }
  for (const bad of ['', 'a b', 'a\tb', 'a\xe9', 'x'.repeat(201)]) {
    expect(await idFor({ 'x-request-id': bad })).toMatch(/^[0-9a-f]{32}$/)
  }
  expect(await idFor({})).not.toBe(await idFor({}))
})

test('a trace is passed on as it came, or begun, and then nobody says in its name that it is sampled', async () => {
  const blue = await startSeeing('blue')
  const proxy = await proxyTo(blue)
  const traceOf = async (headers: Record<string, string | string[]>) => {
    const seen = (await see(proxy.port, { headers })).headers
    return [seen['traceparent'], seen['tracestate']]
  }
  const begun = [expect.stringMatching(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/)]
  const valid = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
  const tracestate = 'rojo=1,congo=2'
  expect(await traceOf({ traceparent: valid, tracestate })).toEqual([[valid], [tracestate]])
  expect(await traceOf({ traceparent: ` \t${valid} ` })).toEqual([[valid], undefined])
  const later = `cc${valid.slice(2)}-what-comes-later`
  expect(await traceOf({ traceparent: later, tracestate })).toEqual([[later], [tracestate]])
  expect(await traceOf({})).toEqual([begun, undefined])
  expect(await traceOf({ tracestate })).toEqual([begun, undefined])
  const connection = 'traceparent'
  expect(await traceOf({ connection, traceparent: valid, tracestate })).toEqual([begun, undefined])
})

test.each([
  ['', '1'],
  ['00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7'],
  ['00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1'],
  ['00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more'],
  ['00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01'],
  ['00-00000000000000000000000000000000-00f067aa0ba902b7-01'],
  ['00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01'],
  ['00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'],
  ['00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01'],
  ['ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'],
  ['cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more'],
  ['00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g'],
  [
    '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  ],
])('what is no trace begins a new one, without the state of the old: %j', async (...traceparent) => {
  const blue = await startSeeing('blue')
  const proxy = await proxyTo(blue)
  const { headers } = await see(proxy.port, { headers: { traceparent, tracestate: 'rojo=1' } })
  expect(headers['traceparent']).toEqual([expect.stringMatching(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/)])
  expect(headers['traceparent']?.[0]).not.toContain('4bf92f3577b34da6a3ce929d0e0e4736')
  expect(headers['tracestate']).toBeUndefined()
})

test('a request from a trusted address may ask for the debug headers, and nobody else', async () => {
  const blue = await startNamed('blue')
  const services = { shop: service({ blue: [blue.url] }) }
  const trusting = await startProxy({ services, trustedProxies: ['127.0.0.0/8'] })
  const wary = await startProxy({ services })
  const headers = { 'x-turnout-debug': '1' }
  expect((await ask(trusting.port, { headers })).headers['x-turnout-pool']).toBe('blue')
  expect((await ask(trusting.port, {})).headers['x-turnout-pool']).toBeUndefined()
  expect((await ask(wary.port, { headers })).headers['x-turnout-pool']).toBeUndefined()
})
