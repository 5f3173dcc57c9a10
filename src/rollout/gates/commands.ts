/**
 * Runs programs as hooks, where the config file of this process says from which folders; nowhere else.
 *
 * No shell: a program and its arguments. It has the body of the hook as JSON on its standard input and the scalars of it as variables
 * (`TURNOUT_EVENT` …), and nothing of our own environment. Exit code 0 is a yes. At its time-out its process group gets SIGTERM, and SIGKILL
 * a moment later; so it does when its rollout or we end. Of its output the end is kept, and the last line told. At most
 * `RUNNING_MAX` run at the same time; the others wait.
 */
import { spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { access, realpath, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Clock } from '../../clock.ts'
import { unreadInWords } from '../../unread.ts'

const RUNNING_MAX = 16
const OUTPUT_BYTES_MAX = 16_384
const TOLD_LENGTH_MAX = 200
/** Between SIGTERM and SIGKILL. */
const GRACE_MS = 5_000
/** Output that is still under way when the program has ended; one that it has left behind may hold it open. */
const OUTPUT_WITHIN_MS = 200
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

type Body = Readonly<Record<string, unknown>>

export class Commands {
  readonly #folders: readonly string[]
  readonly #clock: Clock
  readonly #running = new Set<Promise<unknown>>()

  /** Only programs in or below these folders are run. */
  constructor(folders: readonly string[], clock: Clock) {
    this.#folders = folders
    this.#clock = clock
  }

  /** Null when a program may be run and can be, else why not. */
  async faultOf([program]: readonly string[]): Promise<string | null> {
    try {
      const path = await realpath(program)
      const allowed = await Promise.all(this.#folders.map((folder) => realpath(folder).catch(() => null)))
      const isIn = (folder: string | null) => folder !== null && path.startsWith(folder === '/' ? folder : `${folder}/`)
      if (!allowed.some(isIn)) return `${program} is in no folder of rolloutCommands`
      if (!(await stat(path)).isFile()) return `${program} is no file`
      await access(path, constants.X_OK)
      return null
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOENT') return `${program} is not there`
      return code === 'EACCES' ? `${program} cannot be executed` : `${program}: ${code}`
    }
  }

  /** Null when the program says yes, else why it does not. Rejects with what `signal` aborts with, once the program is gone. */
  async run(command: readonly string[], body: Body, timeoutMs: number, signal: AbortSignal): Promise<string | null> {
    while (this.#running.size >= RUNNING_MAX) await Promise.race(this.#running).catch(() => {})
    signal.throwIfAborted()
    const run = this.#checked(command, body, timeoutMs, signal)
    this.#running.add(run)
    return run.finally(() => this.#running.delete(run))
  }

  /** Resolves when none runs any more; their signals have ended them. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#running)
  }

  async #checked(
    command: readonly string[],
    body: Body,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<string | null> {
    const fault = await this.faultOf(command)
    // Its rollout may have ended meanwhile, and nobody would stop it then.
    signal.throwIfAborted()
    return fault ?? this.#spawn(command, body, timeoutMs, signal)
  }

  #spawn([program, ...args]: readonly string[], body: Body, timeoutMs: number, signal: AbortSignal) {
    return new Promise<string | null>((resolve, reject) => {
      const child = spawn(program, args, {
        cwd: dirname(program),
        env: environmentOf(body),
        detached: true,
        shell: false,
      })
      const cancels: (() => void)[] = []
      let isLate = false
      const stop = (): void => {
        kill(child.pid, 'SIGTERM')
        cancels.push(this.#clock.after(GRACE_MS, () => kill(child.pid, 'SIGKILL')))
      }
      let output = Buffer.alloc(0)
      const take = (bytes: Buffer): void => {
        output = Buffer.concat([output, bytes]).subarray(-OUTPUT_BYTES_MAX)
      }
      child.stdout.on('data', take)
      child.stderr.on('data', take)
      // A program that does not read what it is told is free to.
      child.stdin.on('error', () => {})
      child.stdin.end(JSON.stringify(body))
      cancels.push(
        this.#clock.after(timeoutMs, () => {
          isLate = true
          stop()
        }),
      )
      signal.addEventListener('abort', stop, { once: true })
      const finish = (why: string | null): void => {
        for (const cancel of cancels) cancel()
        signal.removeEventListener('abort', stop)
        child.stdout.destroy()
        child.stderr.destroy()
        if (signal.aborted) reject(signal.reason as Error)
        else resolve(why === null ? null : why + lastLineOf(output))
      }
      child.once('error', (error: NodeJS.ErrnoException) => finish(`cannot be run: ${unreadInWords(error)}`))
      child.once('exit', (code, by) => {
        // What it has left behind in its group after a time-out goes with it.
        if (isLate || signal.aborted) kill(child.pid, 'SIGKILL')
        const why = isLate
          ? 'no end in time'
          : code === 0
            ? null
            : code === null
              ? `ended by ${by}`
              : `exit code ${code}`
        const end = (): void => finish(why)
        cancels.push(this.#clock.after(OUTPUT_WITHIN_MS, end))
        child.once('close', end)
      })
    })
  }
}

/** To the whole group of a program, if there still is one. */
function kill(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, signal)
  } catch {
    // It has gone.
  }
}

/** `TURNOUT_EVENT` and the like: what of the body is no list or map, and lists of names. */
function environmentOf(body: Body): Record<string, string> {
  const named = Object.entries(body).flatMap(([key, value]) => {
    if (value === null || (typeof value === 'object' && !Array.isArray(value))) return []
    return [[`TURNOUT_${key.toUpperCase()}`, String(value).replaceAll('\0', '')] as const]
  })
  return { PATH, LANG: 'C.UTF-8', ...Object.fromEntries(named) }
}

/** The last line that says something, as far as it is told. */
function lastLineOf(output: Buffer): string {
  const lines = output.toString().split(/[\r\n]+/)
  const line = lines.findLast((text) => text.trim() !== '')?.trim() ?? ''
  const plain = line.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '?')
  return line === '' ? '' : `: ${plain.length > TOLD_LENGTH_MAX ? `${plain.slice(0, TOLD_LENGTH_MAX - 1)}…` : plain}`
}
