/** All names together: against a real name server, by the real clock or one that only moves when told. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import os from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { type Clock, systemClock } from '../../src/clock.ts'
import { type NameNews, Names, type NamesOptions } from '../../src/names/names.ts'
import { bulk } from '../helpers/bulk.ts'
import { addresses, type NameServer, services, startNameServer, type Zone } from '../helpers/name-server.ts'
import { temporaryFolder } from '../helpers/proxy.ts'

/** Real time, but for what is due in more than four seconds: that comes when told. */
function hurriedClock() {
  const later = new Set<() => void>()
  let skippedMs = 0
  const clock: Clock = {
    ...systemClock,
    monotonicMs: () => systemClock.monotonicMs() + skippedMs,
    after(delayMs, run) {
      if (delayMs < 4_500) return systemClock.after(delayMs, run)
      later.add(run)
      return () => void later.delete(run)
    },
  }
  /** Lets so much time go by. */
  const skip = (ms: number) => {
    skippedMs += ms
    const due = [...later]
    later.clear()
    for (const run of due) run()
  }
  return { clock, skip, waiting: () => later.size }
}

async function setup(zones: Record<string, Zone>, options: Partial<NamesOptions> = {}) {
  const server = await startNameServer(zones)
  const folder = temporaryFolder()
  const files = { hosts: join(folder, 'hosts'), resolvConf: join(folder, 'resolv.conf') }
  const hurried = hurriedClock()
  const moved: string[] = []
  const news: NameNews[] = []
  const names = new Names(
    { clock: hurried.clock, random: () => 0.5, moved: (host) => moved.push(host), tell: (one) => news.push(one) },
    { servers: () => [server.address], files, ...options },
  )
  onTestFinished(() => names.close())
  const at = (host: string) => names.of(host).addresses.map(({ address }) => address)
  /** Lets the time of all names come again and again, until it is so. */
  const eventually = (what: () => void) =>
    vi.waitFor(
      () => {
        hurried.skip(61_000)
        what()
      },
      { timeout: 10_000, interval: 20 },
    )
  return { server, files, names, moved, news, at, eventually, ...hurried }
}

