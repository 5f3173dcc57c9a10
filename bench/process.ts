/**
 * Child processes of the bench: start them on a chosen core, wait until they answer, read what CPU they used, end them.
 *
 * Only processes that were started here are ever ended, by their own id, and all of them are when the bench ends, however
 * it ends. CPU time is that of the whole process tree (nginx does its work in a child, Node in threads), from
 * /proc/PID/stat, whose figures include threads that have already gone. Elsewhere than on Linux there is no /proc and no
 * taskset: then nothing is pinned, CPU per request is not given, and the report says so.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'

/** Core of the measured proxy, and core of the load and the targets. */
export const PROXY_CORE = 0
export const LOAD_CORE = 1

const children = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130))

/** Path of a program that is installed, or null; looked for on PATH, where only root looks, and in `more` folders. */
export function findProgram(name: string, more: readonly string[] = []): string | null {
  for (const folder of [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin', ...more]) {
    try {
      if (folder !== '' && readdirSync(folder).includes(name)) return `${folder}/${name}`
    } catch {
      // A folder of PATH that is not there.
    }
  }
  return null
}

/** Whether processes are pinned here: it takes taskset and two cores. */
export const pinned = process.platform === 'linux' && availableParallelism() > 1 && findProgram('taskset') !== null

export interface StartOptions {
  /** Core to run on; null: wherever the system likes. */
  readonly core: number | null
  /** Where it runs, and leaves what it keeps there by itself. Default: where the bench does. */
  readonly folder?: string
  readonly env?: Readonly<Record<string, string>>
  /** File that its standard output goes to. Default: it is read here and thrown away. */
  readonly stdout?: string
  /** Whether messages go to and from it (`process.send`). Default false. */
  readonly messages?: boolean
}

export interface Child {
  readonly pid: number
  readonly process: ChildProcess
  /** What it wrote on standard error so far, for messages. */
  errors(): string
  /** Ends it, in order first and by force after two seconds; resolves when it is gone. */
  stop(): Promise<void>
}

/** Starts a program. `taskset` replaces itself by the program, so the id is that of the program. */
export function startChild(command: readonly string[], options: StartOptions): Child {
  const line = pinned && options.core !== null ? ['taskset', '-c', String(options.core), ...command] : command
  const file = options.stdout === undefined ? null : openSync(options.stdout, 'w')
  const child: ChildProcess = spawn(line[0], line.slice(1), {
    stdio: ['pipe', file ?? 'pipe', 'pipe', options.messages === true ? 'ipc' : 'ignore'],
    env: { ...process.env, ...options.env },
    ...(options.folder !== undefined && { cwd: options.folder }),
  })
  if (file !== null) closeSync(file)
  children.add(child)
  let errors = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-4000)
  })
  // A program that writes nobody reads would stop at a full pipe.
  child.stdout?.resume()
  const gone = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  })
  gone.then(() => children.delete(child))
  return {
    pid: child.pid ?? 0,
    process: child,
    errors: () => errors,
    async stop() {
      child.kill('SIGTERM')
      const force = setTimeout(() => child.kill('SIGKILL'), 2000)
      await gone
      clearTimeout(force)
    },
  }
}

/** Runs a program to its end and gives its standard output; rejects when it fails. */
export async function runChild(command: readonly string[], options: StartOptions): Promise<string> {
  const child = startChild(command, options)
  const chunks: Buffer[] = []
  child.process.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk))
  const end = await new Promise<number | string | null>((resolve, reject) => {
    child.process.once('error', reject)
    child.process.once('close', (code, signal) => resolve(code ?? signal))
  })
  if (end !== 0) throw new Error(`${command[0]} ended with ${end}: ${child.errors()}`)
  return Buffer.concat(chunks).toString()
}

/** The first line that a child prints. */
export async function firstLine(child: Child): Promise<string> {
  let text = ''
  for await (const chunk of child.process.stdout!) {
    text += String(chunk)
    if (text.includes('\n')) break
  }
  if (!text.includes('\n')) throw new Error(`ended without a word: ${child.errors()}`)
  return text.slice(0, text.indexOf('\n'))
}

/**
 * Resolves when the port accepts connections; rejects when the child ends first or `timeoutMs` passes. Once is not enough: a Turnout that
 * starts takes its port alone for a moment, to see that nobody has it, and opens it for good later.
 */
export async function waitForPort(port: number, child: Child, timeoutMs = 60_000): Promise<void> {
  const endMs = performance.now() + timeoutMs
  while (!(await stays(port))) {
    if (child.process.exitCode !== null || child.pid === 0) throw new Error(`did not start: ${reason(child)}`)
    if (performance.now() > endMs) throw new Error(`port ${port} did not open in time: ${child.errors()}`)
    await sleep(20)
  }
}

/** The line of its last words that says why a child ended. */
function reason(child: Child): string {
  const lines = child.errors().trim().split('\n')
  return lines.find((line) => /error|alert|emerg/i.test(line)) ?? lines[0]
}

async function stays(port: number): Promise<boolean> {
  if (!(await accepts(port))) return false
  await sleep(20)
  return accepts(port)
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

/** Bytes of memory that a process and its descendants have resident; null where the system does not tell. */
export function residentBytes(pid: number): number | null {
  if (process.platform !== 'linux') return null
  let kilobytes = 0
  for (const id of processTree(pid)) {
    const status = readProc(id, 'status')
    kilobytes += Number(/^VmRSS:\s*(\d+) kB$/m.exec(status ?? '')?.[1] ?? 0)
  }
  return kilobytes * 1024
}

let ticksPerSecond = 0

/** CPU time in µs that a process and its descendants have used; null where the system does not tell. */
export function cpuMicros(pid: number): number | null {
  if (process.platform !== 'linux') return null
  ticksPerSecond ||= Number(execFileSync('getconf', ['CLK_TCK']).toString())
  let ticks = 0
  for (const id of processTree(pid)) {
    const fields = readStat(id)
    // utime and stime, the 14th and 15th field of proc(5), counted after the name.
    if (fields !== null) ticks += Number(fields[11]) + Number(fields[12])
  }
  return (ticks * 1_000_000) / ticksPerSecond
}

/** A process and its descendants, by id. */
export function processTree(root: number): number[] {
  const parents = new Map<number, number>()
  for (const name of readdirSync('/proc')) {
    const fields = /^\d+$/.test(name) ? readStat(Number(name)) : null
    if (fields !== null) parents.set(Number(name), Number(fields[1]))
  }
  const tree = [root]
  for (let i = 0; i < tree.length; i++) {
    for (const [id, parent] of parents) if (parent === tree[i]) tree.push(id)
  }
  return tree
}

/** The fields of /proc/PID/stat after the name of the program, which may itself hold spaces and brackets. */
function readStat(pid: number): string[] | null {
  const text = readProc(pid, 'stat')
  return text === null ? null : text.slice(text.lastIndexOf(')') + 2).split(' ')
}

/** A file of /proc/PID; null when the process has gone. */
function readProc(pid: number, name: string): string | null {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'latin1')
  } catch {
    return null
  }
}
