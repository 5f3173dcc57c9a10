import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openStore } from '../../src/store/open.ts'
import type { Store } from '../../src/store/store.ts'
import { describeStore, expectCode } from './contract.ts'
import { entry } from './entry.ts'

const { DatabaseSync } = process.getBuiltinModule('node:sqlite')
const WRITER = join(import.meta.dirname, 'writer.ts')

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
  await store.commit(0, entry(1))
  await store.commit(1, entry(2))
  await store.put('keys', 'secret')
  await store.close()

  const again = await open()
  expect(await again.load()).toEqual({ revision: 2, services: entry(2).services, intents: entry(2).intents })
  expect(await again.revision(1)).toEqual({ revision: 1, ...entry(1) })
  expect(await again.get('keys')).toBe('secret')
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
    const document = await store.load()
    expect(document!.revision).toBeGreaterThanOrEqual(acknowledged)
    expect(document).toEqual({ revision: document!.revision, ...only(entry(document!.revision)) })
    const audit = await store.revisions(10_000)
    expect(audit.map((line) => line.revision)).toEqual(audit.map((_, n) => document!.revision - n))
    expect(audit).toHaveLength(document!.revision)
    floor = document!.revision
    await store.close()
  }
})

const only = ({ services, intents }: ReturnType<typeof entry>) => ({ services, intents })

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

test('the second of two writers is told that the revision has moved', async () => {
  const [one, other] = [await open(), await open()]
  await one.commit(0, entry(1))
  await expectCode(other.commit(0, entry(2)), 'stale_revision')
  expect((await other.load())?.services).toEqual(entry(1).services)
  expect(await other.commit(1, entry(2))).toBe(2)
})

test('a lock that another process does not give up is reported, and nothing has changed', async () => {
  const store = await open()
  await store.commit(0, entry(1))
  const blocker = new DatabaseSync(file())
  blocker.exec('BEGIN IMMEDIATE')
  await expect(store.commit(1, entry(2))).rejects.toMatchObject({
    code: 'store_unavailable',
    message: expect.stringContaining('locked by another process'),
  })
  expect((await store.load())?.revision).toBe(1)
  blocker.close()
  expect(await store.commit(1, entry(2))).toBe(2)
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

test('a damaged file is reported as such', async () => {
  const store = await open()
  for (let n = 0; n < 50; n++) await store.commit(n, entry(n + 1))
  await store.close()
  const bytes = readFileSync(file())
  bytes.fill(0xa5, 4096)
  writeFileSync(file(), bytes)
  const damaged = open().then(async (again) => {
    await again.load()
    await again.commit(50, entry(51))
  })
  await expect(damaged).rejects.toMatchObject({
    code: 'store_unavailable',
    message: expect.stringContaining('damaged'),
  })
})

test('stored text that is not JSON is reported as damage', async () => {
  const store = await open()
  await store.commit(0, entry(1))
  const editor = new DatabaseSync(file())
  editor.exec(`UPDATE revisions SET status = '{"shop":'`)
  editor.close()
  await expect(store.load()).rejects.toMatchObject({
    code: 'store_unavailable',
    message: expect.stringContaining('damaged'),
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

test('a file of a newer Turnout is refused', async () => {
  await (await open()).close()
  const newer = new DatabaseSync(file())
  newer.exec('PRAGMA user_version = 99')
  newer.close()
  await expect(open()).rejects.toMatchObject({
    code: 'store_unavailable',
    message: expect.stringContaining('newer Turnout (schema 99'),
  })
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
  expect((await (await open()).load())?.revision).toBe(Number(lines.pop()))
})

test('a file that was deleted while open takes no further commit', async () => {
  const store = await open()
  await store.commit(0, entry(1))
  rmSync(file())
  await expect(store.commit(1, entry(2))).rejects.toMatchObject({
    code: 'store_unavailable',
    message: expect.stringContaining('deleted or replaced'),
  })
})

test('a closed store says so', async () => {
  const store = await open()
  await store.close()
  await store.close()
  await expectCode(store.load(), 'store_unavailable')
  await expectCode(store.commit(0, entry(1)), 'store_unavailable')
})

test('the file is readable by its owner only, and may be reached by a symbolic link', async () => {
  symlinkSync(file(), join(folder, 'link.db'))
  const store = await open(join(folder, 'link.db'))
  await store.commit(0, entry(1))
  for (const suffix of ['', '-wal', '-shm']) expect(statSync(file() + suffix).mode & 0o777).toBe(0o600)
})

test('prints no warning when it is opened', () => {
  const { stdout, stderr } = spawnSync(process.execPath, [WRITER, `sqlite:${file()}`, '1'], { encoding: 'utf8' })
  expect({ stdout, stderr }).toEqual({ stdout: '1\n', stderr: '' })
})