describe('what targets are told', () => {
  test('an address needs nobody to be asked', async () => {
    const { names, at, server } = await setup({})
    await names.learn(['10.0.0.1', '::1'], 4_000)
    expect([at('10.0.0.1'), at('::1')]).toEqual([['10.0.0.1'], ['::1']])
    expect(names.counts().names).toBe(0)
    expect(server.asked).toEqual([])
  })

  test('many targets with one name are one lookup', async () => {
    const { names, at, server } = await setup({ 'api.test': { answers: addresses(['10.0.0.1']) } })
    await Promise.all([1, 2, 3].map(() => names.learn(['api.test', 'api.test'], 4_000)))
    expect(at('api.test')).toEqual(['10.0.0.1'])
    expect(server.asked.filter((question) => question.endsWith(' A'))).toHaveLength(1)
  })

  test('what may have moved is looked up again at once when that is wished, but not twice in five seconds', async () => {
    const { names, at, server, clock, skip } = await setup({ 'api.test': { answers: addresses(['10.0.0.1'], 60) } })
    const asked = () => server.asked.filter((question) => question.endsWith(' A')).length
    await names.learn(['api.test'], 4_000)
    names.want(new Set(['api.test']))
    server.set('api.test', { answers: addresses(['10.0.0.2'], 60) })
    names.again('http://api.test:80')
    await new Promise((resolve) => clock.after(50, () => resolve(null)))
    expect([at('api.test'), asked()]).toEqual([['10.0.0.1'], 1])
    const lookedMs = clock.monotonicMs()
    vi.spyOn(clock, 'monotonicMs').mockReturnValue(lookedMs + 5_000)
    for (let n = 0; n < 3; n++) names.again('http://api.test:80')
    await vi.waitFor(() => expect(at('api.test')).toEqual(['10.0.0.2']))
    expect(asked()).toBe(2)
    // It goes on by its TTL, once.
    skip(61_000)
    await vi.waitFor(() => expect(asked()).toBe(3))
    names.again('http://nobody.test:80')
  })

  test('a new address is followed when the TTL is over, and what has gone is let go', async () => {
    const { names, at, server, moved, eventually } = await setup({
      'api.test': { answers: addresses(['10.0.0.1', '10.0.0.2']) },
    })
    await names.learn(['api.test'], 4_000)
    names.want(new Set(['api.test']))
    server.set('api.test', { answers: addresses(['10.0.0.2', '10.0.0.3']) })
    await eventually(() => expect(at('api.test')).toEqual(['10.0.0.2', '10.0.0.3']))
    expect(moved).toEqual(['api.test', 'api.test'])
  })

  test('whatever fails, what was known stays; it is told once, and once when it is over', async () => {
    const { names, at, server, news, moved, eventually } = await setup({
      'api.test': { answers: addresses(['10.0.0.1']) },
    })
    await names.learn(['api.test'], 4_000)
    names.want(new Set(['api.test']))
    for (const zone of [{ rcode: 'servfail' }, { rcode: 'nxdomain' }, {}, null] as const) {
      server.set('api.test', zone)
      const { lookups } = names.counts()
      await eventually(() => expect(names.counts().lookups).toBeGreaterThan(lookups + 1))
      expect(at('api.test')).toEqual(['10.0.0.1'])
    }
    expect(names.of('api.test').fault).toMatchObject({ reason: 'not_found' })
    server.set('api.test', { answers: addresses(['10.0.0.1']) })
    await eventually(() => expect(names.of('api.test').fault).toBeNull())
    expect(news.map(({ message }) => message)).toEqual([
      'api.test cannot be resolved: the name server failed (SERVFAIL); 10.0.0.1 stays in use',
      'api.test is at 10.0.0.1',
    ])
    expect(moved).toEqual(['api.test'])
    expect(names.counts()).toMatchObject({ failing: 0, names: 1 })
    expect(names.counts().failures.server_failure).toBeGreaterThan(0)
  })

  test('a name that is not there yet is found soon after it is', async () => {
    const { names, at, server, news } = await setup({})
    names.want(new Set(['late.test']))
    await names.learn(['late.test'], 4_000)
    expect(at('late.test')).toEqual([])
    server.set('late.test', { answers: addresses(['10.0.0.1']) })
    await vi.waitFor(() => expect(at('late.test')).toEqual(['10.0.0.1']))
    expect(news.map(({ message }) => message)).toEqual([
      'late.test cannot be resolved: there is no such name; it has no address',
      'late.test is at 10.0.0.1',
    ])
  })

  test("a name that is nobody's any more is asked for no longer, and forgotten", async () => {
    const { names, server, eventually } = await setup({ 'api.test': { answers: addresses(['10.0.0.1']) } })
    await names.learn(['api.test'], 4_000)
    names.want(new Set(['api.test']))
    names.want(new Set())
    const asked = server.asked.length
    await eventually(() => expect(names.counts().names).toBe(0))
    expect(server.asked).toHaveLength(asked)
    expect(names.of('api.test').addresses).toEqual([])
  })

  test('a name that changes with every answer is told once a minute', async () => {
    const { names, at, server, news, clock, skip } = await setup({
      'api.test': { answers: addresses(['10.0.0.1'], 0) },
    })
    await names.learn(['api.test'], 4_000)
    names.want(new Set(['api.test']))
    const startedMs = clock.monotonicMs()
    for (let i = 2; clock.monotonicMs() - startedMs < 170_000; i++) {
      server.set('api.test', { answers: addresses([`10.0.0.${i}`], 0) })
      await vi.waitFor(() => {
        skip(5_000)
        expect(at('api.test')).toEqual([`10.0.0.${i}`])
      })
    }
    expect(news.length).toBeGreaterThan(1)
    expect(news.length).toBeLessThan(5)
  })
})

