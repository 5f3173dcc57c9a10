/** The files that requests are looked up in: read, watched, given to the threads, told. */

import { execFileSync } from 'node:child_process'
import { lookup } from 'node:dns'
import { mkdirSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { validateService } from '../../src/config/check.ts'
import type { Services, Spec } from '../../src/config/schema.ts'
import type { NewEvent } from '../../src/control/events.ts'
import { Countries, loadCountries } from '../../src/dataplane/lookups/countries.ts'
import { type Lookup, Lookups } from '../../src/dataplane/lookups/lookups.ts'
import { KEYS_MAX } from '../../src/lookups/content.ts'
import { checkLookups, FILES_MAX, LookupFiles } from '../../src/lookups/lookups.ts'
import { startLookups } from '../../src/lookups/start.ts'
import { WatchedFile } from '../../src/lookups/watched-file.ts'
import { mmdbOf } from '../helpers/mmdb.ts'
import { temporaryFolder } from '../helpers/proxy.ts'
import { startUpstream } from '../helpers/upstream.ts'

function services(whens: readonly unknown[]): Services {
  const checked = validateService({
    routes: [{}],
    pools: { blue: { targets: ['http://a'] } },
    rules: whens.map((when, index) => ({ name: `r${index}`, when, to: 'blue' })),
  })
  if ('faults' in checked) throw new Error(JSON.stringify(checked.faults))
  return { shop: checked.spec }
}
const naming = (...files: string[]) => services(files.map((file) => ({ visitor: { file } })))

/** Files in a folder of their own, and what a thread finds in them; the clock ticks when told. */
function stage(country?: Spec['country'], jwt?: Spec['jwt']) {
  const directory = temporaryFolder()
  const write = (file: string, text: string) => writeFileSync(join(directory, file), text)
  const ticks = new Set<() => void>()
  const given: Lookup[] = []
  const events: NewEvent[] = []
  const warnings: string[] = []
  const thread = new Lookups()
  const files = new LookupFiles({
    clock: {
      after: () => () => {},
      every(_ms, run) {
        ticks.add(run)
        return () => void ticks.delete(run)
      },
      nowMs: () => 17,
    },
    find: lookup,
    directory,
    country,
    jwt,
    secret: () => [1, 2],
    give(lookup) {
      given.push(lookup)
      thread.take(lookup)
    },
    takeBack: (lookup) => thread.forget(lookup),
    log: { info() {}, warn: (_data: unknown, message?: string) => void warnings.push(`${message}`) },
  })
  onTestFinished(() => files.close())
  /** The returned function tells of a change, of one service or of all (null), after which these are live. */
  const follow = (live: Services) => {
    type Listener = (event: { type: string; service: string | null }) => void
    const listeners = new Set<Listener>()
    let present = live
    const control = {
      snapshot: () => ({ services: present }),
      subscribe: (listener: Listener) => {
        listeners.add(listener)
        return () => void listeners.delete(listener)
      },
      publish: (event: NewEvent) => void events.push(event),
    }
    files.follow(control as unknown as Parameters<LookupFiles['follow']>[0])
    return (next: Services, service: string | null) => {
      present = next
      for (const listener of listeners) listener({ type: 'change', service })
    }
  }
  /** Looks until something is so. */
  const until = (assert: () => void) =>
    vi.waitFor(
      () => {
        for (const tick of ticks) tick()
        assert()
      },
      { interval: 5 },
    )
  return { directory, write, ticks, given, events, warnings, thread, files, follow, until }
}

test('each file is read once, from the folder of the config, and found by the name that it has there', async () => {
  const { write, files, given, thread, directory } = stage()
  write('a.txt', 'u-1\n')
  write('b.txt', 'u-2\nu-3\n')
  const b = join(directory, 'b.txt')
  const nested = { any: [{ all: [{ not: { visitor: { file: 'a.txt' } } }] }, { visitor: { file: b } }] }
  await files.open(services([{ visitor: { file: 'a.txt' } }, nested]))
  expect(given.map(({ name }) => name)).toEqual(['a.txt', b])
  expect([thread.isListed('a.txt', 'u-1'), thread.isListed('a.txt', 'u-2'), thread.isListed(b, 'u-2')]).toEqual([
    true,
    false,
    true,
  ])
  expect(thread.isListed('b.txt', 'u-2')).toBe(false)
  expect(files.told()).toEqual([
    { kind: 'visitors', name: 'a.txt', entries: 1, content: '1 visitors', readAtMs: 17, fault: null },
    { kind: 'visitors', name: b, entries: 2, content: '2 visitors', readAtMs: 17, fault: null },
  ])
})

test('every file that cannot be used at the start is a fault, with its place and its path', async () => {
  const { write, files, directory, given, thread } = stage()
  write('good', 'u\n')
  write('empty', '')
  write('long', `u\n${'u'.repeat(1_025)}`)
  writeFileSync(join(directory, 'latin1'), Buffer.from('gr\xf6\xdfe', 'latin1'))
  writeFileSync(join(directory, 'large'), '')
  truncateSync(join(directory, 'large'), 32 * 1_048_576 + 1)
  mkdirSync(join(directory, 'folder'))
  execFileSync('mkfifo', [join(directory, 'pipe')])
  const names = ['good', 'gone', 'empty', 'long', 'latin1', 'large', 'folder', 'pipe']
  const spec = services([{ all: names.map((file) => ({ visitor: { file } })) }])
  const faults = [
    'gone cannot be read: there is no such file',
    'empty is empty',
    'long line 2 has more than 1024 bytes',
    'latin1 is no text in UTF-8',
    'large has more than 33554432 bytes',
    'folder is no regular file',
    'pipe is no regular file',
  ].map((message, at) => ({
    pointer: `/services/shop/rules/0/when/all/${at + 1}/visitor/file`,
    message: join(directory, message),
  }))
  await expect(files.open(spec)).rejects.toMatchObject({ code: 'invalid', faults })
  await expect(checkLookups({ services: spec }, directory)).rejects.toMatchObject({ code: 'invalid', faults })
  // The thread has had one that nobody asks for.
  expect([given.length, files.told(), thread.isListed('good', 'u')]).toEqual([1, [], false])
  const many = Array.from({ length: FILES_MAX }, (_, at) => `f${at}`)
  for (const file of many) write(file, 'u')
  await expect(files.open(naming(...many, 'good'))).rejects.toMatchObject({
    faults: [{ message: `${join(directory, 'good')} is one file too many: at most ${FILES_MAX} are read` }],
  })
})

test('a URL that nobody can be asked by is a fault of the check and of the start, whatever it is for', async () => {
  const country = { file: 'HTTPS://%zz/' }
  const { files, directory, given } = stage(country)
  const spec = naming('http://you:secret@127.0.0.1:9/list', 'http://127.0.0.1:9/list')
  const faults = [
    { pointer: '/services/shop/rules/0/when/visitor/file', message: 'a name and password in the URL are not sent' },
    { pointer: '/country/file', message: '"HTTPS://%zz/" is not an http or https URL' },
  ]
  await expect(files.open(spec)).rejects.toMatchObject({ code: 'invalid', faults })
  await expect(checkLookups({ country, services: spec }, directory)).rejects.toMatchObject({ code: 'invalid', faults })
  expect([given, files.told()]).toEqual([[], []])
})

test('a file that has changed is read again, and one that cannot be used changes nothing and is told once', async () => {
  const { write, files, directory, events, thread, follow, until, given } = stage()
  const path = join(directory, 'a.txt')
  const isIn = (key: string) => thread.isListed('a.txt', key)
  write('a.txt', 'u-1\n')
  await files.open(naming('a.txt'))
  follow(naming('a.txt'))
  write('a.txt', 'u-2\nu-3\n')
  await until(() => expect(isIn('u-2')).toBe(true))
  expect([isIn('u-1'), files.told()[0].entries]).toEqual([false, 2])
  expect(events).toEqual([
    {
      type: 'lookup',
      service: null,
      message: 'a.txt was read again: 2 visitors',
      data: { file: 'a.txt', failing: false },
    },
  ])
  const faults: [() => void, string][] = [
    [() => write('a.txt', ''), 'is empty'],
    [() => write('a.txt', 'u\0'), 'line 1 has a control character, which no visitor key in a line of text has'],
    [() => rmSync(path), 'cannot be read: there is no such file'],
  ]
  for (const [damage, fault] of faults) {
    damage()
    await until(() => expect(files.told()[0].fault).toBe(fault))
    for (let look = 0; look < 5; look++) await until(() => {})
    expect([isIn('u-2'), files.told()[0].entries]).toEqual([true, 2])
    expect(events.at(-1)).toMatchObject({
      message: `a.txt ${fault}; what was read before (2 visitors) stays in use`,
      data: { failing: true },
    })
  }
  expect(events).toHaveLength(1 + faults.length)
  write('a.txt', 'u-4\n')
  await until(() => expect(files.told()[0].fault).toBe(null))
  expect([isIn('u-4'), isIn('u-2'), given.length]).toEqual([true, false, 3])
})

test('a list that has shrunk by more than half is taken, and asked about in a warning', async () => {
  const { write, files, events, warnings, follow, until } = stage()
  const list = (count: number) => Array.from({ length: count }, (_, n) => `u-${n}\n`).join('')
  write('a.txt', list(1_000))
  await files.open(naming('a.txt'))
  follow(naming('a.txt'))
  for (const count of [500, 249]) {
    write('a.txt', list(count))
    await until(() => expect(files.told()[0].entries).toBe(count))
  }
  expect(events.map(({ message }) => message)).toEqual([
    'a.txt was read again: 500 visitors',
    'a.txt was read again: 249 visitors, where there were 500: is it whole?',
  ])
  expect(warnings).toEqual([events[1].message])
})

test('a file that is still written is left alone until it is whole', async () => {
  const path = join(temporaryFolder(), 'a.txt')
  const taken: number[] = []
  const clock = { every: () => () => {}, nowMs: () => 0 }
  const take = async (bytes: Uint8Array) => void taken.push(bytes.length)
  const file = new WatchedFile({ path, bytesMax: 1_000, clock, take, tell() {} })
  writeFileSync(path, 'u-1\n')
  await file.open()
  for (let part = 1; part <= 20; part++) {
    writeFileSync(path, 'u-2\n'.repeat(part + 1))
    await file.look()
  }
  expect(taken).toEqual([4])
  for (let look = 0; look < 3; look++) await file.look()
  expect(taken).toEqual([4, 84])
})

test('a link that leads elsewhere is followed, as those of Kubernetes mounts', async () => {
  const { write, files, thread, until, directory } = stage()
  for (const [folder, key] of [
    ['..1', 'u-1'],
    ['..2', 'u-2'],
  ]) {
    mkdirSync(join(directory, folder))
    write(join(folder, 'a.txt'), key)
  }
  symlinkSync('..1', join(directory, '..data'))
  symlinkSync(join('..data', 'a.txt'), join(directory, 'a.txt'))
  await files.open(naming('a.txt'))
  symlinkSync('..2', join(directory, '..new'))
  renameSync(join(directory, '..new'), join(directory, '..data'))
  await until(() => expect(thread.isListed('a.txt', 'u-2')).toBe(true))
})

test('only files of the config may be named by a change, and what was named before may stay', async () => {
  const { write, files, events, follow } = stage()
  write('a.txt', 'u-1\n')
  const [named, others] = [naming('a.txt'), services([{ path: '/' }, { not: { visitor: { file: '/etc/passwd' } } }])]
  await files.open(named)
  expect(files.faults(named, others, ['shop'])).toEqual([
    {
      pointer: '/shop/rules/1/when/not/visitor/file',
      message: '"/etc/passwd" is no file that the config file of this Turnout names, and no other is read',
    },
  ])
  expect(files.faults({}, others, ['shop'])).toHaveLength(1)
  expect(files.faults(others, services([...others.shop.rules.map(({ when }) => when)]), ['shop'])).toEqual([])
  expect([files.faults(others, named, ['shop']), files.faults(named, {}, ['shop'])]).toEqual([[], []])
  // Out of a store that others write.
  follow(others)
  const fault = 'the config file does not name it, so nobody is in it'
  expect(files.told()[1]).toEqual({
    kind: 'visitors',
    name: '/etc/passwd',
    entries: 0,
    content: '',
    readAtMs: 0,
    fault,
  })
  expect(events.map(({ message }) => message)).toEqual([`/etc/passwd: ${fault}`])
})

test('a file that neither the config nor a live service names is let go after the reload or the change that made it so', async () => {
  const { write, files, follow, ticks, thread, events } = stage()
  for (const file of ['a.txt', 'b.txt']) write(file, 'u-1\n')
  await files.open(naming('a.txt'))
  const { shop: first } = naming('a.txt')
  const { shop: second } = naming('b.txt')
  const changed = follow({ shop: first, other: first })
  const had = () => ['a.txt', 'b.txt'].filter((file) => thread.isListed(file, 'u-1'))
  const outcome = await files.openAgain({ shop: second }, async () => {
    expect(had()).toEqual(['a.txt', 'b.txt'])
    changed({ shop: second, other: first }, 'shop')
    return 'applied'
  })
  expect(outcome).toBe('applied')
  expect(had(), 'another service names it').toEqual(['a.txt', 'b.txt'])
  expect(files.faults({}, { new: first }, ['new']), 'but no more may').toHaveLength(1)
  changed({ shop: second, other: second }, 'other')
  expect([had(), files.told().map(({ name }) => name), ticks.size]).toEqual([['b.txt'], ['b.txt'], 1])
  expect(events).toMatchObject([
    {
      type: 'lookup',
      message: 'a.txt is no longer read: neither the config file nor a service names it',
      data: { file: 'a.txt', failing: false },
    },
  ])
})

test('however often the config names another file, no more are read than it needs, and one that is refused may be named by nobody', async () => {
  const { write, files, follow, thread } = stage()
  const { shop } = naming()
  const mayName = (file: string) => files.faults({ shop }, naming(file), ['shop']).length === 0
  const told = () => files.told().map(({ name }) => name)
  const refuse = async (file: string, live: string) => {
    write(file, 'u-1\n')
    const reload = files.openAgain(naming(file), async () => {
      expect([mayName(live), mayName(file)], 'while it is applied').toEqual([false, true])
      throw new Error('refused')
    })
    await expect(reload).rejects.toThrow('refused')
    expect([mayName(live), mayName(file)]).toEqual([true, false])
    // The store may have it all the same: it is kept until the next change, or the next file.
    expect(told()).toEqual([live, file])
  }
  write('day-0', 'u-1\n')
  await files.open(naming('day-0'))
  const changed = follow(naming('day-0'))
  for (let at = 1; at <= FILES_MAX; at++) {
    const [live, next] = [`day-${at - 1}`, `day-${at}`]
    await refuse(`draft-${at}`, live)
    await refuse(`other-${at}`, live)
    if (at % 2 === 0) {
      changed(naming(live), 'shop')
      expect(told()).toEqual([live])
    }
    write(next, 'u-1\n')
    await files.openAgain(naming(next), async () => changed(naming(next), 'shop'))
    expect(told()).toEqual([next])
  }
  expect(thread.isListed(`day-${FILES_MAX}`, 'u-1')).toBe(true)
})

test('a file that is let go while it is read is given to nobody', async () => {
  const { write, files, follow, ticks, thread, given } = stage()
  write('a.txt', 'u-1\n')
  await files.open(naming('a.txt'))
  follow(naming())
  const look = vi.spyOn(WatchedFile.prototype, 'look')
  onTestFinished(() => look.mockRestore())
  write('a.txt', 'u-1\nu-2\n')
  // The second look that sees the same reads it.
  for (const tick of ticks) tick()
  await look.mock.results[0].value
  for (const tick of ticks) tick()
  await files.openAgain(naming(), async () => {})
  await look.mock.results[1].value
  expect([given.length, thread.isListed('a.txt', 'u-1')]).toEqual([1, false])
})

test('what is let go is forgotten by the workers and by the main thread', async () => {
  const directory = temporaryFolder()
  for (const [file, key] of [
    ['a.txt', 'u-1'],
    ['page.html', 'closed'],
  ])
    writeFileSync(join(directory, file), key)
  const taken: unknown[] = []
  const workers = { give() {}, takeBack: (named: unknown) => taken.push(named) }
  const log = { info() {}, warn() {} }
  const { lookups, files } = startLookups({}, directory, { log, clock: systemClock, find: lookup }, workers)
  onTestFinished(() => files.close())
  const { shop } = naming('a.txt')
  const maintenance = { file: 'page.html' } as Services['shop']['maintenance']
  await files.open({ shop: { ...shop, maintenance } })
  const had = () => [lookups.isListed('a.txt', 'u-1'), lookups.pageOf('page.html')?.toString()]
  expect(had()).toEqual([true, 'closed'])
  const control = { snapshot: () => ({ services: {} }), subscribe: () => () => {}, publish() {} }
  files.follow(control as unknown as Parameters<LookupFiles['follow']>[0])
  await files.open({})
  expect(had()).toEqual([false, undefined])
  expect(taken).toEqual([
    { kind: 'visitors', name: 'a.txt' },
    { kind: 'page', name: 'page.html' },
  ])
})

test('of two configs that are read at once, one that is refused takes nothing from the other', async () => {
  const { write, files, follow, thread } = stage()
  write('a.txt', 'u-1\n')
  follow(naming())
  const [first, second] = [files.open(naming('a.txt')), files.open(naming('a.txt', 'missing.txt'))]
  await expect(second).rejects.toMatchObject({ code: 'invalid' })
  await first
  expect(thread.isListed('a.txt', 'u-1')).toBe(true)
})

test('what is closed is looked at no more', async () => {
  const { write, files, ticks } = stage()
  write('a.txt', 'u-1\n')
  await files.open(naming('a.txt'))
  expect(ticks.size).toBe(1)
  files.close()
  expect(ticks.size).toBe(0)
})

test('a database of countries is read, found by its addresses, and read again', async () => {
  const { directory, files, thread, until, events, follow, given } = stage({ file: 'geo.mmdb' })
  const path = join(directory, 'geo.mmdb')
  const write = (countries: Record<string, string>) => writeFileSync(path, mmdbOf(countries))
  write({ '198.51.100.0/24': 'AT', '198.51.100.128/25': 'DE', '2001:db8::/32': 'FR' })
  await files.open(services([{ country: ['DE'] }]))
  follow(services([{ country: ['DE'] }]))
  const all = ['198.51.100.1', '198.51.100.200', '198.51.101.1', '2001:db8:7::1', '2001:db9::1', '']
  expect(all.map((address) => thread.countryOf(address))).toEqual(['AT', 'DE', null, 'FR', null, null])
  const content = 'countries of Test-Country, 2026-01-01'
  expect(files.told()).toMatchObject([{ kind: 'countries', name: 'geo.mmdb', content, readAtMs: 17, fault: null }])
  // Not whole: what says what it is stands at the end.
  writeFileSync(path, mmdbOf({ '198.51.100.0/24': 'SE' }).subarray(0, -20))
  await until(() => expect(files.told()[0].fault).toBe('is no database in the format .mmdb'))
  expect(events.at(-1)?.message).toBe(
    `geo.mmdb is no database in the format .mmdb; what was read before (${content}) stays in use`,
  )
  expect(thread.countryOf('198.51.100.1')).toBe('AT')
  write({ '198.51.100.0/24': 'SE' })
  await until(() => expect(thread.countryOf('198.51.100.1')).toBe('SE'))
  expect(given).toHaveLength(2)
})

test('a database of IPv4 alone knows no IPv6 address, and one of flat codes is read, too', async () => {
  await loadCountries()
  const of = (bytes: Buffer) => {
    const memory = new SharedArrayBuffer(bytes.length)
    new Uint8Array(memory).set(bytes)
    return new Countries(memory)
  }
  const four = of(mmdbOf({ '32.0.0.0/3': 'DE' }, { version: 4 }))
  expect(['33.1.2.3', '2001:db8::1'].map((address) => four.of(address))).toEqual(['DE', null])
  const flat = of(mmdbOf({ '10.0.0.0/8': 'at', '11.0.0.0/8': 'XX', '12.0.0.0/8': 'Austria' }, { isFlat: true }))
  expect(['10.1.1.1', '11.1.1.1', '12.1.1.1'].map((address) => flat.of(address))).toEqual(['AT', null, null])
})

test('countries that nobody tells are a fault of the config and of a change, and are told where they are in the store', async () => {
  const { files, events, follow } = stage()
  const spec = services([{ any: [{ country: ['DE'] }, { path: '/a' }] }])
  const message = 'the config file says nobody who tells the country of a client (country), so nobody is in one'
  await expect(files.open(spec)).rejects.toMatchObject({
    faults: [{ pointer: '/services/shop/rules/0/when/any/0/country', message }],
  })
  expect(files.faults({}, spec, ['shop'])).toEqual([{ pointer: '/shop/rules/0/when/any/0/country', message }])
  expect(files.faults(spec, spec, ['shop'])).toEqual([])
  follow(spec)
  expect([events.map((event) => event.message), files.told().map(({ fault }) => fault)]).toEqual([[message], [message]])
  const told = stage({ header: 'cf-ipcountry' })
  await told.files.open(spec)
  expect(told.files.faults({}, spec, ['shop'])).toEqual([])
})

test('the public keys of a file are given without what else stands there, and a file without any is a fault', async () => {
  const { generateKeyPairSync } = await import('node:crypto')
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { write, files, given, directory, until } = stage(undefined, { jwks: 'jwks.json' })
  const fault = async (text: string) => {
    write('jwks.json', text)
    const error = await files.open({}).catch((caught: { faults: unknown }) => caught.faults)
    return error
  }
  const message = (words: string) => [{ pointer: '/jwt/jwks', message: `${join(directory, 'jwks.json')} ${words}` }]
  expect(await fault('{"keys":1}')).toEqual(message('is no set of keys (JWKS)'))
  expect(await fault('nothing')).toEqual(message('is no set of keys (JWKS)'))
  expect(await fault('{"keys":[{"kty":"oct","k":"AAAA"}]}')).toEqual(
    message('has no public key that tokens are verified by'),
  )
  write('jwks.json', JSON.stringify({ keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'a', x5c: ['x'] }] }))
  await files.open({})
  const posted = JSON.parse(Buffer.from(given[0].memory).toString()).keys
  expect(posted.map((key: object) => Object.keys(key).sort())).toEqual([['crv', 'kid', 'kty', 'x', 'y']])
  expect(files.told()).toMatchObject([{ kind: 'keys', name: 'jwks.json', entries: 1, content: '1 key', fault: null }])
  const many = (count: number) =>
    JSON.stringify({ keys: Array(count).fill({ kty: 'oct', k: 'AAAA' }).with(0, posted[0]) })
  write('jwks.json', many(KEYS_MAX + 1))
  await until(() => expect(files.told()[0].fault).toBe(`has more than ${KEYS_MAX} keys`))
  write('jwks.json', many(KEYS_MAX))
  await until(() => expect(files.told()[0].fault).toBe(null))
  expect(given).toHaveLength(2)
  write('jwks.json', '{"keys":[]}')
  await until(() => expect(files.told()[0].fault).toBe('has no public key that tokens are verified by'))
  expect(given).toHaveLength(2)
})

