/** The other kinds of Redis: with TLS and a certificate of ours, behind sentinels that replace it, and a Cluster; all with a user of its own. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freePort } from '../../bench/ports.ts'
import { askRedis } from '../../bench/redis-servers.ts'
import type { RedisSpec } from '../../src/config/schema-store.ts'
import { openStore } from '../../src/store/open.ts'
import { NOWHERE, type Store } from '../../src/store/store.ts'
import { makeCertificate } from '../helpers/certificate.ts'
import { program } from '../helpers/programs.ts'
import { REDIS, type RedisGroup, type RedisServer, startCluster, startRedis, startSentinels } from '../helpers/redis.ts'
import { describeStore } from './contract.ts'
import { commitAll, document, entry } from './entry.ts'

const openssl = program('openssl')
const README = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
const RIGHTS = /A user of its own needs `([^`]+)`/.exec(README)![1].split(' ')
const SENTINEL_RIGHTS = /At sentinels it needs `([^`]+)`/.exec(README)![1].split(' ')
const USER = { username: 'turnout', password: 'secret' }

const open = (redis: RedisSpec) => openStore(JSON.stringify({ redis }))
const allow = async (servers: readonly RedisServer[]) => {
  for (const server of servers) await server.ask('ACL', 'SETUSER', 'turnout', 'reset', 'on', '>secret', ...RIGHTS)
}
const flush = async (servers: readonly RedisServer[]) => {
  for (const server of servers) await server.ask('FLUSHALL')
}

/** One store hears what another one writes. */
async function hears(make: () => Promise<Store>): Promise<void> {
  const [one, other] = [await make(), await make()]
  try {
    let heard = 0
    other.fleet!.listen(() => heard++)
    let position = await one.position()
    await expect
      .poll(
        async () => {
          position = await one.commit(position, entry(position.revision + 1, null))
          return heard
        },
        { interval: 100 },
      )
      .toBeGreaterThan(0)
    expect(await other.position()).toEqual(position)
    expect(await one.isShared()).toBe(false)
    expect(await other.isShared()).toBe(true)
  } finally {
    await one.close()
    await other.close()
  }
}

describe.skipIf(REDIS === null || openssl === null)('a Redis with TLS that asks for a certificate', () => {
  const folder = mkdtempSync(join(tmpdir(), 'turnout-redis-tls-'))
  let redis: RedisServer
  let url: string
  let tls: { ca: string; cert: string; key: string }
  beforeAll(async () => {
    const { certFile, keyFile } = makeCertificate(openssl!, folder)
    tls = { ca: certFile, cert: certFile, key: keyFile }
    const port = await freePort()
    const files = ['--tls-cert-file', certFile, '--tls-key-file', keyFile, '--tls-ca-cert-file', certFile]
    redis = await startRedis('--tls-port', String(port), '--tls-auth-clients', 'yes', ...files)
    url = `rediss://localhost:${port}/3`
    await allow([redis])
  })
  afterAll(async () => {
    await redis.end()
    rmSync(folder, { recursive: true, force: true })
  })
  const fresh = async () => {
    await flush([redis])
    return open({ url, tls, ...USER, keyPrefix: 'turnout' })
  }

  describeStore('the Redis store with TLS', fresh, false)

  test('one instance hears another', () => hears(fresh))

  test('without our certificate, with an authority that is not trusted, or with files that are not there, why is told', async () => {
    await expect(open({ url, tls: { ca: tls.ca }, ...USER })).rejects.toThrow(/rediss:\/\/localhost:\d+\/3 /)
    await expect(open({ url, tls: { cert: tls.cert, key: tls.key }, ...USER })).rejects.toThrow(
      /has a certificate that is not trusted/,
    )
    await expect(open({ url, tls: { ...tls, serverName: 'other.test' }, ...USER })).rejects.toThrow(/certificate/)
    await expect(open({ url, tls: { ca: join(folder, 'none.pem') }, ...USER })).rejects.toMatchObject({
      code: 'invalid',
      faults: [{ pointer: '/store/redis/tls/ca', message: expect.stringContaining('none.pem cannot be read') }],
    })
  })
})

