import { defineConfig } from 'vitest/config'

// Tests use real sockets and worker threads, so each file gets a process of its own, and two at a time suit two cores.
// .ci/run names a file that the results are also written to, as JSON.
const report = process.env['TURNOUT_TEST_REPORT']

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
  },
})