test('what services look up in vain is told once for all of them, and no more when the last one of them has changed', async () => {
  const { write, files, events, follow } = stage()
  const { shop: first } = naming('gone.txt')
  const { shop: other } = naming()
  const changed = follow({ a: first, b: first, c: other })
  const told = () => files.told().map(({ name }) => name)
  expect([told(), events.length]).toEqual([['gone.txt'], 1])
  changed({ a: other, b: first, c: other }, 'a')
  expect([told(), events.length]).toEqual([['gone.txt'], 1])
  changed({ a: other, c: other }, 'b')
  expect(told()).toEqual([])
  changed({ a: other, c: first }, 'c')
  expect([told(), events.length]).toEqual([['gone.txt'], 2])
  changed({ a: first }, null)
  expect([told(), events.length]).toEqual([['gone.txt'], 2])
  // A file that is read again names it now.
  write('gone.txt', 'u-1\n')
  await files.open({ a: first })
  expect(files.told()).toMatchObject([{ name: 'gone.txt', entries: 1, fault: null }])
})

test('a URL of keys that answers nothing, or no keys, is a fault', async () => {
  let body = ''
  const { url } = await startUpstream((_, response) => void response.end(body))
  const { files, given } = stage(undefined, { jwks: url })
  await files.open({})
  const fault = () => files.told()[0].fault
  await vi.waitFor(() => expect(fault()).toBe('is no set of keys (JWKS)'))
  body = '{"keys":[]}'
  const { files: again } = stage(undefined, { jwks: url })
  await again.open({})
  await vi.waitFor(() => expect(again.told()[0].fault).toBe('has no public key that tokens are verified by'))
  expect(given).toEqual([])
})

test('of a URL that does not answer 200 nothing more is waited for, so that no connection stays', async () => {
  let closed = 0
  const { url } = await startUpstream((request, response) => {
    request.socket.once('close', () => closed++)
    response.writeHead(503).write('for ever')
  })
  const { files } = stage(undefined, { jwks: url })
  await files.open({})
  await vi.waitFor(() => expect(closed).toBe(1))
  expect(files.told()[0].fault).toBe('answered 503')
})
