/** Redis servers for benches, from the program that is installed: one that can be killed, frozen and started again, two behind sentinels, or a Cluster. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from './ports.ts'
import { type Child, findProgram, startChild, waitForPort } from './process.ts'

const LOOK_MS = 10
const WAIT_MS = 30_000
/** Where the slots of each of the three nodes of a Cluster begin, and where the last end. */
const SLOTS = [0, 5_461, 10_923, 16_384]

export class RedisServer {
  readonly port: number
  readonly #command: readonly string[]
  #child: Child | null = null

  constructor(port: number, command: readonly string[]) {
    this.port = port
    this.#command = command
  }

  /** Starts it, again too, with what is on its disk. */
  async start(): Promise<void> {
    this.#child = startChild(this.#command, { core: null })
    await waitForPort(this.port, this.#child)
    await until('redis answers', async () => /PONG/.test(await this.ask('PING')))
  }

  signal(name: NodeJS.Signals): void {
    this.#child!.process.kill(name)
  }

  async kill(): Promise<void> {
    this.signal('SIGKILL')
    await this.stop()
  }

  async stop(): Promise<void> {
    await this.#child?.stop()
  }

  /** Sends one command; gives what it answers, and nothing while it cannot be reached. */
  ask(...words: readonly string[]): Promise<string> {
    return askRedis(this.port, ...words).catch(() => '')
  }
}

/** Sends one command to the server at this port, in words without blanks, and gives what it answers, as text. */
export async function askRedis(port: number, ...words: readonly string[]): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.end(`${words.join(' ')}\r\nQUIT\r\n`)
  let answer = ''
  for await (const bytes of socket) answer += bytes
  return answer
}

/** Whether what a sentinel says of its primary shows that it knows the replica and both others. */
export const knowsAll = (said: string): boolean =>
  /num-slaves\r\n\$1\r\n1[\s\S]*num-other-sentinels\r\n\$1\r\n2/.test(said)

/** Resolves when `look` gives true; rejects, with what was waited for, when it has not for half a minute. */
export async function until(what: string, look: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + WAIT_MS
  while (!(await look())) {
    if (performance.now() > endMs) throw new Error(`waited for half a minute in vain: ${what}`)
    await sleep(LOOK_MS)
  }
}

function programPath(): string {
  const program = findProgram('redis-server')
  if (program === null) throw new Error('redis-server is not installed')
  return program
}

/** Starts one that keeps what it answers on its disk. */
export async function startRedis(folder: string, ...options: readonly string[]): Promise<RedisServer> {
  const port = await freePort()
  const own = join(folder, `redis-${port}`)
  mkdirSync(own)
  const fixed = ['--port', String(port), '--bind', '127.0.0.1', '--dir', own, '--save', '']
  const kept = ['--appendonly', 'yes', '--appendfsync', 'always']
  const server = new RedisServer(port, [programPath(), ...fixed, ...kept, ...options])
  await server.start()
  return server
}

/** Starts three sentinels that call the primary at this port `turnout`. */
export async function startSentinels(folder: string, primary: RedisServer): Promise<RedisServer[]> {
  const sentinels: RedisServer[] = []
  for (let n = 0; n < 3; n++) {
    const port = await freePort()
    const lines = [
      `port ${port}`,
      'bind 127.0.0.1',
      `dir ${folder}`,
      `sentinel monitor turnout 127.0.0.1 ${primary.port} 2`,
      'sentinel down-after-milliseconds turnout 1000',
      'sentinel failover-timeout turnout 3000',
      `logfile ${join(folder, `sentinel-${port}.log`)}`,
    ]
    const file = join(folder, `sentinel-${port}.conf`)
    writeFileSync(file, `${lines.join('\n')}\n`)
    const sentinel = new RedisServer(port, [programPath(), file, '--sentinel'])
    await sentinel.start()
    sentinels.push(sentinel)
  }
  for (const sentinel of sentinels)
    await until('a sentinel knows all', async () => knowsAll(await sentinel.ask('SENTINEL', 'MASTER', 'turnout')))
  return sentinels
}

/**
 * Starts a Cluster of three that has a replica of the one where keys of `{turnout}` are; the two of them are the `pair`, which takes about
 * a second to change places.
 */
export async function startCluster(folder: string): Promise<{ servers: RedisServer[]; pair: RedisServer[] }> {
  const own = ['--cluster-enabled', 'yes', '--cluster-config-file', 'nodes.conf', '--cluster-node-timeout', '1000']
  const servers: RedisServer[] = []
  for (let n = 0; n < 4; n++) servers.push(await startRedis(folder, ...own))
  const [first, second, third, replica] = servers
  for (const [n, server] of [first, second, third].entries())
    await server.ask('CLUSTER', 'ADDSLOTSRANGE', String(SLOTS[n]), String(SLOTS[n + 1] - 1))
  for (const server of servers) await server.ask('CLUSTER', 'MEET', '127.0.0.1', String(first.port))
  const knows = async (server: RedisServer) =>
    /cluster_state:ok[\s\S]*cluster_known_nodes:4/.test(await server.ask('CLUSTER', 'INFO'))
  for (const server of servers) await until('the Cluster is whole', () => knows(server))
  const slot = Number(/:(\d+)/.exec(await first.ask('CLUSTER', 'KEYSLOT', '{turnout}'))![1])
  const holder = servers[SLOTS.findLastIndex((from) => from <= slot)]
  const id = /[0-9a-f]{40}/.exec(await holder.ask('CLUSTER', 'MYID'))![0]
  await replica.ask('CLUSTER', 'REPLICATE', id)
  await until('the replica follows', async () =>
    (await replica.ask('INFO', 'replication')).includes('master_link_status:up'),
  )
  return { servers, pair: [holder, replica] }
}
