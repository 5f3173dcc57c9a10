/** Real redis-servers for tests: one, three sentinels over two, or a Cluster of three; each in a folder of its own, on ports of the loopback address that were free. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../bench/ports.ts'
import { askRedis, knowsAll } from '../../bench/redis-servers.ts'
import { program } from './programs.ts'
import { until } from './raw.ts'

/** Path of the program; null where it is not installed. */
export const REDIS = program('redis-server')

export interface RedisServer {
  /** Where it keeps its data. */
  readonly folder: string
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
    await until('redis answers', async () => /PONG|NOAUTH/.test(await askRedis(port, 'PING').catch(() => '')))
  }
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  await start()
  return {
    folder,
    port,
    url: `redis://127.0.0.1:${port}`,
    ask: (...words) => askRedis(port, ...words),
    signal: (name) => void child.kill(name),
    kill,
    restart: start,
    async end() {
      await kill()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Servers that are one store. */
export interface RedisGroup {
  readonly servers: readonly RedisServer[]
  /** `host:port` of those that a client is told of. */
  readonly nodes: readonly string[]
  end(): Promise<void>
}

const groupOf = (
  servers: readonly RedisServer[],
  told: readonly { readonly port: number }[],
  rest = async () => {},
): RedisGroup => ({
  servers,
  nodes: told.map(({ port }) => `127.0.0.1:${port}`),
  async end() {
    await rest()
    for (const server of servers) await server.end()
  },
})

/** A primary, a replica, and three sentinels that call them `turnout` and take a second to replace the one by the other. */
export async function startSentinels(): Promise<RedisGroup> {
  const primary = await startRedis()
  const replica = await startRedis('--replicaof', '127.0.0.1', String(primary.port), '--repl-diskless-sync-delay', '0')
  const sentinels: { port: number; end(): Promise<void> }[] = []
  for (let n = 0; n < 3; n++) sentinels.push(await startSentinel(primary.port))
  await until('the replica is there', async () => /slave0:/.test(await primary.ask('INFO', 'replication')))
  for (const { port } of sentinels) {
    const knows = async () => knowsAll(await askRedis(port, 'SENTINEL', 'MASTER', 'turnout'))
    await until('a sentinel knows all', knows)
  }
  return groupOf([primary, replica], sentinels, async () => {
    for (const sentinel of sentinels) await sentinel.end()
  })
}

async function startSentinel(primary: number): Promise<{ port: number; end(): Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'turnout-sentinel-'))
  const port = await freePort()
  const lines = [
    `port ${port}`,
    'bind 127.0.0.1',
    `dir ${folder}`,
    `sentinel monitor turnout 127.0.0.1 ${primary} 2`,
    'sentinel down-after-milliseconds turnout 500',
    'sentinel failover-timeout turnout 3000',
  ]
  const file = join(folder, 'sentinel.conf')
  writeFileSync(file, `${lines.join('\n')}\n`)
  const child = spawn(REDIS!, [file, '--sentinel'], { stdio: 'ignore' })
  await until('a sentinel answers', async () => /PONG/.test(await askRedis(port, 'PING').catch(() => '')))
  return {
    port,
    async end() {
      child.kill('SIGKILL')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** A Cluster of three nodes without replicas. */
export async function startCluster(): Promise<RedisGroup> {
  const options = ['--cluster-enabled', 'yes', '--cluster-config-file', 'nodes.conf', '--cluster-node-timeout', '2000']
  const servers: RedisServer[] = []
  for (let n = 0; n < 3; n++) servers.push(await startRedis(...options))
  const slots = [0, 5_461, 10_923, 16_384]
  for (const [n, server] of servers.entries()) {
    await server.ask('CLUSTER', 'ADDSLOTSRANGE', String(slots[n]), String(slots[n + 1] - 1))
    await server.ask('CLUSTER', 'MEET', '127.0.0.1', String(servers[0].port))
  }
  for (const server of servers) {
    const isWhole = async () => /cluster_state:ok[\s\S]*cluster_known_nodes:3/.test(await server.ask('CLUSTER', 'INFO'))
    await until('the cluster is whole', isWhole)
  }
  return groupOf(servers, servers)
}
