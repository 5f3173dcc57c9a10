import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import fs, {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setImmediate } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { BUSY_MS, StoreBusy } from '../../src/busy.ts'
import { openStore } from '../../src/store/open.ts'
import { translated } from '../../src/store/sqlite-faults.ts'
import { openFile, remake } from '../../src/store/sqlite-file.ts'
import { AUDIT_KEPT, NOWHERE, type Position, REVISIONS_KEPT, type Store } from '../../src/store/store.ts'
import type { Health } from '../../src/table/types.ts'
import { describeStore, expectCode } from './contract.ts'
import { commitAll, document, entry, revision, service } from './entry.ts'

const { DatabaseSync } = process.getBuiltinModule('node:sqlite')
const WRITER = join(import.meta.dirname, 'writer.ts')
const HOLDER = join(import.meta.dirname, 'holder.ts')

let folder: string
const opened: Store[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'turnout-store-'))
})
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close()
  chmodSync(folder, 0o700)
  rmSync(folder, { recursive: true })
})

const file = () => join(folder, 'turnout.db')
async function open(path = file()): Promise<Store> {
  const store = await openStore(`sqlite:${path}`)
  opened.push(store)
  return store
}

describeStore('the SQLite store', () => openStore(`sqlite:${file()}`))

test('finds everything again after it was closed', async () => {
  const store = await open()
  const position = await commitAll(store, 2)
  await store.put('keys', 'secret')
  await store.saveObserved({ shop: {} })
  await store.close()

  const again = await open()
  expect(await again.load()).toEqual({ position, ...document(2) })
  expect(await again.revision(1)).toEqual(revision(1))
  expect(await again.get('keys')).toBe('secret')
  expect(await again.observed()).toEqual({ shop: {} })
})

test('says what it takes on the disk, with what is written and not taken into the file yet', async () => {
  const store = await open()
  const before = store.bytes!()
  expect(before).toBeGreaterThanOrEqual(statSync(file()).size)
  await commitAll(store, 20)
  expect(store.bytes!()).toBeGreaterThan(before)
})

