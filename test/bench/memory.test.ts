/** What the memory benches stand on: the probe inside of a Turnout, the clients that idle, heap snapshots by constructor. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Probed, startProbed } from '../../bench/probed.ts'
import { firstLine, residentBytes, startChild } from '../../bench/process.ts'
import { growthBetween, summarise } from '../../bench/snapshot.ts'
import { startTargets, type Targets } from '../../bench/targets.ts'

const folder = mkdtempSync(join(tmpdir(), 'turnout-test-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('a probed Turnout', () => {
  let targets: Targets
  let proxy: Probed
  beforeAll(async () => {
    targets = await startTargets(null)
    const { blue, green } = targets
    proxy = await startProbed({ blue, green, folder, core: null }, { workers: process.platform === 'linux' ? 2 : 1 })
  })
  afterAll(async () => {
    await proxy.stop()
    await targets.stop()
  })

  test('tells the memory of the main thread first, then of every worker', async () => {
    const answers = await proxy.ask('collect')
    expect(answers.map(({ thread }) => thread)).toEqual(process.platform === 'linux' ? [0, 1, 2] : [0, 1])
    for (const { heapUsed, heapTotal } of answers) {
      expect(heapUsed).toBeGreaterThan(1_000_000)
      expect(heapTotal).toBeGreaterThan(heapUsed)
    }
  })

  test('idle clients hold their connections, and the snapshot of a worker has them by constructor', {
    timeout: 60_000,
  }, async () => {
    const script = fileURLToPath(new URL('../../bench/idle-clients.ts', import.meta.url))
    const clients = startChild([process.execPath, script, String(proxy.port), '60'], { core: null })
    try {
      expect(JSON.parse(await firstLine(clients))).toEqual({ held: 60, failure: null })
      const answers = await proxy.ask('snapshot', folder)
      const counts = answers.slice(1).map(({ snapshot }) => summarise(snapshot).get('Client')?.count ?? 0)
      expect(counts.reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(60)
    } finally {
      await clients.stop()
    }
  })

  test('a connection that the proxy refuses is told as such', async () => {
    const script = fileURLToPath(new URL('../../bench/idle-clients.ts', import.meta.url))
    const clients = startChild([process.execPath, script, '1', '5'], { core: null })
    try {
      expect(JSON.parse(await firstLine(clients))).toMatchObject({
        held: 0,
        failure: expect.stringContaining('REFUSED'),
      })
    } finally {
      await clients.stop()
    }
  })
})

test.skipIf(process.platform !== 'linux')('resident memory is that of a process and its children', async () => {
  const work = 'const kept = Buffer.alloc(64 * 1024 * 1024, 1); console.log(kept.length); process.stdin.resume()'
  const child = startChild(['sh', '-c', `"${process.execPath}" -e '${work}'; true`], { core: null })
  try {
    await firstLine(child)
    expect(residentBytes(child.pid)).toBeGreaterThan(64 * 1024 * 1024)
  } finally {
    // The grandchild ends with its standard input.
    child.process.stdin?.end()
    await child.stop()
  }
})

test('a program can write its standard output to a file instead', async () => {
  const stdout = join(folder, 'stdout')
  const child = startChild([process.execPath, '-e', "console.log('line')"], { core: null, stdout })
  await new Promise((resolve) => child.process.once('close', resolve))
  expect(readFileSync(stdout, 'utf8')).toBe('line\n')
})

describe('heap snapshots', () => {
  /** Nodes as [type, name, self size] of a snapshot with the least that is read. */
  const write = (file: string, nodes: readonly (readonly [type: string, name: string, size: number])[]) => {
    const types = ['hidden', 'object', 'string']
    const strings = [...new Set(nodes.map(([, name]) => name))]
    const flat = nodes.flatMap(([type, name, size], id) => [types.indexOf(type), strings.indexOf(name), id, size])
    const meta = { node_fields: ['type', 'name', 'id', 'self_size'], node_types: [types, 'string', 'number', 'number'] }
    const path = join(folder, file)
    writeFileSync(path, JSON.stringify({ snapshot: { meta }, nodes: flat, strings }))
    return summarise(path)
  }

  test('objects are summed by constructor, all else by kind', () => {
    const sums = write('one', [
      ['object', 'Client', 100],
      ['object', 'Client', 120],
      ['string', 'Client', 24],
      ['string', 'other', 16],
    ])
    expect([...sums]).toEqual([
      ['Client', { count: 2, bytes: 220 }],
      ['(string)', { count: 2, bytes: 40 }],
    ])
  })

  test('growth names what has changed, the most first, what is new or gone included', () => {
    const before = write('before', [
      ['object', 'Client', 100],
      ['object', 'Gone', 50],
      ['string', 'same', 16],
    ])
    const after = write('after', [
      ['object', 'Client', 100],
      ['object', 'Client', 100],
      ['object', 'New', 300],
      ['string', 'same', 16],
    ])
    expect(growthBetween(before, after)).toEqual([
      { name: 'New', count: 1, bytes: 300 },
      { name: 'Client', count: 1, bytes: 100 },
      { name: 'Gone', count: -1, bytes: -50 },
    ])
  })
})