describe('nobody waits for a dead name server', () => {
  test('learning ends when its time is over, and goes on in the background', async () => {
    const { names, at } = await setup({ 'slow.test': { answers: addresses(['10.0.0.1']), delayMs: 400 } })
    const startedMs = performance.now()
    await names.learn(['slow.test'], 100)
    expect(performance.now() - startedMs).toBeLessThan(350)
    expect(at('slow.test')).toEqual([])
    await vi.waitFor(() => expect(at('slow.test')).toEqual(['10.0.0.1']))
  })

  test('hundreds of silent names hold up no name that is answered', async () => {
    // More than are looked up at the same time, so that some always wait.
    const silent = Array.from({ length: bulk(300, 600) }, (_, i) => `dead${i}.test`)
    const zones = Object.fromEntries(silent.map((name) => [name, { silent: true as const }]))
    const { names, at, server, skip } = await setup({ ...zones, 'api.test': { answers: addresses(['10.0.0.1']) } })
    await names.learn(['api.test'], 4_000)
    names.want(new Set(['api.test', ...silent]))
    await vi.waitFor(() => expect(names.counts().failing).toBe(silent.length))
    server.set('api.test', { answers: addresses(['10.0.0.2']) })
    const startedMs = performance.now()
    skip(61_000)
    await vi.waitFor(() => expect(at('api.test')).toEqual(['10.0.0.2']), { timeout: 10_000, interval: 10 })
    expect(performance.now() - startedMs).toBeLessThan(2_000)
  })

  test('a name that is answered is found behind hundreds of silent ones that are as new as it is', async () => {
    const silent = Array.from({ length: 600 }, (_, i) => `dead${i}.test`)
    const zones = Object.fromEntries(silent.map((name) => [name, { silent: true as const }]))
    const { names, at } = await setup({ ...zones, 'api.test': { answers: addresses(['10.0.0.1']) } })
    const startedMs = performance.now()
    void names.learn([...silent, 'api.test'], 10_000)
    await vi.waitFor(() => expect(at('api.test')).toEqual(['10.0.0.1']), { timeout: 10_000, interval: 10 })
    // It is asked for after one second, and again should a packet of so many be lost; after two rounds of silence it would be seven.
    expect(performance.now() - startedMs).toBeLessThan(5_000)
  })
})

describe('what the system says', () => {
  test('a change of resolv.conf, of the name servers and of the hosts file is followed', async () => {
    const other = await startNameServer({ 'api.b.test': { answers: addresses(['10.0.0.2']) } })
    let servers: NameServer[] = []
    const { names, at, server, files, eventually } = await setup(
      { 'api.a.test': { answers: addresses(['10.0.0.1']) } },
      { servers: () => servers.map(({ address }) => address) },
    )
    servers = [server]
    writeFileSync(files.resolvConf, 'search a.test')
    await names.learn(['api'], 4_000)
    names.want(new Set(['api']))
    expect(at('api')).toEqual(['10.0.0.1'])
    writeFileSync(files.resolvConf, 'search b.test')
    servers = [other]
    await eventually(() => expect(at('api')).toEqual(['10.0.0.2']))
    writeFileSync(files.hosts, '10.0.0.3 api')
    await eventually(() => expect(at('api')).toEqual(['10.0.0.3']))
    writeFileSync(files.hosts, '')
    await eventually(() => expect(at('api')).toEqual(['10.0.0.2']))
  })

  test('without these files, and with folders in their place, names are asked for as they are', async () => {
    const { names, at, files } = await setup({ api: { answers: addresses(['10.0.0.1']) } })
    mkdirSync(files.hosts)
    await names.learn(['api', 'localhost'], 4_000)
    expect([at('api'), at('localhost')]).toEqual([['10.0.0.1'], ['127.0.0.1']])
  })

  test('with a file that leads back to itself, and where the system does not tell its addresses, too', async () => {
    vi.spyOn(os, 'networkInterfaces').mockImplementation(() => {
      throw new Error('EMFILE')
    })
    syncBuiltinESMExports()
    onTestFinished(() => {
      vi.restoreAllMocks()
      syncBuiltinESMExports()
    })
    const { names, at, files } = await setup({ api: { answers: addresses(['10.0.0.1']) } })
    symlinkSync(files.hosts, files.hosts)
    await names.learn(['api'], 4_000)
    expect(at('api')).toEqual(['10.0.0.1'])
  })

  test('what cannot be asked at all is a lookup that has failed, and is tried again', async () => {
    let server: string | null = null
    const servers = () => {
      if (server === null) throw new Error('too many open files')
      return [server]
    }
    const {
      names,
      at,
      news,
      server: its,
      eventually,
    } = await setup({ api: { answers: addresses(['10.0.0.1']) } }, { servers })
    await names.learn(['api'], 4_000)
    names.want(new Set(['api']))
    expect(news.at(-1)?.state.fault).toEqual({ reason: 'other', message: 'the lookup failed: too many open files' })
    server = its.address
    await eventually(() => expect(at('api')).toEqual(['10.0.0.1']))
    expect(names.counts().failures.other).toBeGreaterThan(0)
  })
})

