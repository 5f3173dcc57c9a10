/** Rollouts in the store: what is written when, what an older Turnout has written, and what is forgotten. */
import { expect, test } from 'vitest'
import type { ServiceSpec } from '../../src/config/schema.ts'
import { Archive } from '../../src/rollout/archive.ts'
import { keptOf } from '../../src/rollout/asked.ts'
import type { Kept } from '../../src/rollout/kept.ts'
import type { Rollout, State } from '../../src/rollout/rollout.ts'
import { memoryStore } from '../../src/store/memory.ts'
import type { Store } from '../../src/store/store.ts'
import { SHOP } from '../admin/stand-in.ts'

const BEGINS = { service: 'shop', id: 'r', by: 'alice', nowMs: 0, steadyMs: 0, commandFolders: [] }
const SAMPLE = keptOf({ to: 'green' }, SHOP as unknown as ServiceSpec, undefined, BEGINS)
const PASSAGE = { atMs: 0, state: 'shifting', weight: 5, reason: null } as const

function kept(id: string, state: State, more: object = {}): Kept {
  const done = state === 'done' && ({ weight: 100, work: 'afterBake' } as const)
  const rollout: Rollout = { ...SAMPLE.rollout, id, state, at: 0, ...done }
  return { ...SAMPLE, rollout, history: Array(20).fill(PASSAGE), ...more }
}

const ids = (all: readonly Kept[]) => all.map(({ rollout }) => rollout.id)
const always = () => true

/** Bytes of each write of the store, by key. */
function counted(store: Store): [key: string, bytes: number][] {
  const writes: [string, number][] = []
  const put = store.put.bind(store)
  store.put = (key, value) => {
    writes.push([key, value?.length ?? 0])
    return put(key, value)
  }
  return writes
}

async function withEnded(store: Store, count: number): Promise<Archive> {
  const archive = new Archive(store, always)
  for (let at = 0; at < count; at++) {
    await archive.keep(kept(`e-${at}`, 'shifting'))
    await archive.keep(kept(`e-${at}`, 'done'))
    archive.end(kept(`e-${at}`, 'done'))
  }
  return archive
}

test('to keep one that runs costs its own size, however many have ended before it', async () => {
  const store = memoryStore()
  const archive = await withEnded(store, 60)
  const running = kept('r-1', 'shifting')
  await archive.keep(running)
  const writes = counted(store)
  for (let at = 0; at < 5; at++) await archive.keep(running)
  expect(writes).toEqual(Array(5).fill(['rollout:shop', JSON.stringify([running]).length]))
  const again = new Archive(store, always)
  expect(ids(await again.read())).toEqual(['r-1'])
  // Fifty are kept, with the one that runs.
  expect(ids(again.ended('shop'))).toEqual(Array.from({ length: 49 }, (_, at) => `e-${59 - at}`))
})

test('what is kept of the rollouts of a service does not grow with how many there were', async () => {
  const sizeAfter = async (count: number) => {
    const store = memoryStore()
    const writes = counted(store)
    await withEnded(store, count)
    const keys = new Set(writes.map(([key]) => key))
    expect(keys).toEqual(new Set(['rollouts', 'rollout:shop', 'rollouts-before:shop']))
    const texts = await Promise.all([...keys].map((key) => store.get(key)))
    return texts.reduce((sum, text) => sum + (text?.length ?? 0), 0)
  }
  // Their ids are one digit longer.
  expect(await sizeAfter(600)).toBeLessThan((await sizeAfter(60)) * 1.2)
})

test('what an older Turnout has kept in one entry is read, and parted at the next write', async () => {
  const old = [kept('r-1', 'shifting'), kept('e-2', 'done'), kept('e-1', 'rolledBack')]
  for (const write of ['keep', 'end', 'replace', 'replace while one runs'] as const) {
    const store = memoryStore()
    await store.put('rollouts', '["shop"]')
    await store.put('rollout:shop', JSON.stringify(write === 'replace' ? old.slice(1) : old))
    const archive = new Archive(store, always)
    expect(ids(await archive.read())).toEqual(write === 'replace' ? [] : ['r-1'])
    expect(ids(archive.ended('shop'))).toEqual(['e-2', 'e-1'])
    const changed = kept('e-1', 'rolledBack', { harm: 7 })
    if (write === 'keep') await archive.keep(old[0])
    else if (write === 'replace') await archive.replace(changed, undefined)
    else if (write === 'replace while one runs') await archive.replace(changed, old[0])
    else {
      await archive.keep(kept('r-1', 'done'))
      archive.end(kept('r-1', 'done'))
    }
    expect(JSON.parse((await store.get('rollout:shop'))!)).toHaveLength(1)
    const again = new Archive(store, always)
    expect(ids(await again.read())).toEqual(write === 'keep' || write === 'replace while one runs' ? ['r-1'] : [])
    expect(ids(again.ended('shop'))).toEqual(write === 'end' ? ['r-1', 'e-2', 'e-1'] : ['e-2', 'e-1'])
    if (write.startsWith('replace')) expect(again.ended('shop')[1].harm).toBe(7)
  }
})

test('one that was cut off between its two writes, and one that has not begun, leave each rollout once', async () => {
  const store = memoryStore()
  const archive = await withEnded(store, 2)
  // The older ones are written, and then the process dies.
  const put = store.put.bind(store)
  store.put = (key, value) => (key === 'rollout:shop' ? Promise.reject(new Error('killed')) : put(key, value))
  await expect(archive.keep(kept('r-1', 'preflight'))).rejects.toThrow('killed')
  const again = new Archive(store, always)
  expect(await again.read()).toEqual([])
  expect(ids(again.ended('shop'))).toEqual(['e-1', 'e-0'])
  store.put = put
  await again.keep(kept('r-1', 'preflight'))
  await again.forget('shop')
  const last = new Archive(store, always)
  expect(await last.read()).toEqual([])
  expect(ids(last.ended('shop'))).toEqual(['e-1', 'e-0'])
})

test('one whose name could not be written is no less known after the next try', async () => {
  const store = memoryStore()
  const archive = new Archive(store, always)
  const put = store.put.bind(store)
  store.put = () => Promise.reject(new Error('away'))
  await expect(archive.keep(kept('r-1', 'preflight'))).rejects.toThrow('away')
  store.put = put
  await archive.keep(kept('r-1', 'preflight'))
  expect(ids(await new Archive(store, always).read())).toEqual(['r-1'])
})

test('of services that are no more the last fifty are known, and the others leave nothing in the store', async () => {
  const store = memoryStore()
  const services = new Set(['shop'])
  const archive = new Archive(store, (name) => services.has(name))
  const begin = async (service: string, updatedAtMs: number) => {
    const ended = kept(`r-${service}`, 'done', { service, updatedAtMs })
    await archive.keep(ended)
    archive.end(ended)
  }
  await begin('shop', 0)
  for (let at = 0; at < 60; at++) await begin(`gone-${at}`, at)
  await archive.forgetGone()
  expect(archive.services).toHaveLength(51)
  expect(archive.services).toContain('shop')
  expect(archive.services).not.toContain('gone-9')
  expect([await store.get('rollout:gone-9'), await store.get('rollouts-before:gone-9')]).toEqual([null, null])
  expect(JSON.parse((await store.get('rollouts'))!)).toEqual(archive.services)
  expect(ids(archive.ended('gone-59'))).toEqual(['r-gone-59'])
})
