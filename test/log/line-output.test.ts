/** Standard output that is never waited for, on pipes that do not block: full, emptied, without a reader. */
import { closeSync, constants, openSync, readFileSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { LineOutput } from '../../src/log/line-output.ts'
import { program, run } from '../helpers/programs.ts'
import { temporaryFolder } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'

const { O_NONBLOCK, O_RDONLY, O_WRONLY } = constants
const mkfifo = program('mkfifo')
const ignore = () => {}

function open(path: string, flags: number): number {
  const fd = openSync(path, flags)
  onTestFinished(() => closeSync(fd))
  return fd
}

/** A pipe neither of whose ends blocks. */
async function pipe(): Promise<{ reader: number; writer: number }> {
  const path = join(temporaryFolder(), 'pipe')
  await run(mkfifo as string, [path])
  const reader = openSync(path, O_RDONLY | O_NONBLOCK)
  return { reader, writer: open(path, O_WRONLY | O_NONBLOCK) }
}

/** What is in the pipe now, or as many bytes of it. */
function take(reader: number, count = 1_000_000): string {
  const bytes = Buffer.alloc(count)
  try {
    return bytes.toString('latin1', 0, readSync(reader, bytes))
  } catch {
    return ''
  }
}

const batch = (name: string, count: number) => Buffer.from(`${name} line\n`.repeat(count))

test('lines are written in the order in which they came, and each is told when it is', async () => {
  const path = join(temporaryFolder(), 'log')
  const output = new LineOutput(open(path, constants.O_CREAT | O_WRONLY), systemClock, ignore)
  const written: number[] = []
  for (let i = 0; i < 20; i++) output.write(batch(String(i), 1), () => written.push(i))
  expect(written).toEqual([])
  await until('all were written', () => written.length === 20)
  expect(readFileSync(path, 'latin1')).toBe(Array.from({ length: 20 }, (_, i) => `${i} line\n`).join(''))
  expect(written).toEqual(Array.from({ length: 20 }, (_, i) => i))
})

test.skipIf(mkfifo === null)('what a full pipe does not take waits for its reader, and nothing is lost', async () => {
  const { reader, writer } = await pipe()
  onTestFinished(() => closeSync(reader))
  const output = new LineOutput(writer, systemClock, () => expect.unreachable('a full pipe is no failure'))
  const batches = Array.from({ length: 8 }, (_, i) => batch(String(i), 7_001))
  const written: number[] = []
  for (const [i, lines] of batches.entries()) output.write(lines, () => written.push(i))
  let text = ''
  await until('all was read', () => {
    text += take(reader)
    return written.length === 8
  })
  text += take(reader)
  expect(text === batches.join('')).toBe(true)
})

test.skipIf(mkfifo === null)('at the exit of the process what waits is written at once', async () => {
  const { reader, writer } = await pipe()
  onTestFinished(() => closeSync(reader))
  const output = new LineOutput(writer, systemClock, ignore)
  output.write(batch('first', 1), ignore)
  output.write(batch('second', 1), ignore)
  output.writeRest()
  // The first is in the hands of the system.
  let text = take(reader)
  expect(text).toContain('second line\n')
  await until('the first was written', () => {
    text += take(reader)
    return text.includes('first line\n')
  })
  expect(text.match(/line\n/g)).toHaveLength(2)
})

test.skipIf(mkfifo === null)(
  'one that is stopped ends the write that is under way, and the rest follows in order',
  async () => {
    const { reader, writer } = await pipe()
    onTestFinished(() => closeSync(reader))
    const output = new LineOutput(writer, systemClock, ignore)
    const names = ['first', 'second', 'third']
    for (const name of names) output.write(batch(name, 1), ignore)
    await output.stop()
    expect(take(reader)).toBe('first line\n')
    output.writeRest()
    output.writeRest()
    expect(take(reader)).toBe('second line\nthird line\n')
    await output.stop()
  },
)

test.skipIf(mkfifo === null)(
  'a full pipe does not keep it from being stopped, nor from going on where it was',
  async () => {
    const { reader, writer } = await pipe()
    onTestFinished(() => closeSync(reader))
    const output = new LineOutput(writer, systemClock, ignore)
    const lines = batch('x', 15_000)
    output.write(lines, ignore)
    await output.stop()
    let text = take(reader)
    expect(text.length).toBeLessThan(lines.length)
    output.writeRest()
    text += take(reader)
    expect(text === lines.toString()).toBe(true)
  },
)

test('what waits for standard output when the process exits at once is still written', async () => {
  const module = (path: string) => JSON.stringify(new URL(path, import.meta.url).href)
  const script = `
    import { systemClock } from ${module('../../src/clock.ts')}
    import { openAccessLog } from ${module('../../src/log/log.ts')}
    const output = openAccessLog({ warn() {} }, systemClock)
    for (const name of ['first', 'second', 'third']) output.write(Buffer.from(name + ' line\\n'), () => {})
    process.exit()`
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script])
  // The first is in the hands of the system, and may come between the others.
  const lines = String(stdout)
    .split('\n')
    .filter((line) => line !== 'first line')
  expect(lines).toEqual(['second line', 'third line', ''])
})

test.skipIf(mkfifo === null)(
  'when the reader has gone, that is told once, and lines are thrown away and counted',
  async () => {
    const { reader, writer } = await pipe()
    const codes: unknown[] = []
    const output = new LineOutput(writer, systemClock, ({ code }: NodeJS.ErrnoException) => codes.push(code))
    const lost: number[] = []
    const write = (lines: Buffer) => output.write(lines, (count) => lost.push(count))
    // More than the pipe takes, so that it has gone in the midst of them.
    write(batch('x', 15_000))
    await vi.waitFor(() => expect(take(reader, 7)).toBe('x line\n'))
    closeSync(reader)
    for (const count of [1, 2]) write(batch('y', count))
    await until('all were taken', () => lost.length === 3)
    expect(lost[0]).toBeGreaterThan(0)
    expect(lost[0]).toBeLessThan(15_000)
    write(batch('z', 3))
    expect(lost.slice(1)).toEqual([1, 2, 3])
    expect(codes).toEqual(['EPIPE'])
  },
)

test('an error is told once, and lines are kept until they can be written', async () => {
  const path = join(temporaryFolder(), 'log')
  const errors: Error[] = []
  const pauses: (() => void)[] = []
  const after = (_: number, run: () => void) => {
    pauses.push(run)
    return ignore
  }
  // A descriptor for reading cannot be written; the same number for writing can.
  closeSync(openSync(path, 'w'))
  const fd = openSync(path, 'r')
  const output = new LineOutput(fd, { ...systemClock, after }, (error) => errors.push(error))
  let written = 0
  output.write(batch('a', 1), () => written++)
  output.write(batch('b', 1), () => written++)
  for (let i = 1; i <= 3; i++) {
    await until('it failed', () => pauses.length === 1)
    expect(errors).toHaveLength(1)
    if (i < 3) pauses.splice(0)[0]()
  }
  closeSync(fd)
  expect(openSync(path, 'w')).toBe(fd)
  onTestFinished(() => closeSync(fd))
  pauses.splice(0)[0]()
  await until('both were written', () => written === 2)
  expect(readFileSync(path, 'latin1')).toBe('a line\nb line\n')
})
