/** What a service manager such as systemd is told and gives: sd_notify and sd_listen_fds, played by a socket and by sockets of the test. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { stringify } from 'yaml'
import { libc } from '../../src/dataplane/socket/libc.ts'
import { named, ServiceManager, takeSockets } from '../../src/serve/systemd.ts'
import { MAIN } from '../helpers/built.ts'
import { ask } from '../helpers/load.ts'
import { program } from '../helpers/programs.ts'
import { call, service, startProcess, temporaryFolder, testConfig } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { startNamed } from '../helpers/upstream.ts'

const python = program('python3')

/** Prints each datagram that comes to a Unix socket, with a blank line behind it. */
const LISTEN = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
name = sys.argv[1]
s.bind('\\0' + name[1:] if name[0] == '@' else name)
print('bound\\n', flush=True)
while True: print(s.recv(4096).decode() + '\\n', flush=True)
`

function killed(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended.
  }
}

/** A socket that is told; what it was told so far. */
async function startManager(name: string): Promise<() => string[]> {
  const child = spawn(python as string, ['-c', LISTEN, name])
  onTestFinished(() => void child.kill('SIGKILL'))
  let text = ''
  child.stdout.on('data', (bytes) => (text += bytes))
  await until('it listens', () => text.startsWith('bound'))
  return () => text.split('\n\n').slice(1, -1)
}

const isLinux = process.platform === 'linux'

test.skipIf(python === null || !isLinux)(
  'it is told who serves, after an upgrade the new process, and that it ends; the old one ends by itself',
  async () => {
    const folder = temporaryFolder()
    const name = join(folder, 'notify')
    const told = await startManager(name)
    const { url } = await startNamed('blue')
    const services = { shop: service({ blue: [url] }) }
    const config = { store: 'sqlite:./turnout.db', services }
    const proxy = await startProcess(config, folder, [], { NOTIFY_SOCKET: name })
    const first = proxy.child.pid
    await until('it is told', () => told().length === 1)
    expect(told()[0]).toBe(`READY=1\nMAINPID=${first}\nSTATUS=process ${first} serves`)
    const { pid } = await call<{ pid: number }>(proxy, 'POST', '/v1/upgrade')
    onTestFinished(() => killed(pid))
    expect(await proxy.exited()).toBe(0)
    // By then it was told of the other one.
    expect(told()[1]).toMatch(`READY=1\nMAINPID=${pid}\n`)
    expect(await ask(proxy.port, { method: 'GET' })).toMatchObject({ status: 200, body: 'blue' })
    process.kill(pid, 'SIGTERM')
    await until('it says that it ends', () => told().length === 3)
    expect(told()[2]).toMatch(/^STOPPING=1\n/)
  },
)

test.skipIf(python === null || libc === null)('it may have an abstract name', async () => {
  const name = `@turnout-test-${process.pid}`
  const told = await startManager(name)
  new ServiceManager({ NOTIFY_SOCKET: name }).ready()
  await until('it is told', () => told().length === 1)
  expect(told()[0]).toMatch(`READY=1\nMAINPID=${process.pid}\n`)
})

test.skipIf(python === null || !existsSync('/usr/bin/systemd-notify'))(
  'without node:ffi it is told by systemd-notify',
  async () => {
    const name = join(temporaryFolder(), 'notify')
    const told = await startManager(name)
    new ServiceManager({ NOTIFY_SOCKET: name }, null).ready()
    await until('it is told', () => told().join().includes(`MAINPID=${process.pid}`))
  },
)

test('where nobody is to be told, nothing is', () => {
  const manager = new ServiceManager({})
  expect(manager.follows).toBe(false)
  manager.ready()
  // A name that was left empty, that is no name, or behind which nobody is any more: whoever waits for this process goes on to do so.
  const names = ['', '@', 'relative', join(temporaryFolder(), 'notify')]
  expect(names.map((name) => new ServiceManager({ NOTIFY_SOCKET: name }).follows)).toEqual(names.map(() => false))
})

/** Sockets on one address, as a service manager opens them. */
async function open(count: number): Promise<{ port: number; descriptors: number[]; close(): void }> {
  const servers: Server[] = []
  let port = 0
  for (let n = 0; n < count; n++) {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port, reusePort: true }, resolve))
    port = (server.address() as { port: number }).port
    servers.push(server)
  }
  const descriptors = servers.map((server) => (server as unknown as { _handle: { fd: number } })._handle.fd)
  return { port, descriptors, close: () => void servers.map((server) => server.close()) }
}

/** `turnout serve` with these sockets from descriptor 3 on. */
function activated(config: Record<string, unknown>, folder: string, descriptors: readonly number[]) {
  const file = join(folder, 'turnout.yaml')
  writeFileSync(file, stringify({ ...testConfig(config), log: { level: 'info', access: false } }))
  const command = `LISTEN_FDS=${descriptors.length} LISTEN_PID=$$ exec "$0" "$@"`
  const child: ChildProcess = spawn('sh', ['-c', command, process.execPath, MAIN, 'serve', '--config', file], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe', ...descriptors],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream!.on('data', (bytes) => (output += bytes))
  const exited = new Promise((resolve) => child.once('exit', resolve))
  return { child, exited, output: () => output }
}

test.skipIf(libc === null).each([
  [3, 2],
  [1, 2],
])('of %i sockets that it has opened, %i workers serve all, also after an upgrade', async (count, workers) => {
  const { url } = await startNamed('blue')
  const sockets = await open(count)
  const folder = temporaryFolder()
  const services = { shop: service({ blue: [url] }) }
  const listeners = [{ address: `127.0.0.1:${sockets.port}` }]
  const { child, exited, output } = activated(
    { listeners, workers, store: 'sqlite:./turnout.db', services },
    folder,
    sockets.descriptors,
  )
  await until('it serves', () => output().includes('"msg":"serving"'))
  // From here on only they accept.
  sockets.close()
  const askAll = async () => {
    for (let n = 0; n < 30; n++) expect(await ask(sockets.port, { method: 'GET' })).toMatchObject({ status: 200 })
  }
  await askAll()
  const { admin } = JSON.parse(
    output()
      .split('\n')
      .find((line) => line.includes('"serving"'))!,
  ) as { admin: string }
  const done = (await (await fetch(`${admin}/v1/upgrade`, { method: 'POST' })).json()) as { pid: number }
  onTestFinished(() => killed(done.pid))
  await askAll()
  child.kill('SIGTERM')
  expect(await exited).toBe(0)
})

test.skipIf(libc === null)('a socket that belongs to no listener is a fault, and is named', async () => {
  const sockets = await open(1)
  onTestFinished(sockets.close)
  const services = { shop: service({ blue: ['http://127.0.0.1:1'] }) }
  const { exited, output } = activated({ services }, temporaryFolder(), sockets.descriptors)
  expect(await exited).toBe(1)
  expect(output()).toContain(
    `one is for 127.0.0.1:${sockets.port}, and neither a listener nor the admin API has this address`,
  )
})

test('sockets that are meant for another process are left alone, and none is meant for what is started', () => {
  const env: Record<string, string | undefined> = { LISTEN_FDS: '1', LISTEN_PID: '1', LISTEN_FDNAMES: 'web', A: 'b' }
  expect(takeSockets(env, 42)).toEqual([])
  expect(env).toEqual({ A: 'b' })
  expect(() => takeSockets({ LISTEN_FDS: 'x', LISTEN_PID: '42' }, 42)).toThrow('LISTEN_FDS is x')
  expect(() => takeSockets({ LISTEN_FDS: '1', LISTEN_PID: '42' }, 42, null)).toThrow('node:ffi')
})

test('every address is the same however it is written, and an address is no other', () => {
  const given = (host: string) => [{ host, port: 80, bound: 80, descriptors: [3] }]
  for (const host of ['', '0.0.0.0', '::']) expect(named(given('::'), [{ host, port: 80 }])[0].host).toBe(host)
  expect(named(given('::1'), [{ host: '0:0:0:0:0:0:0:1', port: 80 }])[0].host).toBe('0:0:0:0:0:0:0:1')
  for (const [host, port] of [
    ['127.0.0.1', 80],
    ['', 81],
  ] as const)
    expect(() => named(given('::'), [{ host, port }])).toThrow('one is for [::]:80, and neither')
})

test('the unit stops the main process by SIGTERM and waits until it has ended, since systemd does not wait for one that it has not started', async () => {
  const unit = readFileSync('config/systemd/turnout.service', 'utf8')
  const [, script] = /^ExecStop=-\/bin\/sh -c '([^']*)'$/m.exec(unit)!
  const text =
    "process.on('SIGTERM', () => setTimeout(() => process.exit(), 300)); setInterval(() => {}, 1_000); console.log('up')"
  const main = spawn(process.execPath, ['-e', text])
  onTestFinished(() => void main.kill('SIGKILL'))
  await once(main.stdout, 'data')
  const order: string[] = []
  const ended = once(main, 'exit').then(([code]) => void order.push(`main ${code}`))
  const stop = spawn('/bin/sh', ['-c', script], { env: { ...process.env, MAINPID: String(main.pid) } })
  const stopped = once(stop, 'exit').then(() => void order.push('stop'))
  await Promise.all([ended, stopped])
  expect(order).toEqual(['main 0', 'stop'])
  // Of a service whose main process has ended already there is nothing to wait for.
  const [code] = await once(spawn('/bin/sh', ['-c', script], { env: { PATH: process.env['PATH'] } }), 'exit')
  expect(code).not.toBe(0)
})
