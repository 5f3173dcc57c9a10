/** Programs of the system that tests run against: nginx, python3, curl, openssl, haproxy, prometheus. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { onTestFinished } from 'vitest'

/** Where programs are installed that may not be on the path of a user (nginx, haproxy). */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin']

/**
 * Path of an installed program, for `test.skipIf(nginx === null)`. Without it the answer is null and a line that says what
 * is not tested; with TURNOUT_REQUIRE_PEERS=1 it throws, so that nothing is skipped unseen.
 */
export function program(name: string): string | null {
  for (const folder of [...(process.env['PATH'] ?? '').split(delimiter), ...SYSTEM_FOLDERS]) {
    const path = join(folder, name)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      // Not here.
    }
  }
  if (process.env['TURNOUT_REQUIRE_PEERS'] === '1') throw new Error(`${name} is not installed, and it is required`)
  console.warn(`skipped: ${name} is not installed`)
  return null
}

export interface Finished {
  readonly code: number | null
  readonly stdout: Buffer
  readonly stderr: string
}

/** Runs a program to its end, with `input` on its standard input. */
export function run(path: string, args: readonly string[], input: string | Buffer = ''): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(path, args, { stdio: 'pipe' })
    const stdout: Buffer[] = []
    let stderr = ''
    child.stdout.on('data', (bytes: Buffer) => stdout.push(bytes))
    child.stderr.on('data', (bytes: Buffer) => {
      stderr += bytes
    })
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout: Buffer.concat(stdout), stderr }))
    // A program may end without reading its input.
    child.stdin.on('error', () => {})
    child.stdin.end(input)
  })
}

export interface Running {
  readonly child: ChildProcess
  /** What it has written so far, on both outputs. */
  output(): string
}

/** Starts a program that runs on; killed when the test ends. */
export function start(path: string, args: readonly string[], options: SpawnOptions = {}): Running {
  const child = spawn(path, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const collect = (bytes: Buffer) => {
    output += bytes
  }
  child.stdout?.on('data', collect)
  child.stderr?.on('data', collect)
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
    child.once('error', (error) => {
      output += String(error)
      resolve()
    })
  })
  onTestFinished(async () => {
    child.kill('SIGTERM')
    await exited
  })
  return { child, output: () => output }
}
