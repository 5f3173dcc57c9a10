/** Targets that run as processes of their own: they can be killed, stopped and started again on the same port. */
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

export interface ChildTarget {
  readonly url: string
  readonly port: number
  readonly child: ChildProcess
  /** SIGKILL; resolves once the process is gone. */
  kill(): Promise<void>
}

/** Starts target-process.ts; port 0 takes a free one. It answers its name to every request. */
export async function startChildTarget(name: string, port = 0, backlog = 511): Promise<ChildTarget> {
  const script = fileURLToPath(new URL('./target-process.ts', import.meta.url))
  const child = spawn(process.execPath, [script, JSON.stringify({ name, port, backlog })], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exit = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const kill = async () => {
    child.kill('SIGKILL')
    await exit
  }
  onTestFinished(kill)
  const taken = await new Promise<number>((resolve, reject) => {
    child.stdout.once('data', (bytes: Buffer) => resolve(Number(bytes)))
    void exit.then(() => reject(new Error(`target ${name} ended at its start`)))
  })
  return { url: `http://127.0.0.1:${taken}`, port: taken, child, kill }
}
