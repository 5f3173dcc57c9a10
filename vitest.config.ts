import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { build } from 'rolldown'
import { defineConfig } from 'vitest/config'
import built from './rolldown.config.ts'
import { LongestFirst } from './test/sequencer.ts'

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

// Many files wait for most of their time, so there are four more at a time than there are cores: with three more the cores were idle at
// times, and with six or ten more it took no less. Those that load the machine, measure their own process or try what a process does at
// its end have one of their own each; all others leave nothing behind, so they follow each other in the same ones, which load the modules
// once.
const ALL = 'test/**/*.test.ts'
const OWN_PROCESS = [
  'test/{attacks,bench,demo,fuzz,workers}/**/*.test.ts',
  'test/e2e/{clock-jump,idle-memory,many-services,python,signals,worker-loss}.test.ts',
]
// .ci/run names a file that the results are also written to, as JSON.
const report = process.env['TURNOUT_TEST_REPORT']

// Hundreds of workers and processes are started, each from the same files: Node compiles them once. Forks and what they start inherit this.
process.env['NODE_COMPILE_CACHE'] ??= here('node_modules/.cache/node')
// To ask of each module whether its path is a link takes a sixth of the time of a start, and there are no links among ours.
process.env['NODE_PRESERVE_SYMLINKS'] ??= '1'
// The shared memory of each proxy is some 60 MB of which little is used. What malloc gives out a second time is filled with zeros, and so
// takes real memory, up to 2 GB of a process that runs many files; what it maps anew takes none. Only glibc knows this.
process.env['MALLOC_MMAP_THRESHOLD_'] ??= '1000000'

// Whole processes in tests are what is shipped.
await build(built)

export default defineConfig({
  // Proxies in the process of a test start the built worker, too.
  resolve: { alias: [{ find: /^.*\/worker-entry\.ts$/, replacement: here('test/helpers/built.ts') }] },
  test: {
    pool: 'forks',
    maxWorkers: availableParallelism() + 4,
    sequence: { sequencer: LongestFirst },
    setupFiles: [here('test/setup.ts')],
    // Of no test the time is judged: these end what hangs, on a machine that does much else, too.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 60_000 } },
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
    projects: [
      {
        extends: true,
        test: { name: 'rooms', include: [ALL], exclude: [...OWN_PROCESS, '**/node_modules/**'], isolate: false },
      },
      { extends: true, test: { name: 'whole', include: OWN_PROCESS } },
    ],
  },
})
