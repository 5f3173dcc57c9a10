/**
 * What the process prints never stops it: full disks, readers that are gone or read nothing, at run time and at the end. And
 * what a verb prints is never cut, unless its reader wants no more.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, onTestFinished, test } from 'vitest'
import { stringify } from 'yaml'
import { scripted } from '../cli/scripted.ts'
import { ask } from '../helpers/ask.ts'
import { MAIN } from '../helpers/built.ts'
import { bulk } from '../helpers/bulk.ts'
import { program } from '../helpers/programs.ts'
import { service, temporaryFolder, testConfig } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { closedPort, startNamed } from '../helpers/upstream.ts'

function run(
  args: string[],
  stdio: 'pipe' | number,
  env: Record<string, string> = {},
  cwd = temporaryFolder(),
  under: readonly string[] = [],
): ChildProcess {
  const [command, ...rest] = [...under, process.execPath, MAIN, ...args]
  const child = spawn(command, rest, {
    cwd,
    stdio: ['ignore', stdio, stdio],
    env: { ...process.env, ...env },
  })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  return child
}

const exitOf = (child: ChildProcess): Promise<number | null> =>
  new Promise((resolve) => child.once('exit', (code) => resolve(code)))

const python = process.platform === 'linux' ? program('python3') : null

/** Runs a program in a terminal that nobody reads, and passes signals on to it. It ends with whoever has started it. */
const UNREAD_TERMINAL = `
import ctypes, os, pty, signal, sys
pid, fd = pty.fork()
if pid == 0:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    os.execvp(sys.argv[1], sys.argv[1:])
for name in (signal.SIGHUP, signal.SIGTERM):
    signal.signal(name, lambda number, frame: os.kill(pid, number))
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status) % 256)
`

type Serve = (stdio: 'pipe' | number, under?: readonly string[]) => ChildProcess

type Way = readonly [way: string, start: (serve: Serve) => ChildProcess]

// A Ctrl-S does the same to it.
const unread: Way[] =
  python === null
    ? []
    : [['to a terminal that nobody reads', (serve) => serve('pipe', [python, '-c', UNREAD_TERMINAL])]]

const ways: readonly Way[] = [
  [
    'onto a full disk',
    (serve) => {
      const full = openSync('/dev/full', 'w')
      onTestFinished(() => closeSync(full))
      return serve(full)
    },
  ],
  ['into pipes that nobody reads', (serve) => serve('pipe')],
  [
    'into closed pipes',
    (serve) => {
      const child = serve('pipe')
      child.stdout?.destroy()
      child.stderr?.destroy()
      return child
    },
  ],
  ...unread,
]

test.skipIf(process.platform !== 'linux').each(ways)(
  'a proxy that writes %s serves, is ready, reloads and ends',
  async (_, start) => {
    const blue = await startNamed('blue')
    const [port, adminPort] = [await closedPort(), await closedPort()]
    const folder = temporaryFolder()
    const file = join(folder, 'turnout.yaml')
    const config = testConfig({
      listeners: [{ address: `127.0.0.1:${port}` }],
      admin: { address: `127.0.0.1:${adminPort}` },
      log: { level: 'info', access: true },
      services: { shop: service({ blue: [blue.url] }) },
    })
    writeFileSync(file, stringify(config))
    const child = start((stdio, under) => run(['serve', '--config', file], stdio, {}, folder, under))
    const exit = exitOf(child)
    const get = (path: string) => fetch(`http://127.0.0.1:${adminPort}${path}`).catch(() => null)
    await until('it is ready', async () => (await get('/readyz'))?.ok === true)
    // Far more than a pipe holds, on both outputs: each unknown key is a line of the log.
    writeFileSync(
      file,
      stringify({
        ...config,
        ...Object.fromEntries(Array.from({ length: bulk(2_000, 10_000) }, (_, i) => [`unknown${i}`, i])),
      }),
    )
    child.kill('SIGHUP')
    const path = '/' + 'x'.repeat(4_000)
    for (let i = 0; i < 100; i++) expect((await ask(port, { path })).status).toBe(200)
    writeFileSync(file, stringify({ ...config, services: { shop: service({ green: [blue.url] }) } }))
    await until('it was reloaded', async () => {
      child.kill('SIGHUP')
      return ((await (await get('/v1/services/shop'))?.text()) ?? '').includes('green')
    })
    child.kill('SIGTERM')
    expect(await exit).toBe(0)
  },
  120_000,
)

test('what a verb prints comes whole through a pipe, however much it is', async () => {
  const events = Array.from({ length: 20_000 }, (_, id) => ({ id, message: 'x'.repeat(100) }))
  const admin = await scripted({ 'GET /v1/events': [200, { events }] })
  const child = run(['events', '--json'], 'pipe', { TURNOUT_ADMIN: admin.url })
  const exit = exitOf(child)
  expect(JSON.parse(await text(child.stdout!)).events).toHaveLength(20_000)
  expect(await exit).toBe(0)
})

test('a verb whose reader has gone ends quietly, with the exit code of what it did', async () => {
  const events = Array.from({ length: 20_000 }, (_, id) => ({ id, atMs: 0, type: 'x', message: 'x'.repeat(100) }))
  const admin = await scripted({ 'GET /v1/events': [200, { events }] })
  const child = run(['events'], 'pipe', { TURNOUT_ADMIN: admin.url })
  const exit = exitOf(child)
  child.stdout?.destroy()
  expect(await text(child.stderr!)).toBe('')
  expect(await exit).toBe(0)
})

test('a watch ends when its reader has gone', async () => {
  const admin = await scripted({
    'GET /v1/events': (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('id: 1\ndata: {"atMs":0,"type":"change","message":"one"}\n\n')
    },
  })
  const child = run(['events', '--follow'], 'pipe', { TURNOUT_ADMIN: admin.url })
  const exit = exitOf(child)
  child.stdout?.destroy()
  expect(await exit).toBe(0)
})

test.skipIf(process.platform !== 'linux')('a verb that finds no room for its output fails', async () => {
  const full = openSync('/dev/full', 'w')
  onTestFinished(() => closeSync(full))
  expect(await exitOf(run(['--help'], full))).toBe(1)
})
