/** Signals that come while the process starts, and many at once. */
import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import * as nodeModule from 'node:module'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { stringify } from 'yaml'
import { ServeSignals } from '../../src/signals.ts'
import { MAIN } from '../helpers/built.ts'
import { run } from '../helpers/programs.ts'
import { service, temporaryFolder, testConfig } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'

/** A start that has come as far as to listen to signals. */
async function starting() {
  const folder = temporaryFolder()
  const file = join(folder, 'turnout.yaml')
  const services = { shop: service({ blue: ['http://127.0.0.1:1'] }) }
  writeFileSync(file, stringify({ ...testConfig({ services }), log: { level: 'info', access: false } }))
  const child = spawn(process.execPath, [MAIN, 'serve', '--config', file], { cwd: folder })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (output += bytes))
  const exit = new Promise((resolve) => child.once('exit', (code, signal) => resolve(code ?? signal)))
  // Signals that are caught, as bits: SIGHUP is the first, SIGTERM the fifteenth.
  const caught = () =>
    Number.parseInt(/SigCgt:\s*\S*(\S{4})$/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))![1], 16)
  await until('it listens to signals', () => (caught() & 0x4001) === 0x4001)
  expect(output).toBe('')
  return { child, exit, output: () => output }
}

test.skipIf(process.platform !== 'linux')(
  'a SIGHUP during the start is done after it, and SIGPIPE is nothing',
  async () => {
    const { child, exit, output } = await starting()
    for (let i = 0; i < 20; i++) child.kill('SIGHUP')
    child.kill('SIGPIPE')
    await until('the file was read again', () => output().includes('the config file was read again'))
    expect(output().indexOf('"serving"')).toBeLessThan(output().indexOf('read again'))
    for (let i = 0; i < 20; i++) child.kill('SIGHUP')
    child.kill('SIGTERM')
    child.kill('SIGHUP')
    expect(await exit).toBe(0)
  },
)

test.skipIf(process.platform !== 'linux')('a SIGUSR1 opens no debugger', async () => {
  const { child, exit, output } = await starting()
  child.kill('SIGUSR1')
  await until('it serves', () => output().includes('"serving"'))
  child.kill('SIGUSR1')
  child.kill('SIGHUP')
  await until('the file was read again', () => output().includes('read again'))
  child.kill('SIGTERM')
  expect(await exit).toBe(0)
  expect(output()).not.toContain('Debugger')
})

test.skipIf(process.platform !== 'linux')('a SIGTERM during the start ends it with exit code 0', async () => {
  const { child, exit, output } = await starting()
  child.kill('SIGTERM')
  expect(await exit).toBe(0)
  // But for the warning that this machine allows few open files, and that the file was applied, if it came so far.
  const said = output()
    .split('\n')
    .filter((line) => line !== '' && !/limit of open files|"msg":"config file applied/.test(line))
  expect(said).toEqual([])
})

/** Tells at the end how many bytes of modules the main thread has loaded before it listened to SIGHUP. */
const COUNTER = `
import { statSync, writeSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { isMainThread } from 'node:worker_threads'
let bytes = 0
registerHooks({
  load(url, context, next) {
    if (url.startsWith('file:') && process.listenerCount('SIGHUP') === 0) bytes += statSync(new URL(url)).size
    return next(url, context)
  },
})
if (isMainThread) process.on('exit', () => writeSync(2, 'before: ' + bytes))
`

test.skipIf(!('registerHooks' in nodeModule))(
  'signals are listened to before anything large is loaded: who sends one early does not end the process',
  async () => {
    const folder = temporaryFolder()
    const [file, counter] = [join(folder, 'turnout.yaml'), join(folder, 'counter.mjs')]
    writeFileSync(file, stringify(testConfig({ services: { shop: service({ blue: ['http://127.0.0.1:1'] }) } })))
    writeFileSync(counter, COUNTER)
    const { stderr } = await run(process.execPath, ['--import', counter, MAIN, 'serve', '--check', '--config', file])
    const bytes = Number(/before: (\d+)$/.exec(String(stderr))?.[1])
    expect(bytes).toBeGreaterThan(1_000)
    expect(bytes).toBeLessThan(32_768)
  },
)

test('of many SIGHUPs one reload runs at a time, and one more follows', async () => {
  // Those of the test runner stay.
  const names = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const
  const before = new Map(names.map((name) => [name, process.listeners(name)]))
  const signals = new ServeSignals()
  onTestFinished(() => {
    for (const name of names) {
      process.removeAllListeners(name)
      for (const listener of before.get(name) ?? []) process.on(name, listener)
    }
  })
  const ends: (() => void)[] = []
  process.emit('SIGHUP')
  signals.onReload(() => new Promise((resolve) => ends.push(resolve)))
  expect(ends).toHaveLength(1)
  for (let i = 0; i < 5; i++) process.emit('SIGHUP')
  expect(ends).toHaveLength(1)
  ends[0]()
  await until('the second began', () => ends.length === 2)
  ends[1]()
  await new Promise((resolve) => setImmediate(resolve))
  expect(ends).toHaveLength(2)
})

test('signals that come while an upgrade is under way are passed on to the process that serves after it', async () => {
  const signals = new ServeSignals()
  const passed: string[] = []
  let upgrades = 0
  const under = Promise.withResolvers<void>()
  signals.onUpgrade(async () => {
    upgrades++
    await under.promise
    signals.passOn((signal) => passed.push(signal))
  })
  process.emit('SIGUSR2')
  process.emit('SIGUSR2')
  process.emit('SIGHUP')
  expect([upgrades, passed]).toEqual([1, []])
  under.resolve()
  await expect.poll(() => passed).toEqual(['SIGHUP', 'SIGUSR2'])
  process.emit('SIGUSR2')
  expect([upgrades, passed]).toEqual([1, ['SIGHUP', 'SIGUSR2', 'SIGUSR2']])
})
