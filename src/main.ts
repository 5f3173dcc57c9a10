#!/usr/bin/env node
/**
 * The command line: `serve` runs the proxy (serve/command.ts), every other verb talks to the admin API of a running one (cli/).
 *
 * Signals of `serve`: SIGTERM and SIGINT finish what is under way and exit 0, a second one exits at once; SIGHUP reads the
 * config file again. They are listened to before anything large is loaded. Exit codes are those of CONTRACT: 0 done,
 * 1 refused or failed, 2 bad usage.
 */
import { systemClock } from './clock.ts'
import { ServeSignals } from './signals.ts'
import { openStandardStreams } from './standard-streams.ts'

/** For the last words of `serve`: nobody who does not read them may keep it from ending. */
const LAST_WORDS_MS = 1_000

const streams = openStandardStreams()

async function runVerb(argv: string[]): Promise<number> {
  const { runCli } = await import('./cli/main.ts')
  const { VERSION } = await import('./version.ts')
  return streams.finish(await runCli(argv, { env: process.env, version: VERSION, ...streams }))
}

async function runServer(args: string[], signals: ServeSignals): Promise<number> {
  // A timer of the clock does not hold a process, and there may be nothing else while it waits for a thread of the system.
  new MessageChannel().port1.ref?.()
  const load = import('./serve/command.ts')
  const isEnded = await Promise.race([load.then(() => false), signals.whenEnded.then(() => true)])
  if (isEnded) return 0
  const { runServe } = await load
  const code = await runServe(args, signals, streams)
  return code === null ? runVerb(['help', 'serve']) : Promise.race([streams.finish(code), after(LAST_WORDS_MS, code)])
}

const after = (delayMs: number, code: number): Promise<number> =>
  new Promise((resolve) => systemClock.after(delayMs, () => resolve(code)))

const argv = process.argv.slice(2)
process.exit(await (argv[0] === 'serve' ? runServer(argv.slice(1), new ServeSignals()) : runVerb(argv)))
