/** The store that several machines share, on a real Redis. */
import { readFileSync } from 'node:fs'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Clock, systemClock } from '../../src/clock.ts'
import { checkStore, openStore } from '../../src/store/open.ts'
import { DEAF_MS } from '../../src/store/redis-client.ts'
import { DAMAGED, NOWHERE, type Store } from '../../src/store/store.ts'
import { REDIS, type RedisServer, startRedis } from '../helpers/redis.ts'
import { describeStore, expectCode } from './contract.ts'
import { commitAll, document, entry, revision, service } from './entry.ts'

describe.skipIf(REDIS === null)('a Redis', () => {
  let redis: RedisServer
  beforeAll(async () => {
    redis = await startRedis('--appendonly', 'yes', '--appendfsync', 'always')
  })
  afterAll(() => redis.end())
  const open = (url = redis.url) => openStore(url)
  const fresh = async () => {
    await redis.ask('FLUSHALL')
    return open()
  }
  /** Closes them, whatever comes of the work. */
  async function using<T>(stores: readonly Store[], work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } finally {
      for (const store of stores) await store.close()
    }
  }

  describeStore('the Redis store', fresh)

  test('two processes see what each writes, and of two commits on one position one wins', async () => {
    const [one, other] = [await fresh(), await open()]
    await using([one, other], async () => {
      const position = await one.commit(NOWHERE, entry(1))
      expect(await other.position()).toEqual(position)
      expect(await other.load()).toEqual({ position, ...document(1) })
      const both = await Promise.allSettled([one.commit(position, entry(2)), other.commit(position, entry(2))])
      expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
      expect((await one.position()).revision).toBe(2)
    })
  })

  test('a commit whose answer is lost with the connection is written once and answered, also when others have written since', async () => {
    const relay = await startForgetful(redis.port)
    const [one, other] = [await open(`redis://127.0.0.1:${relay.port}`), await fresh()]
    await using([one, other], async () => {
      const first = await one.commit(NOWHERE, entry(1))
      relay.loseAnswerTo('by-one', async () => {})
      const second = await one.commit(first, { ...entry(2), actor: 'by-one' })
      expect(await other.position()).toEqual(second)
      relay.loseAnswerTo('by-one-again', async () => void (await other.commit(await other.position(), entry(4))))
      const third = await one.commit(second, { ...entry(3), actor: 'by-one-again' })
      expect(third.revision).toBe(3)
      expect((await other.revisions(9)).map(({ revision, actor }) => `${revision} ${actor}`)).toEqual([
        `4 ${entry(4).actor}`,
        '3 by-one-again',
        '2 by-one',
        `1 ${entry(1).actor}`,
      ])
    }).finally(relay.end)
  })

  test('one of them leads, and another one does when that one is closed; only the one that leads keeps what was observed', async () => {
    const [one, other] = [await fresh(), await open()]
    await using([one, other], async () => {
      expect([await one.isShared(), await other.isShared(), await one.isShared()]).toEqual([false, true, false])
      await other.saveObserved({ shop: {} })
      expect([await one.observed(), await other.observed()]).toEqual([{}, {}])
      await one.saveObserved({ shop: { blue: {} } })
      await one.close()
      expect(await other.isShared()).toBe(false)
      expect(await other.observed()).toEqual({ shop: { blue: {} } })
    })
  })

  test('the lead of a process that was cut off ends by itself, for that one first', async () => {
    const one = await fresh()
    const other = await open()
    await using([one, other], async () => {
      expect(await one.isShared()).toBe(false)
      const lead = await redis.ask('GET', '{turnout}:leader')
      const fence = async () => Number((await redis.ask('GET', '{turnout}:fence')).split('\r\n')[1])
      const first = await fence()
      // As if its renewals came through no more.
      await redis.ask('PEXPIRE', '{turnout}:leader', '1')
      await expect.poll(() => other.isShared(), { interval: 100 }).toBe(false)
      expect(await redis.ask('GET', '{turnout}:leader')).not.toBe(lead)
      // It learns of it with its next renewal.
      await expect.poll(() => one.isShared(), { interval: 100 }).toBe(true)
      expect(await fence()).toBeGreaterThan(first)
    })
  })

  test('a Redis that has lost who leads is left to that one for the time of a lease, and then to whoever asks', async () => {
    await redis.ask('FLUSHALL')
    let skippedMs = 0
    const clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + skippedMs }
    const [one, other] = [await openStore(redis.url), await openStore(redis.url, null, clock)]
    await using([one, other], async () => {
      let lost = 0
      one.fleet!.onLeadLost(() => lost++)
      for (const lose of [['FLUSHALL'], ['SET', '{turnout}:fence', '7']]) {
        expect([await one.isShared(), await other.isShared()]).toEqual([false, true])
        await redis.ask('DEL', '{turnout}:leader')
        await redis.ask(...lose)
        expect(await other.isShared()).toBe(true)
        await expect.poll(() => redis.ask('GET', '{turnout}:fence')).toMatch(/\r\n\d{13}\r\n/)
      }
      expect([await one.isShared(), await other.isShared(), lost]).toEqual([false, true, 0])
      // One that does not come back any more.
      const ghost = Date.now() + 60_000
      await redis.ask('SET', '{turnout}:leader', `"ghost ${ghost}"`)
      expect(await other.isShared()).toBe(true)
      await expect.poll(() => lost).toBe(1)
      await redis.ask('FLUSHALL')
      expect([await one.isShared(), await other.isShared()]).toEqual([true, true])
      skippedMs = 5_001
      expect(await other.isShared()).toBe(false)
      // Nor is one at once that has come back, with its lead and without.
      await redis.ask('SET', '{turnout}:leader', `"ghost ${ghost}"`)
      skippedMs += 5_001
      expect(await other.isShared()).toBe(true)
      await redis.ask('SET', '{turnout}:fence', String(ghost))
      await redis.kill()
      await expectCode(other.isShared(), 'store_unavailable')
      await redis.restart()
      await redis.ask('DEL', '{turnout}:leader')
      await expect.poll(() => other.isShared().catch(() => null)).toBe(true)
      skippedMs += 5_001
      expect(await other.isShared()).toBe(false)
    })
  })

  test('what only a leader writes is refused from one that led before, which is told when it asks again', async () => {
    const one = await fresh()
    const other = await open()
    await using([one, other], async () => {
      let lost = 0
      let drop = () => {}
      one.fleet!.onLeadLost((dropped) => {
        lost++
        drop = dropped
      })
      expect([await one.isShared(), await one.fleet!.stillLeads()]).toEqual([false, true])
      const ofRollout = (n: number) => ({ ...entry(n), change: { kind: 'shift', service: 'shop' } })
      let position = await one.commit(NOWHERE, ofRollout(1))
      await one.put('rollout:shop', 'first')
      // It stands still for longer than its lease, and another one leads.
      await redis.ask('DEL', '{turnout}:leader')
      expect(await other.isShared()).toBe(false)
      await expectCode(one.commit(position, ofRollout(2)), 'conflict')
      await expectCode(one.put('rollout:shop', 'late'), 'conflict')
      expect([await other.get('rollout:shop'), lost]).toEqual(['first', 0])
      // What people ask of it is nobody's lead.
      position = await one.commit(position, entry(2))
      expect(await other.commit(position, ofRollout(3))).toMatchObject({ revision: 3 })
      await expect.poll(() => lost).toBe(1)
      expect(await one.isShared()).toBe(true)
      // What it drove is under way until it is dropped, and knows of nothing.
      position = await one.position()
      await expectCode(one.commit(position, ofRollout(4)), 'conflict')
      await expectCode(one.put('rollout:shop', 'late'), 'conflict')
      expect([await other.get('rollout:shop'), await one.fleet!.stillLeads()]).toEqual(['first', false])
      drop()
      // Whatever was not dropped comes from one that does not lead.
      await expectCode(one.commit(position, ofRollout(4)), 'conflict')
      await expectCode(one.put('rollout:shop', 'late'), 'conflict')
      // An abort is passed on by whoever does not lead.
      const passedOn = { change: { kind: 'rollout', service: 'shop' }, named: { 'rollout-abort:shop': '{}' } }
      expect(await one.commit(position, { ...entry(4), ...passedOn })).toMatchObject({ revision: 4 })
    })
  })

  test('a process that stood still asks whether it still leads before it acts; while the store is away it acts by what it knows', async () => {
    let skippedMs = 0
    const clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + skippedMs }
    await redis.ask('FLUSHALL')
    const [one, other] = [await openStore(redis.url, null, clock), await openStore(redis.url)]
    await using([one, other], async () => {
      const leads = () => one.fleet!.stillLeads()
      expect([await one.isShared(), await leads()]).toEqual([false, true])
      expect(await other.fleet!.stillLeads()).toBe(false)
      skippedMs += 30_000
      expect(await leads()).toBe(true)
      skippedMs += 30_000
      await redis.ask('DEL', '{turnout}:leader')
      expect([await leads(), await other.isShared()]).toEqual([true, true])
      skippedMs += 30_000
      await redis.ask('SET', '{turnout}:leader', `"ghost ${Date.now() + 60_000}"`)
      expect(await leads()).toBe(false)
    })
    await redis.ask('FLUSHALL')
    const third = await openStore(redis.url, null, clock)
    await using([third], async () => {
      expect(await third.isShared()).toBe(false)
      await redis.kill()
      // Its renewals fail until its lease is over; then nobody is asked any more.
      await expect.poll(() => third.isShared().catch(() => 'away')).toBe('away')
      const fromMs = performance.now()
      expect(await third.fleet!.stillLeads()).toBe(true)
      expect(performance.now() - fromMs).toBeLessThan(100)
      // One that stood still tries for a while to learn it.
      skippedMs += 30_000
      expect(await third.fleet!.stillLeads()).toBe(true)
      expect(performance.now() - fromMs).toBeGreaterThan(1_900)
      await redis.restart()
    })
  })

  test('what was answered is there after a kill, and a position of a document that fell is another', async () => {
    const store = await fresh()
    await using([store], async () => {
      const position = await commitAll(store, 3)
      await redis.kill()
      await expectCode(store.position(), 'store_unavailable')
      await expectCode(store.commit(position, entry(4)), 'store_unavailable')
      await redis.restart()
      await expect.poll(() => store.position().catch(() => null)).toEqual(position)
      expect(await store.load()).toEqual({ position, ...document(3) })
      await redis.ask('FLUSHALL')
      expect(await store.position()).toEqual(NOWHERE)
      const next = { ...entry(4), services: { shop: service(4) }, revision: 4 }
      expect((await store.replace(NOWHERE, next)).revision).toBe(4)
      expect((await store.load()).services).toEqual({ shop: { ...service(4), revision: 4 } })
    })
  })

  test('what is not our document is told: text that is no JSON, and the format of a newer Turnout', async () => {
    const store = await fresh()
    await using([store], async () => {
      await commitAll(store, 1)
      await redis.ask('HSET', '{turnout}:doc', 'format', '99')
      await expect(open()).rejects.toThrow('format 99')
      await redis.ask('HSET', '{turnout}:doc', 'format', '2')
      await store.put('key', 'value')
      await redis.ask('HSET', '{turnout}:observed', 'shop', '{')
      await store.isShared()
      await expect(store.observed()).rejects.toThrow('is damaged: what was observed cannot be read')
    })
  })

  test.each(['doc', 'services', 'parts'])(
    'where Redis has thrown away %s nobody follows or begins with the rest, and whoever has it all writes it again',
    async (key) => {
      const store = await fresh()
      await using([store], async () => {
        const position = await commitAll(store, 3)
        const { services } = await store.load()
        await redis.ask('DEL', `{turnout}:${key}`)
        await expect(open()).rejects.toThrow(/is damaged: keys of it are gone/)
        await expect(checkStore(redis.url)).rejects.toThrow(/is damaged: keys of it are gone/)
        await expect(store.revision(1)).rejects.toThrow(/is damaged/)
        await expectCode(store.commit(position, entry(4)), 'stale_revision')
        expect(await store.position()).toEqual(DAMAGED)
        expect(await store.fleet!.rewrite(DAMAGED, true)).toBe(true)
        expect(await store.position()).toEqual(position)
        const after = await open()
        await using([after], async () => {
          expect((await after.load()).services).toEqual(services)
          expect((await after.revisions(9)).map(({ revision, change }) => [revision, change.kind])).toEqual([
            [3, entry(3).change.kind],
            [2, entry(2).change.kind],
            [1, entry(1).change.kind],
          ])
          expect((await after.revision(2))?.services).toEqual(revision(2).services)
          await after.commit(position, entry(4))
        })
      })
    },
  )

  test('where Redis has lost the named values whoever lives writes them again, and a start waits for that; where nobody has them it goes on without', async () => {
    const store = await fresh()
    const [revision, key] = [async () => (await store.position()).revision, 'cookieKeys']
    await using([store], async () => {
      await store.putIfAbsent(key, 'old')
      await store.commit(NOWHERE, { ...entry(1), named: { file: '{}' } })
      const self = { id: 'one', name: 'one', version: '1', revision: 1, epoch: 1 }
      await store.fleet!.announce(self)
      await redis.ask('DEL', '{turnout}:named')
      expect(await store.position()).toEqual(DAMAGED)
      const starting = open()
      expect(await store.fleet!.rewrite(DAMAGED, true)).toBe(true)
      const other = await starting
      await using([other], async () => {
        expect([await other.get(key), await other.get('file'), await revision()]).toEqual(['old', '{}', 1])
      })
      await store.fleet!.leave('one')
      await redis.ask('DEL', '{turnout}:named')
    })
    // Whoever only looks leaves it to the start to tell of that.
    await checkStore(redis.url)
    const without = await open()
    await using([without], async () => {
      const news: string[] = []
      without.local!.listen(({ message }) => news.push(message))
      expect(news).toMatchObject([expect.stringContaining('no instance lives that has them')])
      expect((await without.load()).services).toMatchObject({ shop: service(1) })
      expect(await without.putIfAbsent(key, 'new')).toBe('new')
    })
  })

  test('a revision of which Redis has lost what later ones replaced is not known any more, rather than wrong', async () => {
    const store = await fresh()
    await using([store], async () => {
      const position = await commitAll(store, 3)
      await redis.ask('DEL', '{turnout}:undo')
      expect(await store.revision(1)).toBeNull()
      await store.commit(position, entry(4))
      expect([
        await store.revision(2),
        (await store.revision(3))?.services,
        (await store.revision(4))?.services,
      ]).toEqual([null, revision(3).services, revision(4).services])
    })
  })

  test('the number of the last lead that Redis has lost is written again as long as one lasts, and never falls', async () => {
    await redis.ask('FLUSHALL')
    const store = await open()
    await using([store], async () => {
      expect(await store.isShared()).toBe(false)
      const first = await redis.ask('GET', '{turnout}:fence')
      await redis.ask('DEL', '{turnout}:fence')
      await expect.poll(() => redis.ask('GET', '{turnout}:fence'), { interval: 50 }).toBe(first)
    })
  })

  test.each(['undo', 'audit'])(
    'where %s is of another type nothing of a change is written, and all of it once it is gone',
    async (key) => {
      const one = await fresh()
      await using([one], async () => {
        const position = await one.commit(NOWHERE, entry(1))
        await redis.ask('SET', `{turnout}:${key}`, 'junk')
        await expectCode(one.commit(position, entry(2)), 'store_unavailable')
        expect(await redis.ask('HGET', '{turnout}:doc', 'revision')).toMatch(/^\$1\r\n1\r\n/)
        if (key === 'undo') expect(await one.revisions(10)).toHaveLength(1)
        await redis.ask('DEL', `{turnout}:${key}`)
        expect(await one.commit(position, entry(2))).toMatchObject({ revision: 2 })
        expect(await one.load()).toMatchObject(document(2))
      })
    },
  )

  test('a document that another one has gone beyond before both were lost is written where the audit goes on', async () => {
    const store = await fresh()
    await using([store], async () => {
      const position = await commitAll(store, 2)
      await redis.ask('XADD', '{turnout}:audit', '7-0', 'line', '{}', 'mark', 'other')
      await redis.ask('XADD', '{turnout}:undo', '7-0', 'undo', '[]')
      await redis.ask('DEL', '{turnout}:doc', '{turnout}:services', '{turnout}:parts')
      expect(await store.fleet!.rewrite(await store.position(), true)).toBe(true)
      await store.commit(position, entry(3))
      expect((await store.revisions(9)).map(({ revision }) => revision)).toEqual([3, 2, 1])
    })
  })

  test('a part that an older Turnout has written, which does not count them, is no damage', async () => {
    const store = await fresh()
    await using([store], async () => {
      await commitAll(store, 1)
      await redis.ask('HSET', '{turnout}:doc', 'revision', '2', 'mark', 'older')
      await redis.ask('HSET', '{turnout}:parts', 'more', '{}')
      expect(await store.position()).toEqual({ revision: 2, mark: 'older' })
    })
  })

  test('an instance that was heard of is there until it has left or its time is over, also where Redis has lost what it said', async () => {
    const one = await fresh()
    const other = await open()
    await using([one, other], async () => {
      const self = (id: string) => ({ id, name: `${id}:1`, version: '1', revision: 1, epoch: 1 })
      const seen = async () => (await one.fleet!.announce(self('one'))).map(({ id }) => id).sort()
      for (const id of ['two', 'three']) await other.fleet!.announce(self(id))
      expect(await seen()).toEqual(['one', 'three', 'two'])
      await redis.ask('DEL', '{turnout}:instances')
      expect(await seen()).toEqual(['one', 'three', 'two'])
      await other.fleet!.leave('two')
      expect(await seen()).toEqual(['one', 'three'])
      // An older Turnout forgets one that ends.
      await other.fleet!.announce(self('two'))
      expect(await seen()).toEqual(['one', 'three', 'two'])
      await redis.ask('HDEL', '{turnout}:instances', 'two')
      expect(await seen()).toContain('two')
      await expect.poll(seen, { interval: 100 }).toEqual(['one'])
      expect(await redis.ask('HLEN', '{turnout}:instances')).toMatch(/^:1/)
    })
  })

  test('after a time in which nobody could say anything, whoever is back first knows the others still, for as long as they may take', async () => {
    const [one, other] = [await fresh(), await open()]
    await using([one, other], async () => {
      const self = (id: string) => ({ id, name: `${id}:1`, version: '1', revision: 1, epoch: 1 })
      const seen = async () => (await one.fleet!.announce(self('one'))).map(({ id }) => id).sort()
      await other.fleet!.announce(self('two'))
      expect(await seen()).toEqual(['one', 'two'])
      await sleep(one.fleet!.lifeMs + 200)
      expect(await seen()).toEqual(['one', 'two'])
      await expect.poll(seen, { interval: 100 }).toEqual(['one'])
    })
  })

  test('a seat is given once, also where Redis has lost which were: whoever has one says so before another one is given', async () => {
    const [one, other] = [await fresh(), await open()]
    await using([one, other], async () => {
      const [mine, its] = [one.fleet!.counts, other.fleet!.counts]
      const later = () => redis.ask('HSET', '{turnout}:seats', 'since', '1')
      // As with the first that announces itself, long before a rollout.
      await one.fleet!.announce({ id: 'one', name: 'one:1', version: '1', revision: 1, epoch: 1 })
      expect(await mine.seat('r-1', null)).toBeNull()
      await later()
      expect([await mine.seat('r-1', null), await its.seat('r-1', null)]).toEqual([1, 2])
      await redis.ask('DEL', '{turnout}:seats')
      expect(await its.seat('r-1', null)).toBeNull()
      expect([await its.seat('r-1', 2), await mine.seat('r-1', 1)]).toEqual([2, 1])
      expect(await its.seat('r-1', null)).toBeNull()
      await later()
      expect(await its.seat('r-1', null)).toBe(3)
    })
  })

  test('an instance whose clock is not that of Redis says so, once, and when it is again', async () => {
    let offMs = 3_600_000
    const clock = { ...systemClock, nowMs: () => Date.now() + offMs }
    await redis.ask('FLUSHALL')
    const store = await openStore(redis.url, null, clock)
    await using([store], async () => {
      const told: string[] = []
      store.local!.listen(({ message }) => told.push(message))
      store.fleet!.listen(() => {})
      const announce = async () => {
        await store.fleet!.announce(self)
        return store.fleet!.announce(self)
      }
      const self = { id: 'a', name: 'here:1', version: '1', revision: 0, epoch: 0 }
      const [{ clockAheadMs }] = await announce()
      expect(Math.round(clockAheadMs! / 60_000)).toBe(60)
      offMs = -3_600_000
      expect(Math.round((await announce())[0].clockAheadMs! / 60_000)).toBe(-60)
      offMs = 500
      expect(await announce()).toEqual([self])
      const ahead = expect.stringMatching(/^The clock of this machine is 1 h ahead of that of Redis: /)
      expect(told).toEqual([ahead, 'The clock of this machine agrees with that of Redis again.'])
    })
  })

  test('an instance whose right to listen is taken goes on without, says so once, and hears again when it has it', async () => {
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
    const rights = /A user of its own needs `([^`]+)`/.exec(readme)![1].split(' ')
    const allow = (given: readonly string[]) => redis.ask('ACL', 'SETUSER', 'deaf', 'reset', 'on', '>secret', ...given)
    await allow(rights)
    let waits = 0
    const clock: Clock = {
      ...systemClock,
      after(delayMs, run) {
        const end = systemClock.after(delayMs, run)
        if (delayMs !== DEAF_MS) return end
        waits++
        return () => {
          waits--
          end()
        }
      },
    }
    const store = await openStore(`redis://deaf:secret@127.0.0.1:${redis.port}`, null, clock)
    await using([store], async () => {
      let heard = 0
      const told: string[] = []
      store.local!.listen(({ message }) => told.push(message))
      store.fleet!.listen(() => heard++)
      const says = () => redis.ask('PUBLISH', '{turnout}:changes', '1')
      await expect.poll(async () => (await says()) && heard).toBeGreaterThan(0)
      await allow(rights.filter((right) => !right.startsWith('&')))
      await redis.ask('CLIENT', 'KILL', 'TYPE', 'pubsub')
      await expect.poll(() => told).toEqual([expect.stringMatching(/does not allow .* half a second later\.$/s)])
      expect(await store.position()).toBeDefined()
      const connected = async () =>
        Number(/total_connections_received:(\d+)/.exec(await redis.ask('INFO', 'stats'))![1])
      for (let lost = 0; lost < 3; lost++) {
        const before = await connected()
        await redis.ask('CLIENT', 'KILL', 'USER', 'deaf')
        await expect.poll(connected).toBeGreaterThan(before + 2)
      }
      await expect.poll(() => waits).toBe(1)
      await allow(rights)
      await redis.ask('CLIENT', 'KILL', 'USER', 'deaf')
      heard = 0
      await expect.poll(async () => (await says()) && heard).toBeGreaterThan(0)
    })
  })

  test.each([
    ['redis://127.0.0.1:1', /redis:\/\/127\.0\.0\.1:1 is not there: the connection was refused/],
    ['redis://no-such-host.invalid', /is not there: its name is not known/],
  ])('%s is told in words', async (url, words) => {
    await expect(open(url)).rejects.toThrow(words)
    await expectCode(open(url), 'store_unavailable')
  })

  test('a password that is wrong, one that is missing and a user who may not are told in words, never with the password', async () => {
    const guarded = await startRedis('--requirepass', 'right')
    try {
      const url = (user: string) => `redis://${user}127.0.0.1:${guarded.port}`
      await expect(open(url(':wrong@'))).rejects.toThrow(/does not take the user or the password/)
      await expect(open(url(''))).rejects.toThrow(/does not take the user or the password/)
      await expect(open(url(':wrong@'))).rejects.not.toThrow(/:wrong/)
      const store = await open(url(':right@'))
      await store.close()
    } finally {
      await guarded.end()
    }
  })

  test('the rights that the README names for a user of its own are enough, and nothing else is allowed to it', async () => {
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
    const rights = /A user of its own needs `([^`]+)`/.exec(readme)![1].split(' ')
    await redis.ask('ACL', 'SETUSER', 'turnout', 'reset', 'on', '>secret', ...rights)
    await redis.ask('FLUSHALL')
    const store = await open(`redis://turnout:secret@127.0.0.1:${redis.port}`)
    await using([store], async () => {
      let heard = 0
      store.fleet!.listen(() => heard++)
      expect(await store.isShared()).toBe(false)
      const position = await commitAll(store, 2)
      expect(await store.revision(1)).not.toBeNull()
      expect(await store.revisions(5)).toHaveLength(2)
      await store.put('rollout:shop', 'kept')
      await store.put('key', 'value')
      await store.saveObserved({ shop: {} })
      expect(await store.observed()).toEqual({ shop: {} })
      const self = { id: 'a', name: 'here:1', version: '1', revision: 2, epoch: 1 }
      expect(await store.fleet!.announce(self)).toEqual([{ ...self, leads: true }])
      await store.fleet!.leave('a')
      const { counts } = store.fleet!
      let hurried = 0
      counts.listen(() => hurried++)
      expect(await counts.report('a', 'text', false, true)).toEqual({ count: 1, others: [] })
      await expect
        .poll(async () => {
          const { count, others } = await counts.report('b', '{"it": 1}', true, true)
          expect([count, others]).toEqual([2, [{ id: 'a', agoMs: expect.any(Number), text: 'text' }]])
          return hurried
        })
        .toBeGreaterThan(0)
      expect(await counts.seat('r-1', null)).toBeNull()
      await redis.ask('HSET', '{turnout}:seats', 'since', '1')
      const seats = [await counts.seat('r-1', null), await counts.seat('r-1', null), await counts.seat('r-2', null)]
      expect(seats).toEqual([1, 2, 1])
      await store.replace(position, { ...entry(9), services: { shop: service(9) }, revision: 9 })
      await expect.poll(() => heard).toBeGreaterThan(0)
      expect(
        (await store.get('key')) === 'value' && (await redis.ask('ACL', 'DRYRUN', 'turnout', 'GET', 'other')),
      ).toContain('has no permissions')
    })
  })
})

/** A relay to a port. Of one command, known by a text in it, it cuts the connection in place of the answer, once `meanwhile` is over. */
async function startForgetful(port: number) {
  const sockets = new Set<net.Socket>()
  let waited: { readonly text: string; readonly meanwhile: () => Promise<void> } | null = null
  const server = net.createServer((client) => {
    const target = net.connect(port, '127.0.0.1')
    let lost: (() => Promise<void>) | null = null
    const cut = () => {
      for (const socket of [client, target]) socket.destroy()
    }
    for (const socket of [client, target]) {
      sockets.add(socket)
      socket.on('error', cut).on('close', cut)
    }
    client.on('data', (bytes: Buffer) => {
      if (waited !== null && bytes.includes(waited.text)) [lost, waited] = [waited.meanwhile, null]
      target.write(bytes)
    })
    target.on('data', (bytes: Buffer) => {
      if (lost === null) client.write(bytes)
      else void lost().then(cut)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as net.AddressInfo).port,
    loseAnswerTo(text: string, meanwhile: () => Promise<void>) {
      waited = { text, meanwhile }
    },
    async end() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}