describe.skipIf(REDIS === null)('a Redis behind sentinels', () => {
  let group: RedisGroup
  beforeAll(async () => {
    group = await startSentinels()
    await allow(group.servers)
    for (const node of group.nodes)
      await askRedis(Number(node.split(':')[1]), ...'ACL SETUSER turnout reset on >seen'.split(' '), ...SENTINEL_RIGHTS)
  })
  afterAll(() => group.end())
  const asked = { name: 'turnout', sentinelUsername: 'turnout', sentinelPassword: 'seen' }
  const make = () => open({ sentinels: [...group.nodes], ...asked, database: 0, ...USER })
  const fresh = async () => {
    await flush(group.servers.slice(0, 1))
    return make()
  }

  describeStore('the Redis store behind sentinels', fresh, false)

  test('one instance hears another', () => hears(fresh))

  test('one name that the sentinels do not know, and sentinels that are not there, are told', async () => {
    await expect(open({ sentinels: [...group.nodes], name: 'other', ...USER })).rejects.toThrow(
      /\(sentinels of other\) is not known to its sentinels/,
    )
    await expect(open({ sentinels: [...group.nodes], ...asked, sentinelPassword: 'x', ...USER })).rejects.toThrow(
      /no sentinel that can be reached .*WRONGPASS/,
    )
    await expect(open({ sentinels: ['127.0.0.1:1'], name: 'turnout' })).rejects.toThrow(
      /no sentinel that can be reached/,
    )
  })

  test('a change is answered once the replica has it, and counted where that stands still', async () => {
    const store = await fresh()
    const [, replica] = group.servers
    try {
      let position = NOWHERE
      for (let revision = 1; revision <= 50; revision++) {
        position = await store.commit(position, entry(revision))
        expect(await replica.ask('HGET', '{turnout}:doc', 'revision')).toContain(`\r\n${revision}\r\n`)
      }
      expect(store.fleet!.unreplicated()).toBe(0)
      replica.signal('SIGSTOP')
      position = await store.commit(position, entry(51))
      expect(store.fleet!.unreplicated()).toBe(1)
    } finally {
      replica.signal('SIGCONT')
      await store.close()
    }
  })

  test('when the primary is killed the store goes on with the one that takes its place', async () => {
    const store = await fresh()
    try {
      const position = await commitAll(store, 3)
      const [primary, replica] = group.servers
      await expect
        .poll(async () => (await replica.ask('HGET', '{turnout}:doc', 'revision')).includes('\r\n3\r\n'))
        .toBe(true)
      await primary.kill()
      await expect
        .poll(() => store.commit(position, entry(4)).catch(({ code }) => code), { timeout: 30_000, interval: 100 })
        .toMatchObject({ revision: 4 })
      const { revision } = await store.position()
      expect(await store.load()).toMatchObject({ position: { revision }, ...document(4) })
    } finally {
      await store.close()
    }
  })
})

describe.skipIf(REDIS === null)('a Cluster', () => {
  let group: RedisGroup
  beforeAll(async () => {
    group = await startCluster()
    await allow(group.servers)
  })
  afterAll(() => group.end())
  const make = (more: RedisSpec = {}) => open({ cluster: [group.nodes[1]], ...USER, ...more })
  const fresh = async () => {
    await flush(group.servers)
    return make()
  }

  describeStore('the Redis store in a Cluster', fresh, false)

  test('one instance hears another', () => hears(fresh))

  test('two stores with prefixes of their own do not see each other', async () => {
    await flush(group.servers)
    const [one, other] = [
      await make({ keyPrefix: 'turnout' }),
      await make({ username: 'default', password: '', keyPrefix: 'b' }),
    ]
    try {
      await one.commit(NOWHERE, entry(1))
      expect(await other.position()).toEqual(NOWHERE)
    } finally {
      await one.close()
      await other.close()
    }
  })

  test('nodes that are not there are told', async () => {
    await expect(make({ cluster: ['127.0.0.1:1'] })).rejects.toThrow(/127\.0\.0\.1:1 \(cluster\) .*reached/)
  })
})