describe('SRV records', () => {
  const web = 'SRV _web._tcp.test'
  const zones = {
    '_web._tcp.test': { answers: services(['0 1 81 a.test', '0 1 82 b.test']) },
    'a.test': { answers: addresses(['10.0.0.1']) },
    'b.test': { answers: addresses(['10.0.0.2']) },
    'c.test': { answers: addresses(['10.0.0.3']) },
  }

  test('places are learnt with all their hosts, and followed when a record comes and another goes', async () => {
    const { names, at, server, moved, eventually } = await setup(zones)
    await names.learn([web], 4_000)
    expect(at(web)).toEqual(['10.0.0.1:81', '10.0.0.2:82'])
    names.want(new Set([web]))
    server.set('_web._tcp.test', { answers: services(['0 1 83 a.test', '0 1 84 c.test']) })
    await eventually(() => expect(at(web)).toEqual(['10.0.0.1:83', '10.0.0.3:84']))
    expect(moved).toContain(web)
    // The host that no record names any more is forgotten.
    await eventually(() => expect(names.counts().names).toBe(3))
  })

  test('an address of a host moves the place, though the records stay', async () => {
    const { names, at, server, eventually } = await setup(zones)
    await names.learn([web], 4_000)
    names.want(new Set([web]))
    server.set('a.test', { answers: addresses(['10.0.0.9']) })
    await eventually(() => expect(at(web)).toEqual(['10.0.0.2:82', '10.0.0.9:81']))
  })

  test('what was known stays when the name, or all of its hosts, are gone', async () => {
    const { names, at, server, eventually } = await setup(zones)
    await names.learn([web], 4_000)
    names.want(new Set([web]))
    for (const name of Object.keys(zones)) server.set(name, null)
    await eventually(() => expect(names.of(web).fault).toMatchObject({ reason: 'not_found' }))
    expect(at(web)).toEqual(['10.0.0.1:81', '10.0.0.2:82'])
  })

  test('places beyond the limit are counted once, not with their hosts again', async () => {
    const many = Array.from({ length: 70 }, (_, n) => `10.1.0.${n}`)
    const { names, eventually } = await setup({ ...zones, 'a.test': { answers: addresses(many), truncated: true } })
    await names.learn([web], 4_000)
    names.want(new Set([web]))
    // 64 of `a` and one of `b`, of which 64 are used; `a` has 6 more.
    await eventually(() => expect(names.counts().unusedAddresses).toBe(7))
    expect(names.of(web).unused).toBe(7)
  })

  test('of more records than are looked up the same ones count in whatever order they come, and what is left out is told once', async () => {
    const texts = Array.from({ length: 70 }, (_, n) => `0 1 ${8000 + n} a.test`)
    const answer = (list: string[]) => ({ answers: services(list), truncated: true })
    const { names, at, server, news, moved, eventually } = await setup({ ...zones, '_web._tcp.test': answer(texts) })
    await names.learn([web], 4_000)
    names.want(new Set([web]))
    const [first, moves] = [at(web), moved.length]
    for (let turn = 0; turn < 3; turn++) {
      texts.push(...texts.splice(0, 23))
      server.set('_web._tcp.test', answer(texts))
      const { lookups } = names.counts()
      await eventually(() => expect(names.counts().lookups).toBeGreaterThan(lookups + 4))
      expect(at(web)).toEqual(first)
    }
    expect([first.length, moved.length, names.counts().unusedAddresses]).toEqual([64, moves, 6])
    const left = expect.stringMatching(/ and 56 more; 6 more of its records and addresses are not used: 64 at most$/)
    expect(news.map(({ message }) => message)).toEqual([left])
    server.set('_web._tcp.test', answer(texts.slice(0, 60)))
    await eventually(() => expect(news.at(-1)?.message).toMatch(/^SRV _web._tcp.test is at .* and 52 more$/))
  })

  test('when nobody wants the name, its hosts are forgotten, too', async () => {
    const { names, eventually } = await setup(zones)
    await names.learn([web], 4_000)
    names.want(new Set())
    await eventually(() => expect(names.counts().names).toBe(0))
  })
})
