/**
 * The pages for those who come from another proxy (config/from): what they show is run. Both configs are taken out of the page, put on
 * free ports, and asked the same; then each command of Turnout that the page names is given, in the order of its table.
 *
 * nginx and HAProxy come from Debian. Traefik and kamal-proxy do not: they are run where `npm run bench:build-peers` has built them,
 * else it is checked that their part can be read and says what ours says.
 */
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { parse } from 'yaml'
import { type GoProgram, goProgramPath, goProgramVersion, KAMAL_PROXY, TRAEFIK } from '../../bench/peers/go-program.ts'
import { turnout } from '../cli/scripted.ts'
import { type Asking, ask } from '../helpers/ask.ts'
import { http } from '../helpers/http.ts'
import { program, start } from '../helpers/programs.ts'
import { startProxy, temporaryFolder } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { closedPort } from '../helpers/upstream.ts'

const FOLDER = new URL('../../config/from/', import.meta.url)

interface Page {
  readonly text: string
  /** Blocks of this language, in order. */
  blocks(info: string): string[]
}

function page(name: string): Page {
  const text = readFileSync(new URL(`${name}.md`, FOLDER), 'utf8')
  const blocks = [...text.matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)]
  return { text, blocks: (info) => blocks.filter(([, of]) => of === info).map(([, , block]) => block) }
}

/** A target that tells what it saw, echoes over WebSockets, and never answers /slow. */
async function startTarget(name: string) {
  const server = http.createServer((request, response) => {
    request.resume()
    if (request.url === '/slow') return
    response.end(JSON.stringify({ name, headers: request.headers }))
  })
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', (socket) => socket.on('message', (text) => socket.send(`${name} ${text}`)))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = () => {
    for (const socket of sockets.clients) socket.terminate()
    server.closeAllConnections()
    return new Promise<void>((resolve) => server.close(() => resolve()))
  }
  onTestFinished(() => void close())
  return { port: (server.address() as net.AddressInfo).port, close }
}

type Targets = Awaited<ReturnType<typeof startShop>>

/** The three servers of the pages. */
async function startShop() {
  const [one, two, three] = [await startTarget('blue one'), await startTarget('blue two'), await startTarget('green')]
  return { one, two, three }
}

/** The time-out of answers in the pages, and what tests have in its place. */
const [WRITTEN, SHORT] = [/\b60s\b/g, '700ms']

/** A text of a page with the addresses of these targets, and with time-outs that a test can wait for. */
const placed = (text: string, { one, two, three }: Targets): string =>
  text
    .replaceAll('127.0.0.1:3001', `127.0.0.1:${one.port}`)
    .replaceAll('127.0.0.1:3002', `127.0.0.1:${two.port}`)
    .replaceAll('127.0.0.1:3003', `127.0.0.1:${three.port}`)
    .replaceAll(WRITTEN, SHORT)

const startOurs = (of: Page, targets: Targets) =>
  startProxy({ ...parse(placed(of.blocks('yaml')[0], targets)), listeners: [{ address: '127.0.0.1:0' }] })

/** Waits until somebody accepts connections, and fails when the process has ended. */
async function listens(port: number, running: ReturnType<typeof start>): Promise<void> {
  await until('it listens', () => {
    if (running.child.exitCode !== null) throw new Error(`it ended:\n${running.output()}`)
    return new Promise<boolean>((resolve) => {
      const socket = net.connect(port, '127.0.0.1', () => socket.destroy(resolve(true) as undefined))
      socket.on('error', () => resolve(false))
    })
  })
}

async function nameOf(port: number, asking: Asking = {}): Promise<string> {
  const { status, body } = await ask(port, asking)
  expect(status, body).toBe(200)
  return JSON.parse(body).name
}

const AT_ONCE = 20

/** How many of so many requests green answers. */
async function greens(port: number, count: number, asking: (n: number) => Asking = () => ({})): Promise<number> {
  const names: string[] = []
  for (let from = 0; from < count; from += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - from) }, (_, n) => nameOf(port, asking(from + n)))
    names.push(...(await Promise.all(some)))
  }
  return names.filter((name) => name === 'green').length
}

const BROWSER = { accept: 'text/html', host: 'shop.example.com' }

/** Chances of being outside for no reason: fewer than 1 in 10^6 where each request is drawn. */
async function keepsTheShare(port: number): Promise<void> {
  const found = await greens(port, 300)
  expect(found).toBeGreaterThan(5)
  expect(found).toBeLessThan(65)
}

async function sendsStaff(port: number): Promise<void> {
  expect(await greens(port, 20, () => ({ headers: { 'x-internal': '1' } }))).toBe(20)
}

