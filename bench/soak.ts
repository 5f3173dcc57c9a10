/**
 * `node bench/soak.ts`: Turnout at full load for ten minutes, and what its memory does meanwhile.
 *
 * After a warm-up a heap snapshot of the worker is thrown away, so that what taking one needs is in the memory of the process
 * from the start. Then one minute of load; memory is read and a snapshot taken; load until the end; memory again, and a
 * snapshot. Resident memory is read while garbage is as it is, right after the load, and in between every few seconds. While a
 * snapshot is taken the worker stands still, so the load pauses.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bestLoad } from './compare.ts'
import { median } from './measure.ts'
import { positive, readOptions, say } from './options.ts'
import type { ThreadMemory } from './probe.ts'
import { type Probed, startProbed } from './probed.ts'
import { LOAD_CORE, PROXY_CORE, residentBytes } from './process.ts'
import { decimal, occasion, writeSection } from './report.ts'
import { SCENARIOS } from './scenario.ts'
import { type Growth, growthBetween, type Sum, summarise } from './snapshot.ts'
import { startTargets } from './targets.ts'

const MINUTE_S = 60
const SAMPLE_MS = 5_000
const WARM_UP_S = 5
/** Constructors in the report. */
const GROWN_MAX = 12

/** The memory of the process at a moment: bytes. */
interface Reading {
  readonly minute: number
  readonly resident: number
  /** JavaScript heap in use by thread, the main thread first. */
  readonly heaps: readonly number[]
}

interface Soaked {
  readonly minutes: number
  readonly requests: number
  readonly errors: number
  /** Resident memory after the warm-up, before any snapshot. */
  readonly fresh: number
  readonly first: Reading
  readonly last: Reading
  readonly samples: readonly Reading[]
  /** The worker's heap after garbage collection, at minute one and at the end. */
  readonly kept: readonly [first: ThreadMemory, last: ThreadMemory]
  readonly growth: readonly Growth[]
}

class Soak {
  requests = 0
  errors = 0
  readonly samples: Reading[] = []
  private loadedMs = 0
  private readonly proxy: Probed
  private readonly folder: string

  constructor(proxy: Probed, folder: string) {
    this.proxy = proxy
    this.folder = folder
  }

  async read(): Promise<Reading> {
    const resident = residentBytes(this.proxy.pid) ?? Number.NaN
    const heaps = (await this.proxy.ask('memory')).map(({ heapUsed }) => heapUsed)
    return { minute: this.loadedMs / 60_000, resident, heaps }
  }

  /** Loads the proxy for a while, samples meanwhile, and reads its memory at the end. */
  async load(seconds: number): Promise<Reading> {
    const startMs = performance.now() - this.loadedMs
    const sample = setInterval(() => {
      this.loadedMs = performance.now() - startMs
      void this.read().then((reading) => {
        this.samples.push(reading)
        say(`${decimal(reading.minute, 1)} min: ${megabytes(reading.resident)} MiB resident`)
      })
    }, SAMPLE_MS)
    const { requests, errors } = await bestLoad(this.proxy.port, SCENARIOS[1], seconds)
    clearInterval(sample)
    this.loadedMs = performance.now() - startMs
    this.requests += requests
    this.errors += errors
    return this.read()
  }

  /** The worker's heap by constructor, and its memory without garbage; the file is deleted. */
  async snapshot(): Promise<{ sums: Map<string, Sum>; memory: ThreadMemory }> {
    const memory = (await this.proxy.ask('snapshot', this.folder)).at(-1)!
    const sums = summarise(memory.snapshot)
    rmSync(memory.snapshot)
    return { sums, memory }
  }
}

