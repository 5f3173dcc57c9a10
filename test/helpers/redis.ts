/** A real redis-server for tests: in a folder of its own, on a port of the loopback address that was free. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../bench/process.ts'
import { program } from './programs.ts'
import { until } from './raw.ts'

/** Path of the program; null where it is not installed. */
export const REDIS = program('redis-server')

export interface RedisServer {
  readonly port: number
  readonly url: string
  /** Sends one command, in words without blanks, and gives what it answers, as text. */
  ask(...words: readonly string[]): Promise<string>
  /** Sends it a signal, such as SIGSTOP. */
  signal(name: NodeJS.Signals): void
  /** Kills it, if it runs. */
  kill(): Promise<void>
  /** Starts it again, with the data that it has on its disk. */
  restart(): Promise<void>
  /** Kills it and removes its folder. */
  end(): Promise<void>
}

/** Starts a server; `options` are its own, such as `--appendonly yes`. */
export async function startRedis(...options: readonly string[]): Promise<RedisServer> {
  const folder = mkdtempSync(join(tmpdir(), 'turnout-redis-'))
  const port = await freePort()
  let child: ChildProcess
  const start = async () => {
    const fixed = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '']
    child = spawn(REDIS!, [...fixed, ...options], { stdio: 'ignore' })
    await until('redis answers', async () => /PONG|NOAUTH/.test(await ask(port, 'PING').catch(() => '')))
  }
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  await start()
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    ask: (...words) => ask(port, ...words),
    signal: (name) => void child.kill(name),
    kill,
    restart: start,
    async end() {
      await kill()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function ask(port: number, ...words: readonly string[]): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.end(`${words.join(' ')}\r\nQUIT\r\n`)
  let answer = ''
  for await (const bytes of socket) answer += bytes
  return answer
}
