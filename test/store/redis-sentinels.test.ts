/**
 * Fail-overs that not all sentinels know of, and servers that are no primary any more: the store is at the right one within seconds, and what it
 * has told of as done elsewhere is told as lost. The sentinels are stand-ins, since a real one that lags cannot be had at will.
 */
import net from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { openStore } from '../../src/store/open.ts'
import { NOWHERE, type Store } from '../../src/store/store.ts'
import { REDIS, type RedisServer, startRedis } from '../helpers/redis.ts'
import { commitAll, entry } from './entry.ts'

interface Sentinel {
  readonly node: string
  /** What it says from now on: the port of the primary, the epoch, and other sentinels. */
  says: { primary: number; epoch: number; others: readonly string[] }
  /** It takes commands, and does not answer. */
  isSilent: boolean
}

const bulk = (text: string | number) => `$${String(text).length}\r\n${text}\r\n`
const list = (items: readonly string[]) => `*${items.length}\r\n${items.join('')}`
const fields = (all: Readonly<Record<string, string | number>>) => list(Object.entries(all).flat().map(bulk))

async function startSentinel(primary: number): Promise<Sentinel> {
  const open = new Set<net.Socket>()
  const server = net.createServer((socket) => {
    open.add(socket)
    socket.on('error', () => {}).on('close', () => open.delete(socket))
    socket.on('data', (bytes) => {
      // Commands come whole here, each as an array of strings.
      for (const command of bytes.toString().split(/(?=\*\d+\r\n)/)) {
        const words = command.split('\r\n').filter((_, at) => at > 0 && at % 2 === 0)
        if (!sentinel.isSilent) socket.write(answerTo(words.map((word) => word.toUpperCase())))
      }
    })
  })
  const answerTo = ([first, second]: readonly string[]): string => {
    const { primary: port, epoch, others } = sentinel.says
    if (first !== 'SENTINEL') return '+OK\r\n'
    // Of the one before, as long as a fail-over is not over.
    if (second === 'MASTER') return fields({ ip: '127.0.0.1', port: 1, 'config-epoch': epoch })
    if (second === 'SENTINELS')
      return list(others.map((node) => fields({ ip: node.split(':')[0], port: node.split(':')[1] })))
    return list([bulk('127.0.0.1'), bulk(port)])
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.close()
    for (const socket of open) socket.destroy()
  })
  const node = `127.0.0.1:${(server.address() as net.AddressInfo).port}`
  const sentinel: Sentinel = { node, says: { primary, epoch: 1, others: [] }, isSilent: false }
  return sentinel
}

describe.skipIf(REDIS === null)('a store behind sentinels', () => {
  let [old, present]: RedisServer[] = []
  beforeAll(async () => {
    old = await startRedis('--repl-diskless-sync-delay', '0')
    present = await startRedis('--repl-diskless-sync-delay', '0')
  })
  beforeEach(async () => {
    for (const server of [old, present]) {
      await server.ask('REPLICAOF', 'NO', 'ONE')
      await server.ask('FLUSHALL')
    }
  })
  afterAll(async () => {
    await old.end()
    await present.end()
  })

  const open = async (sentinels: readonly Sentinel[]): Promise<Store> => {
    const nodes = sentinels.map(({ node }) => node)
    const store = await openStore(JSON.stringify({ redis: { sentinels: nodes, name: 'turnout' } }))
    onTestFinished(() => store.close())
    return store
  }
  const three = async () => [
    await startSentinel(old.port),
    await startSentinel(old.port),
    await startSentinel(old.port),
  ]
  const standsAt = (store: Store, revision: number) =>
    expect.poll(async () => (await store.position().catch(() => NOWHERE)).revision).toBe(revision)

  test('leaves a primary that takes writes still, and that nobody follows any more, once one sentinel of several knows of another', async () => {
    const sentinels = await three()
    const store = await open(sentinels)
    const position = await commitAll(store, 2)
    await present.ask('HSET', '{turnout}:doc', 'revision', '7')
    sentinels[2].says = { primary: present.port, epoch: 2, others: [] }
    await standsAt(store, 7)
    // A store that starts while the others have not heard of it goes there at once; the two that are asked first do not.
    const other = await open(sentinels)
    expect((await other.position()).revision).toBe(7)
    await expect(store.commit(position, entry(3))).rejects.toMatchObject({ code: 'stale_revision' })
  })

  test('does not go back when only those can be asked that have not heard of the fail-over, and stays when none can be', async () => {
    const sentinels = await three()
    sentinels[2].says = { primary: present.port, epoch: 2, others: [] }
    const store = await open(sentinels)
    await present.ask('HSET', '{turnout}:doc', 'revision', '7')
    await standsAt(store, 7)
    sentinels[2].isSilent = true
    const untilMs = performance.now() + 1_200
    while (performance.now() < untilMs) expect((await store.position()).revision).toBe(7)
    for (const sentinel of sentinels) sentinel.isSilent = true
    const laterMs = performance.now() + 700
    while (performance.now() < laterMs) expect((await store.position()).revision).toBe(7)
  })

  test('asks the sentinels too that those of its setting name', async () => {
    const [first, second] = await three()
    first.says = { primary: old.port, epoch: 1, others: [second.node] }
    const store = await open([first])
    await present.ask('HSET', '{turnout}:doc', 'revision', '7')
    second.says = { primary: present.port, epoch: 2, others: [] }
    await standsAt(store, 7)
  })

  test('keeps trying while the sentinels tell of a server that is a replica, and is right as soon as it is not', async () => {
    await present.ask('REPLICAOF', '127.0.0.1', String(old.port))
    const sentinels = await three()
    const store = await open(sentinels)
    await commitAll(store, 1)
    await expect.poll(() => present.ask('HGET', '{turnout}:doc', 'revision')).toContain('$1')
    for (const sentinel of sentinels) sentinel.says = { primary: present.port, epoch: 2, others: [] }
    await expect.poll(() => store.position().catch(({ code }) => code)).toBe('store_unavailable')
    await present.ask('REPLICAOF', 'NO', 'ONE')
    await standsAt(store, 1)
  })

  test('one that is reached by an address of its own leaves a server that has become a replica with the first write', async () => {
    // As a virtual address, or a name, that has moved: only connections of before still lead to the old one.
    let to = old.port
    const open = new Set<net.Socket>()
    const relay = net.createServer((client) => {
      const target = net.connect(to, '127.0.0.1')
      for (const socket of [client, target]) {
        open.add(socket)
        socket.on('error', () => {}).on('close', () => open.delete(socket))
      }
      client.pipe(target).pipe(client)
    })
    await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      relay.close()
      for (const socket of open) socket.destroy()
    })
    const store = await openStore(`redis://127.0.0.1:${(relay.address() as net.AddressInfo).port}`)
    onTestFinished(() => store.close())
    await commitAll(store, 1)
    to = present.port
    await old.ask('REPLICAOF', '127.0.0.1', String(present.port))
    const self = { id: 'a', name: 'here:1', version: '1', revision: 1, epoch: 1 }
    // What every instance says of itself each second is a write, so that one that changes nothing notices too.
    await expect(store.fleet!.announce(self)).rejects.toThrow(/is a replica, which takes no changes/)
    await expect.poll(() => store.fleet!.announce(self).catch(() => null)).toEqual([self])
    expect(await store.position()).toEqual(NOWHERE)
  })
})
