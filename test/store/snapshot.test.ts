/** The local copy of a store elsewhere: whole at any moment, found out when it is not, and written no more often than needed. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { memoryStore } from '../../src/store/memory.ts'
import { type Snapshot, SnapshotFile } from '../../src/store/snapshot-file.ts'
import { SnapshotKeeper } from '../../src/store/snapshot-keeper.ts'
import { type Remote, SnapshotStore } from '../../src/store/snapshot-store.ts'
import { NOWHERE, type Store } from '../../src/store/store.ts'
import { standingClock } from '../control/stand-in.ts'
import { bulk } from '../helpers/bulk.ts'
import { until } from '../helpers/raw.ts'
import { commitAll, document, service } from './entry.ts'

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'turnout-snapshot-'))
  onTestFinished(() => rmSync(made, { recursive: true, force: true }))
  return made
}

const snapshot = (revision: number): Snapshot => ({
  place: 'redis://here',
  keptAtMs: 1,
  position: { revision, mark: `m${revision}` },
  releaseLast: revision,
  services: { shop: { ...service(revision), revision } },
  named: { cookieLayer: 'abc' },
})

test('what is written is read again, by its owner only; where there is none, there is none', async () => {
  const file = new SnapshotFile(join(folder(), 'a.snapshot'))
  expect(await file.read()).toBeNull()
  for (const revision of [1, 2]) {
    await file.write(snapshot(revision))
    expect(await file.read()).toEqual(snapshot(revision))
  }
  expect(statSync(file.path).mode & 0o777).toBe(0o600)
})

test('one that was cut off anywhere, changed, or is of a newer Turnout is not used', async () => {
  const file = new SnapshotFile(join(folder(), 'a.snapshot'))
  await file.write(snapshot(1))
  const whole = readFileSync(file.path, 'utf8')
  for (let length = 0; length < whole.length; length += 7) {
    writeFileSync(file.path, whole)
    truncateSync(file.path, length)
    await expect(file.read(), `${length} bytes`).rejects.toThrow('is damaged or cut off')
  }
  writeFileSync(file.path, whole.replace('"revision":1', '"revision":9'))
  await expect(file.read()).rejects.toThrow('is damaged or cut off')
  await file.write({ ...snapshot(1), format: 99 } as Snapshot)
  await expect(file.read()).rejects.toThrow('was written by a newer Turnout (format 99')
})

test('whatever a process is killed at, the file is a whole one, and what it has left is cleared away', async () => {
  const path = join(folder(), 'a.snapshot')
  const writer = `
    import { SnapshotFile } from ${JSON.stringify(new URL('../../src/store/snapshot-file.ts', import.meta.url).href)}
    const file = new SnapshotFile(${JSON.stringify(path)})
    const services = { shop: { spec: { text: 'x'.repeat(2_000_000) }, intent: {}, revision: 1 } }
    for (let revision = 1; ; revision++)
      await file.write({ place: '', keptAtMs: 1, position: { revision, mark: '' }, releaseLast: 1, named: {}, services })`
  const file = new SnapshotFile(path)
  let last = 0
  for (const delayMs of [0, 3, 1, 7].slice(0, bulk(2, 4))) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', writer], { stdio: 'ignore' })
    await until('it writes', async () => ((await file.read())?.position.revision ?? 0) !== last)
    await new Promise((resolve) => setTimeout(resolve, delayMs))
    child.kill('SIGKILL')
    await once(child, 'exit')
    last = (await file.read())!.position.revision
    expect(last).toBeGreaterThan(0)
  }
  writeFileSync(`${path}.999999999.new`, 'left')
  writeFileSync(`${path}.${process.pid}.new`, 'of one that lives')
  await file.tidy()
  expect(readdirSync(join(path, '..')).sort()).toEqual(['a.snapshot', `a.snapshot.${process.pid}.new`])
})

function keeping(write: (snapshot: Snapshot) => Promise<void> = async () => {}) {
  const standing = standingClock()
  const written: number[] = []
  const told: string[] = []
  let revision = 1
  const keeper = new SnapshotKeeper({
    file: {
      path: '/x',
      async write(given) {
        await write(given)
        written.push(given.position.revision)
      },
    },
    clock: standing.clock,
    present: () => snapshot(revision),
    tell: (level, message) => void told.push(`${level} ${message}`),
  })
  const change = () => {
    revision++
    keeper.request()
  }
  return { ...standing, keeper, written, told, change }
}

test('many changes in a second are two writes, the last of them the last change; what is written already is not again', async () => {
  const { keeper, written, change, advance } = keeping()
  for (let n = 0; n < 20; n++) {
    change()
    await advance(50)
  }
  await advance(2_000)
  expect(written).toHaveLength(2)
  expect(written.at(-1)).toBe(21)
  keeper.request()
  await advance(5_000)
  await keeper.close()
  expect(written).toHaveLength(2)
})

test('the end writes what is not written yet', async () => {
  const { keeper, written, change } = keeping()
  change()
  await keeper.close()
  expect(written).toEqual([2])
})

test('a disk that is full is told once, tried again by and by, and told when it is not', async () => {
  let isFull = true
  const { keeper, written, told, change, advance } = keeping(async () => {
    if (isFull) throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
  })
  for (let n = 0; n < 5; n++) {
    change()
    await advance(10_100)
  }
  expect(told).toEqual([expect.stringMatching(/^warn .*\/x cannot be written: the disk is full/)])
  expect(keeper.told).toMatchObject({
    revision: 0,
    fault: 'the disk is full',
    failures: expect.any(Number),
  })
  expect(keeper.told.failures).toBeGreaterThan(1)
  isFull = false
  await advance(10_100)
  expect(written).toEqual([6])
  expect(told.at(-1)).toMatch(/can be written again/)
  expect(keeper.told.fault).toBeNull()
})

test.each(['after a look that found it newer', 'right after a start has found it'])(
  'a store that falls just when it is read, %s, gets back what was known, and the file keeps it',
  async (when) => {
    const file = new SnapshotFile(join(folder(), 'a.snapshot'))
    const remote = { store: memoryStore() }
    const fleet = { counts: {}, lifeMs: 3_000, unreplicated: () => 0 }
    const elsewhere = new Proxy(remote.store, {
      get(_target, name) {
        if (name === 'fleet') return fleet
        if (name === 'reached') return async () => {}
        return (remote.store[name as keyof Store] as () => unknown).bind(remote.store)
      },
    }) as unknown as Remote
    const store = new SnapshotStore(elsewhere, 'redis://here', file, standingClock().clock)
    await store.open()
    const position = await commitAll(store, 3)
    remote.store = memoryStore()
    const isStart = when.includes('start')
    const read = await store.load(isStart ? undefined : position)
    expect(read.position).toEqual(isStart ? position : NOWHERE)
    expect(await store.fleet.rewrite(NOWHERE, true)).toBe(true)
    expect(await remote.store.load()).toMatchObject({ position, ...document(3) })
    await store.close()
    expect((await file.read())!.position).toEqual(position)
  },
)