async function keepsVisitors(port: number): Promise<void> {
  for (let visitor = 0; visitor < 8; visitor++) {
    const { headers, body } = await ask(port, { headers: BROWSER })
    const cookie = (headers['set-cookie'] ?? []).map((line) => line.split(';')[0]).join('; ')
    expect(cookie).not.toBe('')
    const isGreen = JSON.parse(body).name === 'green'
    expect(await greens(port, 5, () => ({ headers: { ...BROWSER, cookie } }))).toBe(isGreen ? 5 : 0)
  }
}

async function tellsTargets(port: number): Promise<void> {
  const { body } = await ask(port, { headers: BROWSER })
  expect(JSON.parse(body).headers).toMatchObject({
    host: 'shop.example.com',
    'x-forwarded-for': '127.0.0.1',
    'x-forwarded-proto': 'http',
  })
}

async function passesWebSockets(port: number): Promise<void> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`, { headers: { 'x-internal': '1' } })
  onTestFinished(() => socket.terminate())
  await once(socket, 'open')
  socket.send('hello')
  const [text] = await once(socket, 'message')
  expect(String(text)).toBe('green hello')
}

async function givesUp(port: number): Promise<void> {
  expect((await ask(port, { path: '/slow', headers: { 'x-internal': '1' } })).status).toBe(504)
}

/** The last of all: a server of blue is gone. */
async function outlivesAServer(port: number, targets: Targets): Promise<void> {
  await targets.one.close()
  expect(await greens(port, 60)).toBeLessThan(30)
}

/** What every page promises but that of kamal-proxy. */
async function doesTheJob(port: number, targets: Targets): Promise<void> {
  await keepsTheShare(port)
  await sendsStaff(port)
  await keepsVisitors(port)
  await tellsTargets(port)
  await passesWebSockets(port)
  await givesUp(port)
  await outlivesAServer(port, targets)
}

async function isInMaintenance(port: number): Promise<void> {
  expect(await ask(port, { headers: BROWSER })).toMatchObject({ status: 503, body: '<h1>Back soon</h1>' })
}

async function startNginx(of: Page, targets: Targets) {
  const [folder, port] = [temporaryFolder(), await closedPort()]
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((of) => `${of}_temp_path ${folder}/${of};`)
  const inside = placed(of.blocks('nginx')[0], targets)
    .replace('listen 8080', `listen 127.0.0.1:${port}`)
    .replace('/etc/nginx/', `${folder}/`)
  const config = join(folder, 'nginx.conf')
  writeFileSync(
    config,
    `${process.getuid?.() === 0 ? 'user root;' : ''} worker_processes 1; pid ${folder}/pid; error_log stderr crit;
     events { worker_connections 1024; }
     http { access_log off; ${paths.join(' ')} ${inside} }`,
  )
  await listens(port, start(nginx!, ['-c', config, '-p', folder, '-e', 'stderr', '-g', 'daemon off;']))
  return { port, flag: join(folder, 'shop.maintenance') }
}

async function startHaproxy(of: Page, targets: Targets) {
  const [folder, port] = [temporaryFolder(), await closedPort()]
  const config = join(folder, 'haproxy.cfg')
  const socket = join(folder, 'admin.sock')
  const text = placed(of.blocks('haproxy')[0], targets)
  writeFileSync(config, text.replace('/run/haproxy/admin.sock', socket).replace('bind :8080', `bind 127.0.0.1:${port}`))
  await listens(port, start(haproxy!, ['-db', '-f', config]))
  // Its socket has its name a moment after the port is open.
  await until('its socket is there', () => existsSync(socket))
  /** One line to its socket. */
  const tell = async (line: string): Promise<string> => {
    const connection = net.connect(socket)
    let answer = ''
    connection.setEncoding('latin1').on('data', (piece) => {
      answer += piece
    })
    connection.write(`${line}\n`)
    await once(connection, 'close')
    return answer
  }
  return { port, tell }
}

async function startTraefik(of: Page, targets: Targets): Promise<number> {
  const [folder, port] = [temporaryFolder(), await closedPort()]
  const [process, routing] = of.blocks('yaml traefik').map((text) => placed(text, targets))
  writeFileSync(join(folder, 'shop.yml'), routing)
  const config = join(folder, 'traefik.yml')
  writeFileSync(config, process.replace('/etc/traefik', folder).replace(':8080', `127.0.0.1:${port}`))
  await listens(port, start(goProgramPath(TRAEFIK), [`--configFile=${config}`]))
  await until('it has read its routes', async () => (await ask(port)).status === 200)
  return port
}

async function startKamal(of: Page, targets: Targets): Promise<number> {
  const [folder, port, secure] = [temporaryFolder(), await closedPort(), await closedPort()]
  const env = { ...process.env, HOME: folder, XDG_RUNTIME_DIR: folder }
  const path = goProgramPath(KAMAL_PROXY)
  const [run, ...verbs] = placed(of.blocks('sh kamal-proxy')[0], targets).trim().split('\n')
  const words = (line: string) => line.replace('8080', `${port} --https-port ${secure}`).split(' ').slice(1)
  await listens(port, start(path, words(run), { env }))
  for (const verb of verbs) {
    const running = start(path, words(verb), { env })
    const [code] = await once(running.child, 'exit')
    expect(code, running.output()).toBe(0)
  }
  return port
}

/** Commands of the column for Turnout, in the order of the table; what starts or ends the process is left out. */
function commandsOf({ text }: Page): string[] {
  const table = /^## To do it$([\s\S]*?)^## /m.exec(text)![1]
  const cells = [...table.matchAll(/^\|.*\| ([^|]*) \|$/gm)].map(([, cell]) => cell)
  const commands = cells.flatMap((cell) => /^`turnout (.*?)`/.exec(cell)?.[1] ?? [])
  return commands.filter((command) => !/^(serve|upgrade|diff|deploy)\b/.test(command))
}

/** The words of a command of the page, for this Turnout. */
const wordsOf = (command: string, targets: Targets): string[] =>
  [...placed(command, targets).matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, word]) => quoted ?? word)

/** What traffic is like once such a command has been given. */
const THEN: readonly (readonly [RegExp, (port: number) => Promise<void>])[] = [
  [/^split .*green=0/, async (port) => expect(await greens(port, 20)).toBe(0)],
  [/^switch/, async (port) => expect(await greens(port, 20)).toBe(20)],
  [/^back/, async (port) => expect(await greens(port, 20)).toBeLessThan(20)],
  [
    /^drain/,
    async (port) =>
      expect((await Promise.all(Array.from({ length: 20 }, () => nameOf(port)))).sort()[0]).toBe('blue two'),
  ],
  [/^maintenance on/, isInMaintenance],
  [/^maintenance off/, async (port) => expect((await ask(port)).status).toBe(200)],
]

/** Requests for whom only the split decides. */
async function obeys(of: Page, then = THEN): Promise<void> {
  const targets = await startShop()
  const { port, admin } = await startOurs(of, targets)
  for (const command of commandsOf(of)) {
    const { code, out, err } = await turnout(admin, ...wordsOf(command, targets))
    expect([command, code, out + err]).toEqual([command, 0, expect.stringMatching(/\S/)])
    for (const [which, holds] of then) if (which.test(command)) await holds(port)
  }
}

/** Whether a peer was built here, which no test does; else it says what is left out. */
function isBuilt(peer: GoProgram): boolean {
  const has = goProgramVersion(peer) !== null
  if (!has)
    console.warn(`skipped: ${peer.name} was not built (npm run bench:build-peers), its part of the page is only read`)
  return has
}

const nginx = program('nginx')
const haproxy = program('haproxy')

describe('nginx', () => {
  const of = page('nginx')

  test('Turnout does the job', async () => {
    const targets = await startShop()
    await doesTheJob((await startOurs(of, targets)).port, targets)
  })

  test('Turnout obeys the commands', () => obeys(of))

  test.skipIf(nginx === null)('nginx does the same job', async () => {
    const targets = await startShop()
    const { port, flag } = await startNginx(of, targets)
    writeFileSync(flag, '')
    await isInMaintenance(port)
    rmSync(flag)
    await doesTheJob(port, targets)
  })
})

describe('HAProxy', () => {
  const of = page('haproxy')

  test('Turnout does the job', async () => {
    const targets = await startShop()
    await doesTheJob((await startOurs(of, targets)).port, targets)
  })

  test('Turnout obeys the commands', () => obeys(of))

  test.skipIf(haproxy === null)('HAProxy does the same job, and drains', async () => {
    const targets = await startShop()
    const { port, tell } = await startHaproxy(of, targets)
    const all = ['blue/one', 'blue/two', 'green/three']
    for (const server of all) await tell(`set server ${server} state maint`)
    await isInMaintenance(port)
    for (const server of all) await tell(`set server ${server} state ready`)
    await tell('set server blue/one state drain')
    const names = await Promise.all(Array.from({ length: 40 }, () => nameOf(port)))
    expect(new Set(names)).not.toContain('blue one')
    await tell('set server blue/one state ready')
    await doesTheJob(port, targets)
  })
})

describe('Traefik', () => {
  const of = page('traefik')

  test('Turnout does the job', async () => {
    const targets = await startShop()
    await doesTheJob((await startOurs(of, targets)).port, targets)
  })

  test('Turnout obeys the commands', () => obeys(of))

  test("Traefik's file can be read, and says what ours says", () => {
    const [first, { http: theirs }] = of.blocks('yaml traefik').map((text) => parse(text))
    const { shop } = parse(of.blocks('yaml')[0]).services
    expect(Object.keys(first)).toEqual(['entryPoints', 'providers'])
    const { weighted, ...pools } = { ...theirs.services, weighted: theirs.services.shop.weighted }
    const weights = weighted.services.map(({ name, weight }: { name: string; weight: number }) => [name, weight])
    expect(Object.fromEntries(weights)).toEqual(shop.split)
    for (const name of ['blue', 'green']) {
      const { servers, healthCheck, serversTransport } = pools[name].loadBalancer
      expect(servers.map(({ url }: { url: string }) => url)).toEqual(shop.pools[name].targets)
      expect(healthCheck).toEqual(shop.health)
      const { dialTimeout, responseHeaderTimeout } = theirs.serversTransports[serversTransport].forwardingTimeouts
      expect({ connect: dialTimeout, response: responseHeaderTimeout }).toMatchObject({
        connect: shop.timeouts.connect,
        response: shop.timeouts.response,
      })
    }
    for (const { service } of Object.values(theirs.routers) as { service: string }[])
      expect(theirs.services).toHaveProperty(service)
    expect(theirs.routers.staff).toMatchObject({ rule: 'Header(`X-Internal`, `1`)', service: shop.rules[0].to })
  })

  test.skipIf(!isBuilt(TRAEFIK))('Traefik does the same job, where it was built', async () => {
    const targets = await startShop()
    await doesTheJob(await startTraefik(of, targets), targets)
  })
})

describe('kamal-proxy', () => {
  const of = page('kamal-proxy')
  const visitor = (name: string) => ({ headers: { cookie: `kamal-rollout=${name}` } })

  /** What both promise. */
  async function rollsOut(port: number): Promise<void> {
    expect(await greens(port, 20)).toBe(0)
    expect(await greens(port, 20, () => visitor('staff-1'))).toBe(20)
    const found = await greens(port, 300, (n) => visitor(`visitor-${n}`))
    expect(found).toBeGreaterThan(5)
    expect(found).toBeLessThan(80)
    const { body } = await ask(port, visitor('visitor-1'))
    for (let n = 0; n < 10; n++)
      expect((await nameOf(port, visitor('visitor-1'))) === 'green').toBe(JSON.parse(body).name === 'green')
  }

  test('Turnout does the job', async () => {
    const targets = await startShop()
    const { port } = await startOurs(of, targets)
    await rollsOut(port)
    await sendsStaff(port)
    await givesUp(port)
  })

  test('Turnout obeys the commands', () =>
    obeys(of, [
      [/^switch/, async (port) => expect(await greens(port, 20, (n) => visitor(`v${n}`))).toBe(20)],
      [/^split .*green=0/, async (port) => expect(await greens(port, 20, (n) => visitor(`v${n}`))).toBe(0)],
      [/^release/, async (port) => expect((await ask(port)).status).toBe(200)],
      ...THEN.filter(([which]) => which.source.includes('maintenance')),
    ]))

  test('its commands name the same servers and the same share as our file', () => {
    const lines = of.blocks('sh kamal-proxy')[0].trim().split('\n')
    expect(
      lines.map((line) => /^kamal-proxy (run|deploy shop|rollout deploy shop|rollout set shop) --/.exec(line)?.[1]),
    ).toEqual(['run', 'deploy shop', 'rollout deploy shop', 'rollout set shop'])
    const flags = Object.fromEntries(
      lines.map((line, at) => [
        at,
        Object.fromEntries([...line.matchAll(/--(\S+) (\S+)/g)].map(([, flag, value]) => [flag, value])),
      ]),
    )
    const { shop } = parse(of.blocks('yaml')[0]).services
    const urls = (text: string) => text.split(',').map((authority) => `http://${authority}`)
    expect(urls(flags[1]['target'])).toEqual(shop.pools.blue.targets)
    expect(urls(flags[2]['target'])).toEqual(shop.pools.green.targets)
    expect(Number(flags[3]['percent'])).toBe(shop.split.green)
    expect(flags[3]['list'].split(',')).toEqual(shop.rules[1].when.visitor)
    expect(flags[1]['health-check-path']).toBe(shop.health.path)
    expect(flags[1]['target-timeout']).toBe(shop.timeouts.response)
  })

  test.skipIf(!isBuilt(KAMAL_PROXY))('kamal-proxy does the same job, where it was built', async () => {
    const targets = await startShop()
    await rollsOut(await startKamal(of, targets))
  })
})

test('there is a page for each', () => {
  expect(readdirSync(FOLDER).sort()).toEqual(['haproxy.md', 'kamal-proxy.md', 'nginx.md', 'traefik.md'])
})