test('has every acknowledged revision after kill -9 in the middle of writing', async () => {
  let floor = 0
  for (const killAfter of [1, 7, 40]) {
    const child = spawn(process.execPath, [WRITER, `sqlite:${file()}`], { stdio: ['ignore', 'pipe', 'inherit'] })
    let acknowledged = 0
    for await (const line of createInterface(child.stdout)) {
      acknowledged = Number(line)
      if (acknowledged === floor + killAfter) child.kill('SIGKILL')
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    expect(acknowledged).toBeGreaterThanOrEqual(floor + killAfter)

    const store = await open()
    const stored = await store.load()
    const last = stored.position.revision
    expect(last).toBeGreaterThanOrEqual(acknowledged)
    expect(stored).toEqual({ position: stored.position, ...document(last) })
    const audit = await store.revisions(10_000)
    expect(audit.map((line) => line.revision)).toEqual(audit.map((_, n) => last - n))
    expect(audit).toHaveLength(last)
    floor = last
    await store.close()
  }
})

test('two processes on one file lose no commit and never share a revision', async () => {
  const children = [0, 1].map(() =>
    spawn(process.execPath, [WRITER, `sqlite:${file()}`, '30'], { stdio: ['ignore', 'pipe', 'inherit'] }),
  )
  const printed = await Promise.all(
    children.map(async (child) => {
      const lines: string[] = []
      for await (const line of createInterface(child.stdout)) lines.push(line)
      return lines
    }),
  )
  expect(
    printed
      .flat()
      .map(Number)
      .sort((a, b) => a - b),
  ).toEqual(Array.from({ length: 60 }, (_, n) => n + 1))
})

test('who makes a file that another has made meanwhile takes nothing of it away', () => {
  const first = openFile(file())
  rmSync(file())
  const other = openFile(file())
  other.exec('CREATE TABLE kept (n)')
  expect(readdirSync(folder)).toContain('turnout.db-wal')
  // As one does that has found no file a moment ago, when `other` was not there yet.
  remake(first, file())
  const third = openFile(file())
  expect(third.prepare('SELECT count(*) AS n FROM kept').get()).toEqual({ n: 0 })
  other.close()
  third.close()
})

test('who makes a file leaves what another has brought beside it after nothing was found there', () => {
  const first = openFile(file())
  const theirs = join(folder, 'theirs.db')
  openFile(theirs).close()
  rmSync(file())
  const { existsSync } = fs
  let other: ReturnType<typeof openFile> | null = null
  fs.existsSync = (path) => {
    const isThere = existsSync(path)
    if (path === file() && !isThere && other === null) {
      for (const suffix of ['-wal', '-shm']) rmSync(file() + suffix)
      renameSync(theirs, file())
      other = openFile(file())
    }
    return isThere
  }
  syncBuiltinESMExports()
  try {
    expect(remake(first, file())).toBe(false)
  } finally {
    fs.existsSync = existsSync
    syncBuiltinESMExports()
  }
  expect(readdirSync(folder).sort()).toEqual(['turnout.db', 'turnout.db-shm', 'turnout.db-wal'])
  other!.close()
})

test('the second of two writers is told that the revision has moved', async () => {
  const [one, other] = [await open(), await open()]
  const position = await one.commit(NOWHERE, entry(1))
  await expectCode(other.commit(NOWHERE, entry(2)), 'stale_revision')
  expect(await other.load()).toEqual({ position, ...document(1) })
  expect(await other.commit(position, entry(2))).toMatchObject({ revision: 2 })
})

test('a file that has all that is kept does not grow any more, since what is pruned makes room', async () => {
  const store = await open()
  const pages = () => {
    const looked = new DatabaseSync(file(), { readOnly: true })
    const { page_count } = looked.prepare('PRAGMA page_count').get() as { page_count: number }
    looked.close()
    return page_count
  }
  // As a rollout writes: a line, and itself.
  const line = (of: number) => {
    const change = { kind: 'rollout', service: 'shop', reason: 'r'.repeat(1_000) }
    return { ...entry(of), change, named: { 'rollout:shop': 'k'.repeat(10_000) } }
  }
  const write = async (from: Position) => {
    let position = from
    for (let n = 0; n < 100; n++) position = await store.commit(position, line(position.revision + 1))
    return position
  }
  let position = await write(NOWHERE)
  const full = pages()
  for (let times = 1; times < 4; times++) {
    // So many later all of these are too old.
    const revision = position.revision + AUDIT_KEPT
    position = await store.replace(position, { ...line(1), services: { shop: service(1) }, revision })
    position = await write(position)
    expect(pages()).toBeLessThanOrEqual(full * 1.1)
  }
})

test('where others need the thread, a lock of another process holds nobody up: it is told at once', async () => {
  const store = await open()
  const position = await store.commit(NOWHERE, entry(1))
  const blocker = new DatabaseSync(file())
  blocker.exec('BEGIN IMMEDIATE')
  store.mayBlock(false)
  const startedMs = performance.now()
  for (const write of [() => store.commit(position, entry(2)), () => store.put('a', 'b')]) {
    await expect(write()).rejects.toBeInstanceOf(StoreBusy)
  }
  expect(performance.now() - startedMs).toBeLessThan(BUSY_MS / 2)
  // Reading goes on.
  expect(await store.position()).toEqual(position)
  blocker.close()
  expect(await store.commit(position, entry(2))).toMatchObject({ revision: 2 })
})

test('a lock that another process does not give up is reported, and nothing has changed', async () => {
  const store = await open()
  const position = await store.commit(NOWHERE, entry(1))
  const blocker = new DatabaseSync(file())
  blocker.exec('BEGIN IMMEDIATE')
  await expect(store.commit(position, entry(2))).rejects.toMatchObject({
    code: 'store_unavailable',
    message: expect.stringContaining('locked by another process'),
  })
  expect(await store.position()).toEqual(position)
  blocker.close()
  expect(await store.commit(position, entry(2))).toMatchObject({ revision: 2 })
})

test('a change of one service among many writes less than 20 KB, also when old revisions are pruned', async () => {
  const targets = (n: number) => [1, 2, 3].map((host) => `http://10.0.${n % 250}.${host}:8080`)
  const many = Array.from({ length: 500 }, (_, n) => ({
    ...service(n),
    spec: {
      ...service(n).spec,
      pools: { blue: { version: '1', targets: targets(n) }, green: { version: '2', targets: targets(n) } },
    },
  }))
  const store = await open()
  const all = many.map((after, n) => [`s${n}`, { before: null, after }] as const)
  let position = await store.commit(NOWHERE, { ...entry(1), services: Object.fromEntries(all) })
  const written = (): number => Number(/wchar: (\d+)/.exec(readFileSync('/proc/self/io', 'utf8'))?.[1])
  const split = async (n: number) => {
    const before = many[n % 500]
    many[n % 500] = { ...before, spec: { ...before.spec, split: { blue: n, green: 1 } } }
    position = await store.commit(position, {
      ...entry(n),
      services: { [`s${n % 500}`]: { before, after: many[n % 500] } },
    })
  }
  for (let n = 0; n < REVISIONS_KEPT; n++) await split(n)
  const before = written()
  for (let n = 0; n < 200; n++) await split(n * 7)
  expect((written() - before) / 200).toBeLessThan(20_000)
})

test('a file that is not SQLite is refused and left as it is', async () => {
  const text = 'these are not the bytes of a database. '.repeat(100)
  writeFileSync(file(), text)
  await expect(open()).rejects.toMatchObject({
    code: 'store_unavailable',
    message: expect.stringContaining('not a SQLite file'),
  })
  expect(readFileSync(file(), 'utf8')).toBe(text)
})

test('a damaged file is refused as such, and left as it is', async () => {
  const store = await open()
  await commitAll(store, 50)
  await store.close()
  const bytes = readFileSync(file())
  bytes.fill(0xa5, 4096)
  writeFileSync(file(), bytes)
  await expect(open()).rejects.toMatchObject({ code: 'store_unavailable', message: expect.stringContaining('damaged') })
  expect(readFileSync(file())).toEqual(bytes)
})

test.each([0.1, 0.5, 0.99])(
  'a file that was cut off at %s of its length is refused, and left as it is',
  async (part) => {
    const store = await open()
    await commitAll(store, 50)
    await store.close()
    truncateSync(file(), Math.floor(statSync(file()).size * part))
    const bytes = readFileSync(file())
    await expect(open()).rejects.toMatchObject({
      code: 'store_unavailable',
      message: expect.stringContaining('damaged'),
    })
    expect(readFileSync(file())).toEqual(bytes)
  },
)

test('an empty file is refused and left as it is, and what lies beside it too', async () => {
  writeFileSync(file(), '')
  writeFileSync(`${file()}-wal`, 'the last changes')
  await expect(open()).rejects.toMatchObject({
    code: 'store_unavailable',
    message: expect.stringContaining('is empty'),
  })
  expect([readFileSync(file(), 'utf8'), readFileSync(`${file()}-wal`, 'utf8')]).toEqual(['', 'the last changes'])
})

test('a process that is killed while it makes the file leaves none, or a whole one', async () => {
  for (let round = 0; round < 5; round++) {
    const child = spawn(process.execPath, [WRITER, `sqlite:${file()}`], { stdio: ['ignore', 'ignore', 'inherit'] })
    while (!readdirSync(folder).some((name) => name.startsWith('turnout.db'))) await setImmediate()
    child.kill('SIGKILL')
    await once(child, 'exit')
    const store = await open()
    await store.close()
    for (const name of readdirSync(folder)) rmSync(join(folder, name))
  }
})

test('stored text that is not JSON is reported as damage, by what it was', async () => {
  const store = await open()
  await store.commit(NOWHERE, entry(1))
  const editor = new DatabaseSync(file())
  editor.exec(`UPDATE parts SET text = '{"blue":' WHERE part = 'spec'`)
  editor.close()
  await expect(store.load()).rejects.toMatchObject({
    code: 'store_unavailable',
    message: expect.stringContaining('damaged (part spec of service shop cannot be read'),
  })
})

test('the database of another program is refused and left as it is', async () => {
  const other = new DatabaseSync(file())
  other.exec('CREATE TABLE theirs (x)')
  other.close()
  await expect(open()).rejects.toThrow('belongs to another program')
  const tables = new DatabaseSync(file()).prepare('SELECT name FROM sqlite_schema').all()
  expect(tables.map((row) => row['name'])).toEqual(['theirs'])
})

test.each([
  ['layout', 'PRAGMA user_version = 99'],
  ['format', 'UPDATE document SET format = 99'],
])('a file of a newer %s is refused and left as it is', async (what, sql) => {
  const store = await open()
  await commitAll(store, 3)
  await store.close()
  const newer = new DatabaseSync(file())
  newer.exec(sql)
  newer.close()
  const bytes = readFileSync(file())
  await expect(open()).rejects.toMatchObject({
    code: 'store_unavailable',
    message: expect.stringContaining(`was written by a newer Turnout (${what} 99`),
  })
  expect(readFileSync(file())).toEqual(bytes)
})

/** Runs as a user who is not root, since root may write everywhere. */
async function unprivileged<T>(work: () => Promise<T>): Promise<T> {
  if (process.geteuid?.() !== 0) return work()
  process.seteuid!(65_534)
  try {
    return await work()
  } finally {
    process.seteuid!(0)
  }
}

test('a read-only folder is refused with a clear message', async () => {
  chmodSync(folder, 0o555)
  await expect(unprivileged(() => open())).rejects.toMatchObject({
    code: 'store_unavailable',
    message: expect.stringContaining('permission denied'),
  })
})

test('an existing file that may only be read is refused', async () => {
  await (await open()).close()
  chmodSync(file(), 0o444)
  chmodSync(folder, 0o555)
  await expect(unprivileged(() => open())).rejects.toMatchObject({ code: 'store_unavailable' })
})

test('a missing folder is refused by its name', async () => {
  await expect(open(join(folder, 'missing', 'turnout.db'))).rejects.toMatchObject({
    code: 'store_unavailable',
    message: expect.stringContaining(join(folder, 'missing')),
  })
})

test('a folder in place of the file is refused', async () => {
  await expect(open(folder)).rejects.toMatchObject({
    code: 'store_unavailable',
    message: expect.stringContaining('is a folder'),
  })
})

test('a disk that takes no more fails the commit and keeps all acknowledged ones', async () => {
  const command = `ulimit -f 160; exec "${process.execPath}" "${WRITER}" "sqlite:${file()}"`
  const { stdout } = spawnSync('bash', ['-c', command], { encoding: 'utf8' })
  const lines = stdout.trim().split('\n')
  expect(JSON.parse(lines.pop()!)).toMatchObject({ code: 'store_unavailable' })
  expect(lines.length).toBeGreaterThan(5)
  expect((await (await open()).position()).revision).toBe(Number(lines.pop()))
})

test('a disk that has no room even to open a file is told as full', () => {
  // SQLITE_IOERR_SHMSIZE, as a tmpfs without a free byte gave it for a file that was closed well.
  const open = () => {
    throw Object.assign(new Error('disk I/O error'), { errcode: 4874 })
  }
  expect(() => translated('/data/x.db', open)).toThrow(
    'The store /data/x.db cannot be opened: the disk is full (disk I/O error).',
  )
})

describe('when the file changes under us', () => {
  test('a deleted one is told, can still be read, and is made again with all that was in it by the next write', async () => {
    const store = await open()
    await store.put('keys', 'secret')
    const position = await commitAll(store, 3)
    for (const name of readdirSync(folder)) rmSync(join(folder, name))
    await expect(store.position()).rejects.toMatchObject({
      code: 'store_unavailable',
      message: expect.stringContaining('was deleted'),
    })
    expect(await store.load()).toEqual({ position, ...document(3) })
    const next = await store.commit(position, entry(4))
    expect(await store.position()).toEqual(next)
    await store.close()

    const again = await open()
    expect(await again.load()).toEqual({ position: next, ...document(4) })
    expect(await again.revision(2)).toEqual(revision(2))
    expect(await again.get('keys')).toBe('secret')
    expect(statSync(file()).mode & 0o777).toBe(0o600)
  })

  test('one that is made again and locked by another process before we have opened it is the store once it is free', async () => {
    const store = await open()
    const position = await commitAll(store, 3)
    store.mayBlock(false)
    for (const name of readdirSync(folder)) rmSync(join(folder, name))
    const { linkSync } = fs
    let other: InstanceType<typeof DatabaseSync> | null = null
    fs.linkSync = (from, to) => {
      linkSync(from, to)
      other = new DatabaseSync(String(to))
      other.exec('BEGIN EXCLUSIVE')
    }
    syncBuiltinESMExports()
    try {
      await expect(store.commit(position, entry(4))).rejects.toBeInstanceOf(StoreBusy)
    } finally {
      fs.linkSync = linkSync
      syncBuiltinESMExports()
    }
    other!.close()
    expect(await store.commit(position, entry(4))).toMatchObject({ revision: 4 })
    expect(await store.load()).toMatchObject(document(4))
  })

  test('one that cannot be made again is a new one once it can, and our named values go with our document', async () => {
    const store = await open()
    await store.put('keys', 'ours')
    const position = await commitAll(store, 3)
    for (const name of readdirSync(folder)) rmSync(join(folder, name))
    const inTheWay = `${file()}-journal`
    mkdirSync(inTheWay)
    await expectCode(store.commit(position, entry(4)), 'store_unavailable')
    rmdirSync(inTheWay)
    await expectCode(store.commit(position, entry(4)), 'stale_revision')
    const services = { shop: service(4) }
    expect(await store.replace(NOWHERE, { ...entry(4), revision: 4, services })).toMatchObject({ revision: 4 })
    expect(await store.get('keys')).toBe('ours')
  })

  test('one that another process makes again before we do is the store, and our named values go with our document', async () => {
    const store = await open()
    await store.put('keys', 'ours')
    const position = await commitAll(store, 3)
    for (const name of readdirSync(folder)) rmSync(join(folder, name))
    const theirs = join(folder, 'theirs.db')
    openFile(theirs).close()
    const { linkSync } = fs
    fs.linkSync = (from, to) => {
      renameSync(theirs, to)
      linkSync(from, to)
    }
    syncBuiltinESMExports()
    try {
      await expectCode(store.commit(position, entry(4)), 'stale_revision')
    } finally {
      fs.linkSync = linkSync
      syncBuiltinESMExports()
    }
    const services = { shop: service(4) }
    expect(await store.replace(NOWHERE, { ...entry(4), revision: 4, services })).toMatchObject({ revision: 4 })
    expect(await store.get('keys')).toBe('ours')
  })

  test('another one in its place is the store from then on, and our named values go with our document', async () => {
    const copy = join(folder, 'copy.db')
    const store = await open()
    await store.put('keys', 'ours')
    const early = await commitAll(store, 1)
    await store.close()
    copyFileSync(file(), copy)
    const other = new DatabaseSync(copy)
    other.exec("UPDATE named SET value = 'theirs'")
    other.close()

    const running = await open()
    const position = await running.commit(early, entry(2))
    renameSync(copy, file())
    expect(await running.position()).toEqual(early)
    await expectCode(running.commit(position, entry(3)), 'stale_revision')
    expect(await running.get('keys')).toBe('theirs')
    const services = { shop: service(3) }
    const mended = await running.replace(early, { ...entry(3), revision: 3, services })
    await running.close()
    const again = await open()
    expect(await again.load()).toMatchObject({ position: mended, services })
    expect(await again.get('keys')).toBe('ours')
  })

  /** Puts a copy of what is stored now in the place of the file, once `meanwhile` is over. */
  async function putCopyBack(meanwhile: () => Promise<unknown>): Promise<void> {
    const copy = new DatabaseSync(file())
    copy.exec(`VACUUM INTO '${join(folder, 'copy.db')}'`)
    copy.close()
    const inWal = new DatabaseSync(join(folder, 'copy.db'))
    inWal.exec('PRAGMA journal_mode = WAL')
    inWal.close()
    await meanwhile()
    renameSync(join(folder, 'copy.db'), file())
  }

  test('two stores follow the one that is put in its place, and stay together', async () => {
    const [first, second] = [await open(), await open()]
    const early = await commitAll(first, 2)
    await putCopyBack(() => first.commit(early, entry(3)))
    expect(await first.position()).toEqual(early)
    expect(await second.position()).toEqual(early)
    const third = await first.commit(early, entry(3))
    expect(await second.position()).toEqual(third)
    const fourth = await second.commit(third, entry(4))
    expect(await first.load()).toEqual({ position: fourth, ...document(4) })
    await first.close()
    await second.close()
    expect(await (await open()).load()).toEqual({ position: fourth, ...document(4) })
  })

  test('nothing is taken away while another process has opened the other one with it; we follow once it is free', async () => {
    const store = await open()
    const position = await commitAll(store, 2)
    await putCopyBack(async () => {})
    const log = statSync(`${file()}-wal`)
    const child = spawn(process.execPath, [HOLDER, `sqlite:${file()}`], { stdio: ['ignore', 'pipe', 'inherit'] })
    try {
      await once(child.stdout, 'data')
      store.mayBlock(false)
      await expect(store.position()).rejects.toBeInstanceOf(StoreBusy)
      expect(statSync(`${file()}-wal`)).toMatchObject({ ino: log.ino, size: log.size })
    } finally {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    expect(await store.commit(position, entry(3))).toMatchObject({ revision: 3 })
  })

  test('another one that comes just before the end is what is found at the next start', async () => {
    const store = await open()
    const early = await commitAll(store, 2)
    await putCopyBack(() => store.commit(early, entry(3)))
    await store.close()
    expect(readdirSync(folder)).toEqual(['turnout.db'])
    expect(await (await open()).load()).toEqual({ position: early, ...document(2) })
  })

  test('another one that comes after a deleted one has ended is what is found at the next start', async () => {
    const store = await open()
    const early = await commitAll(store, 2)
    await putCopyBack(async () => {
      await store.commit(early, entry(3))
      rmSync(file())
      await store.close()
    })
    expect(await (await open()).load()).toEqual({ position: early, ...document(2) })
  })

  test('something else in its place is told, and the store is back when it is', async () => {
    const store = await open()
    const position = await commitAll(store, 2)
    renameSync(file(), join(folder, 'kept.db'))
    writeFileSync(join(folder, 'text'), 'this is no store. '.repeat(100))
    renameSync(join(folder, 'text'), file())
    await expect(store.position()).rejects.toThrow('not a SQLite file')
    await expectCode(store.commit(position, entry(3)), 'store_unavailable')
    renameSync(join(folder, 'kept.db'), file())
    expect(await store.commit(position, entry(3))).toMatchObject({ revision: 3 })
  })
})

describe('another live process on the same file', () => {
  test('is known as long as it lives, however it ends', async () => {
    const child = spawn(process.execPath, [HOLDER, `sqlite:${file()}`], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(child.stdout, 'data')
    const store = await open()
    expect(await store.isShared()).toBe(true)
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(await store.isShared()).toBe(false)
  })

  test('is known to the first, too, as long as it lives', async () => {
    const store = await open()
    expect([await store.isShared(), await store.hasOthers()]).toEqual([false, false])
    const child = spawn(process.execPath, [HOLDER, `sqlite:${file()}`], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(child.stdout, 'data')
    expect([await store.isShared(), await store.hasOthers()]).toEqual([false, true])
    expect(await store.hasOthers()).toBe(true)
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(await store.hasOthers()).toBe(false)
  })

  test('is known to the first when it has become the first by the end of the one before', async () => {
    const [first, second, third] = [await open(), await open(), await open()]
    for (const store of [first, second, third]) await store.isShared()
    const known = (...stores: readonly Store[]) => Promise.all(stores.map((store) => store.hasOthers()))
    expect(await known(first, second, third)).toEqual([true, true, true])
    await first.close()
    expect(await known(second, third)).toEqual([true, true])
    await third.close()
    expect(await known(second)).toEqual([false])
  })

  test('stays the first when the files are taken away, and who was faster is the only one', async () => {
    const lost = vi.fn()
    const [first, second] = [await open(), await open()]
    first.onLeadLost!(lost)
    const shared = async () => [await first.isShared(), await second.isShared()]
    expect(await shared()).toEqual([false, true])
    const takeAway = () => rmSync(`${file()}-live`)
    takeAway()
    await first.position()
    expect(await shared()).toEqual([false, true])
    takeAway()
    expect(await second.isShared()).toBe(false)
    expect(lost).not.toHaveBeenCalled()
    await first.position()
    expect(await shared()).toEqual([true, false])
    // What is locked now is of no account once that file is gone, too.
    takeAway()
    await second.position()
    await second.close()
    expect(await first.isShared()).toBe(false)
    expect(lost).toHaveBeenCalledTimes(1)
  })

  test('stays what it was while the folder is away, and the first is told when another is faster once it is back', async () => {
    const lost = vi.fn()
    const [place, away] = [join(folder, 'place'), join(folder, 'away')]
    mkdirSync(place)
    const path = join(place, 'turnout.db')
    const [first, second] = [await open(path), await open(path)]
    first.onLeadLost!(lost)
    const shared = async () => [await first.isShared(), await second.isShared()]
    expect(await shared()).toEqual([false, true])
    renameSync(place, away)
    // First what leads nowhere has its name, then nothing.
    symlinkSync(place, place)
    for (const isLink of [true, false]) {
      if (!isLink) rmSync(place)
      await expectCode(first.position(), 'store_unavailable')
      expect(await shared()).toEqual([false, true])
      expect([first.stillLeads!(), second.stillLeads!()]).toEqual([true, false])
    }
    renameSync(away, place)
    expect(await second.isShared()).toBe(false)
    expect(lost).not.toHaveBeenCalled()
    expect([first.stillLeads!(), second.stillLeads!()]).toEqual([false, true])
    expect(lost).toHaveBeenCalledTimes(1)
    expect(await shared()).toEqual([true, false])
  })

  test('is asked who leads before anything was, and after it has taken the place', async () => {
    const store = await open()
    expect(store.stillLeads!()).toBe(false)
    expect([await store.isShared(), store.stillLeads!()]).toEqual([false, true])
    await store.yield(true)
    expect([await store.isShared(), store.stillLeads!()]).toEqual([true, false])
    await store.yield(false)
    expect([await store.isShared(), store.stillLeads!()]).toEqual([false, true])
  })

  test('keeps what it has observed: nobody writes over it, nor takes it for its own', async () => {
    const [first, second] = [await open(), await open()]
    const seen = (health: Health) => ({
      shop: { blue: { 'http://a:1': { '10.0.0.1': { health, ejectedUntilMs: 0 } } } },
    })
    expect([await first.isShared(), await second.isShared()]).toEqual([false, true])
    await first.saveObserved(seen('unhealthy'))
    await second.saveObserved(seen('healthy'))
    expect([await first.observed(), await second.observed()]).toEqual([seen('unhealthy'), {}])
    await first.close()
    expect(await second.isShared()).toBe(false)
    await second.saveObserved(seen('healthy'))
    expect(await second.observed()).toEqual(seen('healthy'))
  })
})

test('a closed store says so', async () => {
  const store = await open()
  await store.close()
  await store.close()
  await expectCode(store.load(), 'store_unavailable')
  await expectCode(store.commit(NOWHERE, entry(1)), 'store_unavailable')
})

test('the file is readable by its owner only, and may be reached by a symbolic link', async () => {
  symlinkSync(file(), join(folder, 'link.db'))
  const store = await open(join(folder, 'link.db'))
  await store.commit(NOWHERE, entry(1))
  for (const suffix of ['', '-wal', '-shm']) expect(statSync(file() + suffix).mode & 0o777).toBe(0o600)
})

test('prints no warning when it is opened', () => {
  const { stdout, stderr } = spawnSync(process.execPath, [WRITER, `sqlite:${file()}`, '1'], { encoding: 'utf8' })
  expect({ stdout, stderr }).toEqual({ stdout: '1\n', stderr: '' })
})
