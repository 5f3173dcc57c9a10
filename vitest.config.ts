import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { LongestFirst } from './test/sequencer.ts'

// Tests use real sockets and worker threads, so each file gets a process of its own. Many wait half of their time, so there are two
// more at a time than there are cores. Those of pure rooms leave nothing behind, so their files follow each other in one process.
const ALL = 'test/**/*.test.ts'
const PURE = [
  'test/table/*.test.ts',
  'test/config/*.test.ts',
  'test/dataplane/http1/{body,fields,request-head,response-head}.test.ts',
]
// .ci/run names a file that the results are also written to, as JSON.
const report = process.env['TURNOUT_TEST_REPORT']

// Hundreds of workers and processes are started, each from the same hundred files of TypeScript: Node strips and compiles them
// once. Forks and what they start inherit this.
process.env['NODE_COMPILE_CACHE'] ??= fileURLToPath(new URL('node_modules/.cache/node', import.meta.url))

export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: availableParallelism() + 2,
    sequence: { sequencer: LongestFirst },
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // Until the suite has been clean ten times in a row on a quiet machine: a second try in CI, which the report names.
    retry: process.env['CI'] === 'true' ? 1 : 0,
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
    projects: [
      { extends: true, test: { name: 'pure', include: PURE, isolate: false } },
      { extends: true, test: { name: 'rest', include: [ALL], exclude: [...PURE, '**/node_modules/**'] } },
    ],
  },
})
