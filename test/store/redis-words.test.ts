/** Why a Redis with TLS, or one with users, cannot be used: each reason in our words first, the system's behind them, and never a password. One server for all. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freePort } from '../../bench/ports.ts'
import type { RedisSpec } from '../../src/config/schema-store.ts'
import { openStore } from '../../src/store/open.ts'
import { type Certificate, makeCertificate, makeExpired } from '../helpers/certificate.ts'
import { program } from '../helpers/programs.ts'
import { REDIS, type RedisServer, startRedis } from '../helpers/redis.ts'

const openssl = program('openssl')

describe.skipIf(REDIS === null || openssl === null)('a Redis that cannot be used is told in words', () => {
  const folder = mkdtempSync(join(tmpdir(), 'turnout-redis-words-'))
  const made: Record<string, Certificate> = {}
  let redis: RedisServer
  let tlsPort: number
  beforeAll(async () => {
    const inFolder = (name: string) => {
      mkdirSync(join(folder, name))
      return join(folder, name)
    }
    made['ours'] = makeCertificate(openssl!, inFolder('ours'))
    made['stranger'] = makeCertificate(openssl!, inFolder('stranger'))
    made['other'] = makeCertificate(openssl!, inFolder('other'), 'DNS:other.test')
    made['expired'] = makeExpired(openssl!, inFolder('expired'))
    tlsPort = await freePort()
    const { certFile, keyFile } = made['ours']
    const files = ['--tls-cert-file', certFile, '--tls-key-file', keyFile, '--tls-ca-cert-file', certFile]
    redis = await startRedis('--tls-port', String(tlsPort), '--tls-auth-clients', 'no', ...files)
    await redis.ask('ACL', 'SETUSER', 'reader', 'reset', 'on', '>secret', '~*', '&*', '+@all', '-@write', '-@scripting')
    await redis.ask('ACL', 'SETUSER', 'turnout', 'reset', 'on', '>secret', '~*', '&*', '+@all')
  })
  afterAll(async () => {
    await redis.end()
    rmSync(folder, { recursive: true, force: true })
  })

  const USER = { username: 'turnout', password: 'secret' }
  /** What the server shows, whether it asks for a certificate, what is set, and the words that follow the name of the store. */
  const OURS =
    /does not take our certificate, or wants one: tls.cert and tls.key \(|has ended the connection: does it want another certificate of ours \(tls.cert and tls.key\)\? \(/
  type Case = readonly [what: string, shows: string, asks: boolean, spec: () => RedisSpec, words: string | RegExp]
  const secure = (spec: Partial<RedisSpec> = {}): RedisSpec => ({
    url: `rediss://localhost:${tlsPort}/0`,
    ...USER,
    ...spec,
  })
  const plain = (spec: Partial<RedisSpec> = {}): RedisSpec => ({
    url: `redis://localhost:${redis.port}/0`,
    ...USER,
    ...spec,
  })
  const trusting = (name: string) => ({ tls: { ca: made[name].certFile } })
  const CASES: readonly Case[] = [
    [
      'another authority',
      'ours',
      false,
      () => secure(trusting('stranger')),
      'has a certificate that is not trusted: tls.ca names who has signed it (',
    ],
    [
      'no authority',
      'ours',
      false,
      () => secure(),
      'has a certificate that is not trusted: tls.ca names who has signed it (',
    ],
    [
      'an expired certificate',
      'expired',
      false,
      () => secure(trusting('expired')),
      'has a certificate that is not valid now: it has expired, or our clock is wrong (',
    ],
    [
      'another name',
      'other',
      false,
      () => secure(trusting('other')),
      'has a certificate for another name: tls.serverName says which one is meant (',
    ],
    ['no certificate of ours', 'ours', true, () => secure(trusting('ours')), OURS],
    [
      'a certificate of ours that it does not know',
      'ours',
      true,
      () =>
        secure({ tls: { ca: made['ours'].certFile, cert: made['stranger'].certFile, key: made['stranger'].keyFile } }),
      OURS,
    ],
    [
      'TLS to a plain port',
      'ours',
      false,
      () => plain({ url: `rediss://localhost:${redis.port}/0`, ...trusting('ours') }),
      'does not answer in time, or does not speak TLS there: rediss:// and tls are for a port with TLS (',
    ],
    [
      'a plain connection to a port with TLS',
      'ours',
      false,
      () => secure({ url: `redis://localhost:${tlsPort}/0` }),
      'has ended the connection: does its port want TLS (rediss://)? (',
    ],
    [
      'a wrong password',
      'ours',
      false,
      () => plain({ password: 'hunter2' }),
      'does not take the user or the password (',
    ],
    [
      'a user that there is not',
      'ours',
      false,
      () => plain({ username: 'nobody' }),
      'does not take the user or the password (',
    ],
    [
      'a user without a right',
      'ours',
      false,
      () => plain({ username: 'reader' }),
      'does not allow this user what is needed; see "Several instances on one Redis" in the README (',
    ],
  ]

  test.each(CASES)('%s', async (_what, shows, asks, spec, words) => {
    const { certFile, keyFile } = made[shows]
    const set = await redis.ask(
      'CONFIG',
      'SET',
      'tls-cert-file',
      certFile,
      'tls-key-file',
      keyFile,
      'tls-auth-clients',
      asks ? 'yes' : 'no',
    )
    expect(set).toContain('+OK')
    const given = spec()
    const told = await openStore(JSON.stringify({ redis: given })).then(
      async (store) => {
        // Opening reads only.
        const ended = await store.put('key', 'value').then(
          () => null,
          (error: Error) => error,
        )
        await store.close()
        return ended
      },
      (error: Error) => error,
    )
    const [name, reason] = told!.message.split(/(?<=\/0) /)
    expect(name).toBe(`The store ${given.url}`)
    expect(reason).toMatch(words)
    expect(told?.message).not.toMatch(/hunter2|secret/)
    expect(told).toMatchObject({ code: 'store_unavailable' })
  })
})
