/** The map form of `store`: what it takes, what does not hold together, and what of it is shown. */
import { describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { shownStore } from '../../src/config/hidden.ts'
import { parseSpec } from '../../src/config/load.ts'
import { storeKind, storeUrl } from '../../src/serve/store-url.ts'

function load(redis: unknown) {
  return parseSpec(stringify({ store: { redis } }), { env: {}, source: 'test' })
}
const faults = (redis: unknown): string[] => {
  const loaded = load(redis)
  return 'faults' in loaded ? loaded.faults.map(({ pointer, message }) => `${pointer} ${message}`) : []
}

const sentinels = ['10.0.0.1:26379', 'sentinel.internal', '[::1]:26379']

describe('the map form of a store', () => {
  test.each([
    { url: 'rediss://redis.internal:6380', username: 'u', password: 'p', database: 3, keyPrefix: 'prod', tls: true },
    { url: 'redis://u:p@redis.internal/3' },
    {
      sentinels,
      name: 'main',
      sentinelPassword: 's',
      tls: { ca: 'ca.pem', cert: 'c.pem', key: 'k.pem', serverName: 'x' },
    },
    { cluster: ['a:1', 'b'], natMap: { '10.0.0.1:6379': 'nat:7001' }, database: 0 },
  ])('takes %j', (redis) => {
    expect(faults(redis)).toEqual([])
  })

  test.each([
    [{}, ['/store/redis give one of url, sentinels and cluster: where Redis is found']],
    [
      { url: 'redis://a', cluster: ['b'] },
      ['/store/redis give one of url, sentinels and cluster: where Redis is found'],
    ],
    [{ sentinels }, ['/store/redis/sentinels give the name, too, that Redis has at the sentinels']],
    [{ url: 'redis://a', name: 'x' }, ['/store/redis/name belongs to sentinels, and there are none']],
    [
      { url: 'redis://a', natMap: { x: 'y:1' } },
      ['/store/redis/natMap belongs to sentinels or a cluster, which tell addresses'],
    ],
    [{ cluster: ['a'], database: 2 }, ['/store/redis/database a Cluster has one database only, 0']],
    [
      { url: 'redis://a', tls: { cert: 'c' } },
      ['/store/redis/tls a certificate and its key belong together: give cert and key, or neither'],
    ],
    [
      { url: 'redis://:p@a', password: 'p' },
      ['/store/redis/url has a user or a password, and so has the map: give them once'],
    ],
    [{ url: 'redis://a/1', database: 1 }, ['/store/redis/database stands in the url, too: give it once']],
    [{ cluster: ['redis://a'] }, ['/store/redis/cluster/0 "redis://a" is not host:port']],
    [{ url: 'http://a' }, ['/store/redis/url this (hidden) value is not redis://HOST or rediss://HOST']],
    [
      { url: 'redis://a', keyPrefix: 'a b' },
      ['/store/redis/keyPrefix "a b" is not a prefix (letters, digits, "_", ".", ":" and "-", at most 64)'],
    ],
    [
      { url: 'redis://a', sentinel: ['b'] },
      ['/store/redis/sentinel unknown key "sentinel" (did you mean "sentinels"?)'],
    ],
  ])('%j is refused in words', (redis, expected) => {
    expect(faults(redis)).toEqual(expected)
  })

  test('its files are beside the config, and nothing secret of it is shown', () => {
    const loaded = load({ sentinels, name: 'main', password: 'hush', sentinelPassword: 'hush', tls: { ca: 'ca.pem' } })
    if ('faults' in loaded) throw new Error('it is sound')
    const { store } = loaded.spec
    const text = storeUrl(store, { directory: '/etc/turnout', stateDirectory: '/var/lib/turnout' })
    expect(JSON.parse(text).redis.tls).toEqual({ ca: '/etc/turnout/ca.pem' })
    expect(shownStore(text)).toBe(`redis://${sentinels.join(',')} (sentinels of main)`)
    expect(storeKind(store)).toBe('redis')
    const cluster = JSON.stringify({ redis: { cluster: ['a:1'], password: 'hush', keyPrefix: 'b' } })
    expect(shownStore(cluster)).toBe('redis://a:1 (cluster, keys {b})')
    const one = JSON.stringify({ redis: { url: 'redis://u:hush@a/2' } })
    expect(shownStore(one)).toBe('redis://a/2')
  })
})
