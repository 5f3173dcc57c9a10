/** What is shipped, as vitest.config.ts has built it: it starts in two thirds of the time that its sources take. */
import { fileURLToPath } from 'node:url'

/** The command line: `node MAIN serve …`. */
export const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url))
/** The worker thread. */
export const WORKER_ENTRY = new URL('../../dist/dataplane/worker.js', import.meta.url)
