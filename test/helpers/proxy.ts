/** Turnout for a test: in this process on free ports, or as a process of its own, ended with the test. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { stringify } from 'yaml'
import { parseSpec } from '../../src/config/load.ts'
import { storeKind } from '../../src/serve/store-url.ts'
import { serve } from '../../src/serve.ts'
import { MAIN } from './built.ts'
import { http } from './http.ts'

export interface Proxy {
  /** `http://127.0.0.1:port` of the first listener. */
  readonly url: string
  readonly port: number
  readonly admin: string
  close(): Promise<void>
}

/** A config with defaults that suit tests: free ports, memory store, no log, one worker. Keys that are given win. */
export function testConfig(config: Record<string, unknown>): Record<string, unknown> {
  return {
    listeners: [{ address: '127.0.0.1:0' }],
    admin: { address: '127.0.0.1:0' },
    workers: 1,
    store: 'memory',
    log: { level: 'silent', access: false },
    ...config,
  }
}

/** Starts Turnout in this process and closes it when the test has ended. */
export async function startProxy(
  config: Record<string, unknown>,
  options: Pick<
    Parameters<typeof serve>[0],
    'sharedReads' | 'splices' | 'directory' | 'stateDirectory' | 'names' | 'secretKey'
  > & {
    readonly keep?: boolean
  } = {},
): Promise<Proxy> {
  const loaded = parseSpec(stringify(testConfig(config)), { env: {}, source: 'test' })
  if ('faults' in loaded) throw new Error(JSON.stringify(loaded.faults))
  const { keep, ...served } = options
  // Each instance has a local snapshot of its own.
  const isShared = storeKind(loaded.spec.store) === 'redis'
  const running = await serve({ spec: loaded.spec, ...(isShared && { stateDirectory: temporaryFolder() }), ...served })
  if (keep !== true) onTestFinished(() => running.close())
  const url = running.listeners[0]
  return { url, port: Number(new URL(url).port), admin: running.admin, close: () => running.close() }
}

/** A service that splits between pools of targets; whatever else is given is added to it. */
export function service(pools: Record<string, string[]>, more: Record<string, unknown> = {}): Record<string, unknown> {
  const entries = Object.entries(pools).map(([name, targets]) => [name, { version: `${name}-version`, targets }])
  const split = 'live' in more ? {} : { split: { [Object.keys(pools)[0]]: 100 } }
  return { routes: [{ host: '*', path: '/' }], pools: Object.fromEntries(entries), ...split, ...more }
}

export interface ProxyProcess extends Proxy {
  readonly child: ChildProcess
  /** What it has written so far. */
  output(): string
  /** What of it went to standard output: the access log. */
  stdout(): string
  /** Whole lines of it so far. */
  stdoutLines(): number
  /** Resolves with the exit code, or null after a signal. */
  exited(): Promise<number | null>
}

/** A folder of its own for a test, removed afterwards. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'turnout-test-'))
  // What still ends may write there.
  onTestFinished(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10 }))
  return folder
}

/** Starts `turnout serve` as a process of its own, with the config in a file of `folder`; killed when the test ends. `main` is what is run. */
export async function startProcess(
  config: Record<string, unknown>,
  folder: string,
  nodeOptions: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
  main: string = MAIN,
): Promise<ProxyProcess> {
  const file = join(folder, 'turnout.yaml')
  writeFileSync(
    file,
    stringify({ ...testConfig(config), log: { level: 'info', access: true, ...(config.log as object) } }),
  )
  const child = spawn(process.execPath, [...nodeOptions, main, 'serve', '--config', file], {
    cwd: folder,
    env: { ...process.env, ...env },
  })
  let output = ''
  let code: number | null | undefined
  let wake = () => {}
  const collect = (bytes: Buffer) => {
    output += bytes
    wake()
  }
  let stdout = ''
  let lines = 0
  child.stdout.on('data', (bytes: Buffer) => {
    stdout += bytes
    for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) lines++
    collect(bytes)
  })
  child.stderr.on('data', collect)
  const exit = new Promise<number | null>((resolve) => {
    child.once('exit', (exitCode) => {
      code = exitCode
      resolve(exitCode)
      wake()
    })
  })
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await exit
  })
  const serving = () => output.split('\n').find((line) => line.includes('"msg":"serving"'))
  while (serving() === undefined) {
    if (code !== undefined) throw new Error('turnout ended at its start:\n' + output)
    await new Promise<void>((resolve) => {
      wake = resolve
    })
  }
  const { listeners, admin } = JSON.parse(serving() as string) as { listeners: string[]; admin: string }
  const close = async () => {
    child.kill('SIGTERM')
    await exit
  }
  const port = Number(new URL(listeners[0]).port)
  const written = { output: () => output, stdout: () => stdout, stdoutLines: () => lines }
  return { url: listeners[0], port, admin, child, ...written, exited: () => exit, close }
}

/** Calls the admin API; throws when it refuses. */
export async function call<T = Record<string, unknown>>(
  proxy: Proxy,
  method: string,
  path: string,
  body?: unknown,
): Promise<T> {
  const { status, text } = await askAdmin(proxy, method, path, body === undefined ? undefined : JSON.stringify(body))
  if (status < 200 || status > 299) throw new Error(`${method} ${path}: ${status} ${text}`)
  return JSON.parse(text) as T
}

/** One call of the admin API over a connection of its own. */
export function askAdmin(
  proxy: Pick<Proxy, 'admin'>,
  method: string,
  path: string,
  body?: string,
): Promise<{ readonly status: number; readonly text: string }> {
  const headers: Record<string, string | number> =
    body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
  return new Promise((resolve, reject) => {
    const request = http.request(proxy.admin + path, { method, headers, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (piece: string) => {
        text += piece
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
      response.on('error', reject)
    })
    request.on('error', reject)
    request.end(body)
  })
}
