/** Events in a file: what a restart finds, what is damaged, how long it grows, and a disk that takes nothing. */
import { appendFileSync, mkdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from 'node:fs'
import fs from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import type { ControlEvent } from '../../src/change.ts'
import { systemClock } from '../../src/clock.ts'
import { EVENTS_KEPT } from '../../src/config/event-types.ts'
import { createEvents } from '../../src/control/events.ts'
import { EventFile } from '../../src/store/event-file.ts'
import { temporaryFolder } from '../helpers/proxy.ts'

const event = (id: number, message = 'm'): ControlEvent => ({
  id,
  atMs: 7,
  type: 'health',
  service: 'shop',
  message,
  data: {},
})
const told: string[] = []
/** On which nobody waits for what is to come. */
const hurried = { ...systemClock, after: (_ms: number, run: () => void) => systemClock.after(1, run) }
const fileAt = (path: string, clock = systemClock) =>
  new EventFile({ path, clock, tell: (_level, message) => void told.push(message) })

test('a restart finds what was told before, in the order of ids, readable by its owner only, and goes on with higher ones', async () => {
  const path = join(temporaryFolder(), 'events')
  const file = fileAt(path)
  expect(await file.read()).toEqual([])
  for (const id of [1, 3, 2]) file.add(event(id))
  await file.close()
  expect(statSync(path).mode & 0o777).toBe(0o600)
  const past = await fileAt(path).read()
  expect(past).toEqual([1, 2, 3].map((id) => event(id)))
  const next = (isHeir?: boolean) => {
    const events = createEvents(systemClock, { info() {}, warn() {}, error() {} }, past, isHeir)
    events.publish({ type: 'worker', service: null, message: '', data: {} })
    return events.list().at(-1)?.id
  }
  expect(next()).toBe(4)
  // The one before has the ids between for its own end.
  expect(next(true)).toBe(4 + EVENTS_KEPT)
})

test('what the process before has told meanwhile has its place among what this one has, once', () => {
  const past = [event(1), event(2)]
  const events = createEvents(systemClock, { info() {}, warn() {}, error() {} }, past, true)
  const heard: number[] = []
  events.subscribe(({ id }) => heard.push(id))
  const tell = () => events.publish({ type: 'health', service: 'shop', message: 'own', data: {} })
  tell()
  const [own] = events.list(2)
  // So it stands in the file, which both have written; what has the number of a later one would be its double.
  events.takeIn([event(2), event(4), event(3), own, event(own.id + 1)])
  tell()
  expect(events.list().map(({ id }) => id)).toEqual([1, 2, 3, 4, own.id, own.id + 1])
  expect(heard).toEqual([own.id, own.id + 1])
})

test('what waits is written at once when it is asked for, and not again', async () => {
  const path = join(temporaryFolder(), 'events')
  const late: (() => void)[] = []
  const after = (_ms: number, run: () => void) => {
    late.push(run)
    return () => void late.splice(0)
  }
  const file = fileAt(path, { ...systemClock, after })
  await file.flush()
  file.add(event(1))
  await file.flush()
  const written = () =>
    readFileSync(path, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as ControlEvent).id)
  expect(written()).toEqual([1])
  expect(late).toEqual([])
  // And it goes on as ever.
  file.add(event(2))
  expect(late).toHaveLength(1)
  await file.close()
  expect(written()).toEqual([1, 2])
})

test('a line that was cut off, or is no event, is left out, and what comes after it is whole', async () => {
  const path = join(temporaryFolder(), 'events')
  writeFileSync(
    path,
    `${JSON.stringify(event(1))}\n{"id":2,"type":"other"}\nnonsense\n${JSON.stringify(event(3)).slice(0, 20)}`,
  )
  const file = fileAt(path)
  expect(await file.read()).toEqual([event(1)])
  file.add(event(4))
  await file.close()
  expect(await fileAt(path).read()).toEqual([event(1), event(4)])
})

test('what a disk that is full took a part of is there once, and whole, when it is written again', async () => {
  const path = join(temporaryFolder(), 'events')
  told.length = 0
  const file = fileAt(path, hurried)
  const { appendFile } = fs
  fs.appendFile = async (to, text, options) => {
    fs.appendFile = appendFile
    syncBuiltinESMExports()
    await appendFile(to, String(text).slice(0, -20), options)
    throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
  }
  syncBuiltinESMExports()
  for (const id of [1, 2, 3]) file.add(event(id))
  await vi.waitFor(() => expect(told).toHaveLength(2))
  await file.close()
  expect(readFileSync(path, 'utf8').trimEnd().split('\n')).toHaveLength(6)
  expect(await fileAt(path).read()).toEqual([event(1), event(2), event(3)])
})

test('it is cut to the last ones when it has too many', async () => {
  const path = join(temporaryFolder(), 'events')
  appendFileSync(path, Array.from({ length: 2 * EVENTS_KEPT }, (_, n) => `${JSON.stringify(event(n + 1))}\n`).join(''))
  const file = fileAt(path)
  await file.read()
  file.add(event(2 * EVENTS_KEPT + 1))
  await file.close()
  expect(readFileSync(path, 'utf8').trimEnd().split('\n')).toHaveLength(EVENTS_KEPT)
  expect((await fileAt(path).read()).at(-1)).toEqual(event(2 * EVENTS_KEPT + 1))
})

test('where nothing can be written that is told once, and what waited is written once it can', async () => {
  const path = join(temporaryFolder(), 'events')
  mkdirSync(path)
  told.length = 0
  const file = fileAt(path, hurried)
  file.add(event(1))
  await vi.waitFor(() => expect(told).toHaveLength(1))
  expect(told[0]).toContain(`events cannot be written to ${path}, so a restart would lose them: `)
  rmdirSync(path)
  file.add(event(2))
  await vi.waitFor(() => expect(told).toHaveLength(2))
  expect(told[1]).toBe(`events can be written to ${path} again`)
  await file.close()
  expect(await fileAt(path).read()).toEqual([event(1), event(2)])
})