async function soak(minutes: number, minuteSeconds: number): Promise<Soaked> {
  const folder = mkdtempSync(join(tmpdir(), 'turnout-bench-'))
  const { blue, green, stop } = await startTargets(LOAD_CORE)
  const proxy = await startProbed({ blue, green, folder, core: PROXY_CORE }, {})
  try {
    const fresh = (await new Soak(proxy, folder).load(Math.min(WARM_UP_S, minuteSeconds))).resident
    const run = new Soak(proxy, folder)
    await run.snapshot()
    const first = await run.load(minuteSeconds)
    const before = await run.snapshot()
    const last = minutes > 1 ? await run.load(Math.round((minutes - 1) * minuteSeconds)) : first
    const after = await run.snapshot()
    if (before.memory.thread !== after.memory.thread) throw new Error('the worker was replaced')
    const { requests, errors, samples } = run
    const growth = growthBetween(before.sums, after.sums)
    return { minutes, requests, errors, fresh, first, last, samples, kept: [before.memory, after.memory], growth }
  } finally {
    await proxy.stop()
    await stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

const megabytes = (bytes: number) => decimal(bytes / 1024 / 1024, 1)
const percent = (from: number, to: number) => `${to >= from ? '+' : ''}${decimal((100 * (to - from)) / from, 1)} %`

function render({ minutes, requests, errors, fresh, first, last, samples, kept, growth }: Soaked): string {
  const row = (name: string, from: number, to: number) =>
    `| ${name} | ${megabytes(from)} | ${megabytes(to)} | ${percent(from, to)} |`
  const resident = [first, ...samples, last].map((reading) => reading.resident)
  const grown = growth.slice(0, GROWN_MAX)
  return [
    '## Soak',
    '',
    occasion(new Date()),
    '',
    `${decimal(minutes, 0)} minutes at full load: ${decimal(requests, 0)} requests, ${errors} failed.`,
    '',
    '| MiB | minute one | end | growth |',
    '| --- | ---: | ---: | ---: |',
    row('resident memory of the process', first.resident, last.resident),
    row('JavaScript heap of the worker, garbage included', first.heaps.at(-1)!, last.heaps.at(-1)!),
    row('the same without garbage', kept[0].heapUsed, kept[1].heapUsed),
    row('outside of the heap (buffers)', kept[0].external, kept[1].external),
    row('JavaScript heap of the main thread, garbage included', first.heaps[0], last.heaps[0]),
    '',
    `Resident memory was ${megabytes(fresh)} MiB after the warm-up, before a snapshot had been taken of it; over ${resident.length} samples`,
    `since then its median was ${megabytes(median(resident))} MiB, the least ${megabytes(Math.min(...resident))}, the greatest ${megabytes(Math.max(...resident))}.`,
    '',
    'What grew most in the heap of the worker from minute one to the end, by constructor (own bytes, garbage collected):',
    '',
    '| constructor | objects | bytes |',
    '| --- | ---: | ---: |',
    ...grown.map(({ name, count, bytes }) => `| ${name.replaceAll('|', '')} | ${signed(count)} | ${signed(bytes)} |`),
    '',
    '**How it was measured.** `node bench/soak.ts`: the load of the other benches with the headers of a browser that sends no',
    'cookie of ours back, so every request is a new visitor; proxy on one core, one worker. The load pauses at minute one while the snapshot is taken; another one before the start is thrown away.',
  ].join('\n')
}

const signed = (value: number) => `${value > 0 ? '+' : ''}${decimal(value, 0)}`

const { values, ...options } = readOptions(
  'usage: node bench/soak.ts [options]\n  --minutes N         at full load (default 10)',
  null,
  { minutes: { type: 'string' } },
)
const minutes = positive('--minutes', values['minutes'] ?? (options.quick ? 2 : 10))
const soaked = await soak(minutes, options.quick ? 1 : MINUTE_S)
if (options.json) console.log(JSON.stringify(soaked))
else {
  const text = render(soaked)
  if (!options.quick) writeSection('soak', text)
  console.log(text)
}
process.exitCode = soaked.errors === 0 ? 0 : 1
