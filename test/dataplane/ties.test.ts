/**
 * NTLM and Negotiate log in a connection, not a request: whoever logs in is known by the connection to the target from then on. So that
 * connection belongs to one client for good, and that client's requests go on it.
 */
import type { Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { metric } from '../helpers/admin.ts'
import { type Answer, ask, oneConnection } from '../helpers/ask.ts'
import { call, service, startProxy, type Proxy as TestProxy } from '../helpers/proxy.ts'
import { rawRequest, until } from '../helpers/raw.ts'
import { shareProxy } from '../helpers/shared-proxy.ts'
import { startUpstream, type Upstream } from '../helpers/upstream.ts'

interface Login {
  /** Who has begun to log in, and who is logged in. */
  pending: string
  user: string
}

interface IntranetTarget extends Upstream {
  /** Open connections. */
  readonly sockets: Set<Socket>
  /** What was sent as `Authorization`, in order. */
  readonly credentials: string[]
}

/** A target with a login in two steps, `NTLM 1 name` and `NTLM 3 name`, and one in one, `Negotiate name`. */
async function startIntranet(name = 'intranet'): Promise<IntranetTarget> {
  const logins = new WeakMap<Socket, Login>()
  const sockets = new Set<Socket>()
  const credentials: string[] = []
  const upstream = await startUpstream((request, response) => {
    const { socket } = request
    const login = logins.get(socket) ?? { pending: '', user: '' }
    logins.set(socket, login)
    if (!sockets.has(socket)) socket.once('close', () => sockets.delete(socket))
    sockets.add(socket)
    const [scheme, step, who = ''] = (request.headers.authorization ?? '').split(' ')
    if (scheme !== '') credentials.push(request.headers.authorization!)
    if (scheme === 'NTLM' && step === '1') login.pending = who
    if (scheme === 'NTLM' && step === '3' && login.pending === who) login.user = who
    if (scheme === 'Negotiate') login.user = step
    request.resume().on('end', () => {
      if (request.url === '/open') response.end('open')
      else if (login.user !== '') response.end(`${login.user} at ${name}`)
      else {
        const isStep = scheme === 'NTLM' && step === '1'
        response.writeHead(401, { 'www-authenticate': isStep ? `NTLM 2 ${who}` : ['NTLM', 'Negotiate'] }).end('who?')
      }
    })
  })
  return { ...upstream, sockets, credentials }
}

const proxyTo = shareProxy({ sticky: false })
const shopOf = (targets: readonly Upstream[], more: Record<string, unknown> = {}) => ({
  services: { shop: service({ blue: targets.map(({ url }) => url) }, { sticky: false, ...more }) },
})

/** A client with one connection, and what it does on it. */
function startClient(proxy: TestProxy) {
  const agent = oneConnection()
  const get = (path = '/', authorization?: string) =>
    ask(proxy.port, { agent, path, headers: authorization === undefined ? {} : { authorization } })
  const logIn = async (who: string, path = '/'): Promise<Answer> => {
    expect((await get(path)).status).toBe(401)
    const second = await get(path, `NTLM 1 ${who}`)
    expect([second.status, second.headers['www-authenticate']]).toEqual([401, `NTLM 2 ${who}`])
    return get(path, `NTLM 3 ${who}`)
  }
  return { agent, get, logIn }
}

const bodyOf = ({ status, body }: Pick<Answer, 'status' | 'body'>) => `${status} ${body}`

describe('who has logged in on a connection', () => {
  test('is known by it to the target, on request after request, whatever its method', async () => {
    const target = await startIntranet()
    const proxy = await proxyTo(target)
    const alice = startClient(proxy)
    expect(bodyOf(await alice.logIn('alice'))).toBe('200 alice at intranet')
    for (let n = 0; n < 10; n++) expect(bodyOf(await alice.get())).toBe('200 alice at intranet')
    const posted = await ask(proxy.port, { agent: alice.agent, method: 'POST', body: 'x' })
    expect(bodyOf(posted)).toBe('200 alice at intranet')
    expect(target.sockets.size).toBe(1)
  })

  test('is not who others are, neither meanwhile nor afterwards', async () => {
    const target = await startIntranet()
    const proxy = await proxyTo(target)
    const alice = startClient(proxy)
    await alice.logIn('alice')
    for (let n = 0; n < 5; n++) {
      const [hers, his] = await Promise.all([alice.get(), ask(proxy.port)])
      expect([bodyOf(hers), bodyOf(his)]).toEqual(['200 alice at intranet', '401 who?'])
      expect(bodyOf(await ask(proxy.port))).toBe('401 who?')
    }
    alice.agent.destroy()
    for (let n = 0; n < 5; n++) expect(bodyOf(await ask(proxy.port))).toBe('401 who?')
  })

  test('by a single request is not who others are either', async () => {
    const target = await startIntranet()
    const proxy = await proxyTo(target)
    const alice = startClient(proxy)
    expect(bodyOf(await alice.get('/', 'Negotiate alice'))).toBe('200 alice at intranet')
    expect(bodyOf(await ask(proxy.port))).toBe('401 who?')
    expect(bodyOf(await alice.get())).toBe('200 alice at intranet')
  })

  test('is told from all others who do so at the same time', async () => {
    const targets = [await startIntranet('a'), await startIntranet('b')]
    const proxy = await proxyTo(...targets)
    await Promise.all(
      Array.from({ length: 16 }, async (_, n) => {
        const client = startClient(proxy)
        const [, name] = /^200 (.*) at [ab]$/.exec(bodyOf(await client.logIn(`u${n}`))) ?? []
        expect(name).toBe(`u${n}`)
        for (let turn = 0; turn < 10; turn++) {
          expect((await client.get()).body).toMatch(new RegExp(`^u${n} at [ab]$`))
          expect(bodyOf(await client.get('/open'))).toBe('200 open')
          expect(bodyOf(await ask(proxy.port))).toBe('401 who?')
        }
      }),
    )
  })
})

describe('a client that has logged in', () => {
  test('stays with its target, whatever chooses among them', async () => {
    const targets = [await startIntranet('a'), await startIntranet('b'), await startIntranet('c')]
    const urls = targets.map(({ url }) => url)
    const balances = ['least-request', 'round-robin', 'random', 'hash']
    const services = balances.map((balance) => {
      const routes = [{ host: '*', path: `/${balance}` }]
      return [balance, { ...service({ blue: urls }, { sticky: false, balance }), routes }]
    })
    const proxy = await startProxy({ services: Object.fromEntries(services) })
    for (const path of balances.map((balance) => `/${balance}`)) {
      for (const who of ['alice', 'bob', 'carol']) {
        const client = startClient(proxy)
        const { body } = await client.logIn(who, path)
        for (let n = 0; n < 6; n++)
          expect({ path, body: bodyOf(await client.get(path)) }).toEqual({ path, body: `200 ${body}` })
      }
    }
  })

  test('stays with its pool when nothing else says who the visitor is, and leaves it when that has no share any more', async () => {
    const blue = await startIntranet('blue')
    const green = await startIntranet('green')
    const proxy = await startProxy({
      services: {
        shop: { ...service({ blue: [blue.url], green: [green.url] }), split: { blue: 50, green: 50 }, sticky: false },
      },
    })
    const client = startClient(proxy)
    const { body } = await client.logIn('alice')
    for (let n = 0; n < 8; n++) expect(bodyOf(await client.get())).toBe(`200 ${body}`)
    await call(proxy, 'PUT', '/v1/services/shop/split', {
      weights: body.endsWith('blue') ? { blue: 0, green: 100 } : { blue: 100, green: 0 },
    })
    expect(bodyOf(await client.get())).toBe('401 who?')
    expect((await client.logIn('alice')).body).toBe(body.endsWith('blue') ? 'alice at green' : 'alice at blue')
  })

  test('may do so at several services', async () => {
    const shop = await startIntranet('shop')
    const wiki = await startIntranet('wiki')
    const at = (path: string, { url }: Upstream) => ({
      ...service({ blue: [url] }, { sticky: false }),
      routes: [{ host: '*', path }],
    })
    const proxy = await startProxy({ services: { shop: at('/', shop), wiki: at('/wiki', wiki) } })
    const client = startClient(proxy)
    await client.logIn('alice')
    await client.logIn('al', '/wiki')
    for (let n = 0; n < 3; n++) {
      expect(bodyOf(await client.get())).toBe('200 alice at shop')
      expect(bodyOf(await client.get('/wiki'))).toBe('200 al at wiki')
    }
  })

  test('keeps its connection for longer than others stay idle', async () => {
    const target = await startIntranet()
    const proxy = await startProxy({ ...shopOf([target]), timeouts: { upstreamKeepAlive: '50ms' } })
    const alice = startClient(proxy)
    await alice.logIn('alice')
    await ask(proxy.port, { path: '/open' })
    await until('the other connection is closed', () => target.sockets.size === 1)
    expect(bodyOf(await alice.get())).toBe('200 alice at intranet')
  })

  test('logs in anew when the target has closed the connection', async () => {
    const target = await startIntranet()
    const proxy = await proxyTo(target)
    const alice = startClient(proxy)
    await alice.logIn('alice')
    for (const socket of target.sockets) socket.destroy()
    expect(bodyOf(await alice.get())).toBe('401 who?')
    expect(bodyOf(await alice.logIn('alice'))).toBe('200 alice at intranet')
  })

  test('and goes, takes its connection along', async () => {
    const target = await startIntranet()
    const proxy = await startProxy(shopOf([target]))
    const alice = startClient(proxy)
    await alice.logIn('alice')
    const tied = () => metric(proxy, 'turnout_tied_connections')
    expect(await tied()).toBe(1)
    alice.agent.destroy()
    await until('the connection of alice is closed', () => target.sockets.size === 0)
    expect(await tied()).toBe(0)
    expect(await metric(proxy, 'turnout_upstream_connections')).toBe(0)
  })

  test('gives way when the target has no room left, the one who has waited longest first', async () => {
    const target = await startIntranet()
    const proxy = await startProxy({ ...shopOf([target]), limits: { upstreamConnectionsMax: 2 } })
    const [alice, bob] = [startClient(proxy), startClient(proxy)]
    await alice.logIn('alice')
    await bob.logIn('bob')
    expect(bodyOf(await ask(proxy.port, { path: '/open' }))).toBe('200 open')
    expect(bodyOf(await bob.get())).toBe('200 bob at intranet')
    expect(bodyOf(await alice.get())).toBe('401 who?')
  })
})

test('a step of a login that meets the end of its connection is not repeated on another one', async () => {
  let begun: Socket | null = null
  const seen: string[] = []
  const target = await startUpstream((request, response) => {
    const { authorization = '' } = request.headers
    seen.push(authorization)
    if (authorization === 'NTLM 1') begun = request.socket
    if (authorization === 'NTLM 3') request.socket.destroy()
    else response.writeHead(401, { 'www-authenticate': 'NTLM' }).end()
  })
  const proxy = await proxyTo(target)
  const client = startClient(proxy)
  await client.get('/', 'NTLM 1')
  expect((await client.get('/', 'NTLM 3')).status).toBe(502)
  expect(begun).not.toBe(null)
  expect(seen).toEqual(['NTLM 1', 'NTLM 3'])
  // What brings no step is repeated like any other request: whoever asks is asked to log in.
  expect((await client.get()).status).toBe(401)
})

test('a connection on which nobody has answered a challenge yet is not given to others', async () => {
  const byConnection = new Map<Socket, number>()
  const target = await startUpstream(({ socket }, response) => {
    byConnection.set(socket, (byConnection.get(socket) ?? 0) + 1)
    response.writeHead(401, { 'www-authenticate': 'Basic realm="x", Negotiate' }).end()
  })
  const proxy = await proxyTo(target)
  const client = startClient(proxy)
  for (let n = 0; n < 3; n++) await client.get()
  for (let n = 0; n < 3; n++) await ask(proxy.port)
  expect([...byConnection.values()].sort()).toEqual([1, 1, 1, 3])
})

test('pipelined requests of who has logged in are answered in order, on the one connection', async () => {
  const target = await startIntranet()
  const proxy = await proxyTo(target)
  const get = (...lines: string[]) => `GET / HTTP/1.1\r\nHost: a\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`
  const requests =
    get('Authorization: NTLM 1 alice') + get('Authorization: NTLM 3 alice') + get() + get('Connection: close')
  const { text } = await rawRequest(proxy.port, requests)
  expect([...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)).toEqual(['401', '200', '200', '200'])
  expect(target.credentials).toEqual(['NTLM 1 alice', 'NTLM 3 alice'])
})

test('a proxy that ends does not wait for connections that are kept for somebody', async () => {
  const target = await startIntranet()
  const proxy = await startProxy({ ...shopOf([target]), timeouts: { shutdown: '60s' } }, { keep: true })
  const alice = startClient(proxy)
  await alice.logIn('alice')
  await proxy.close()
  await until('the connection of alice is closed', () => target.sockets.size === 0)
})

test('logins by requests keep sharing connections', async () => {
  const target = await startIntranet()
  const proxy = await proxyTo(target)
  const seen = new Set<string>()
  for (const authorization of ['Basic YTpi', 'Bearer NTLM', 'Digest username="Negotiate"']) {
    const { body } = await ask(proxy.port, { path: '/open', headers: { authorization } })
    seen.add(body)
  }
  expect([...seen]).toEqual(['open'])
  expect(target.sockets.size).toBe(1)
})
