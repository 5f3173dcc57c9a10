/**
 * The verb `serve`: reads the config file, starts the proxy, and keeps it until a signal ends it (signals.ts), or another process
 * serves in its place (replaceable.ts).
 *
 * A signal that comes during the start is kept: SIGHUP reads the file again once the start is over; SIGTERM and SIGINT give the
 * start up. Why a start failed is told by start-failure.ts.
 */
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { sleep, systemClock } from '../clock.ts'
import { parseSpec, printFault } from '../config/load.ts'
import type { Spec } from '../config/schema.ts'
import { serve } from '../serve.ts'
import type { ServeSignals } from '../signals.ts'
import type { StandardStreams } from '../standard-streams.ts'
import { unreadInWords } from '../unread.ts'
import type { Running } from './options.ts'
import { Replaceable } from './replaceable.ts'
import { startFaults, takenAddresses } from './start-check.ts'
import { BadConfig, startFailure } from './start-failure.ts'

const CONFIG_DEFAULT = 'turnout.yaml'
/** Time for a start that was told to end to close what it has opened. */
const START_END_MS = 500

/**
 * How much bytecode V8 may inline into one function, 920 by itself: a request runs through more than that, and costs 2 to 3 % less
 * when it may. A V8 that does not know the option says so, and goes on.
 *
 * Set once we serve, for all threads: V8 does not use what it or Node has kept compiled from before its options changed, and a
 * start that has to compile all of that again takes 70 to 100 ms of CPU more.
 */
const INLINE_MORE = '--max-inlined-bytecode-size-cumulative=2500'

function readSpec(path: string): Spec {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    const what = isMissing ? '; --config FILE names another' : ''
    throw new BadConfig(`${path} cannot be read: ${unreadInWords(error)}${what}`)
  }
  // An editor or a disk that is full leaves such a file; taken for a config it would remove every service.
  if (text.trim() === '') throw new BadConfig(`${path} is empty`)
  const loaded = parseSpec(text, { env: process.env, source: path })
  if ('faults' in loaded) throw new BadConfig(loaded.faults.map(printFault).join('\n'))
  return loaded.spec
}

type Streams = Pick<StandardStreams, 'stdout' | 'stderr'>

/** Runs `serve` with these arguments until a signal ends it; resolves with the exit code, or null when help is asked for. */
export async function runServe(args: string[], signals: ServeSignals, io: Streams): Promise<number | null> {
  let values: { config?: string; check?: boolean; help?: boolean }
  try {
    const options = {
      config: { type: 'string' },
      check: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    } as const
    const { positionals, ...parsed } = parseArgs({ args, options, allowPositionals: true })
    if (positionals.length > 0)
      throw new Error(`which file it is says --config: turnout serve --config ${positionals[0]}`)
    values = parsed.values
  } catch (error) {
    io.stderr.write(`turnout serve: ${(error as Error).message}\nusage: turnout serve [--config FILE] [--check]\n`)
    return 2
  }
  if (values.help) return null
  const path = values.config ?? CONFIG_DEFAULT
  const replaceable = new Replaceable(signals)
  try {
    const spec = readSpec(path)
    // A config often lies where nothing may be written; what is kept goes where we were started.
    const places = { directory: dirname(resolve(path)), stateDirectory: process.cwd() }
    const secretKey = process.env['TURNOUT_SECRET_KEY']
    if (values.check) {
      const faults = await startFaults(spec, places, secretKey)
      if (faults.length > 0) throw new BadConfig(faults.join('\n'))
      for (const taken of await takenAddresses(spec)) io.stderr.write(`turnout serve: ${taken}\n`)
      const count = Object.keys(spec.services).length
      io.stdout.write(`${path} is valid: ${count} ${count === 1 ? 'service' : 'services'}\n`)
      return 0
    }
    const reread = () => readSpec(path)
    const start = serve({
      spec,
      reread,
      ...places,
      ...(secretKey !== undefined && { secretKey }),
      signal: signals.ended,
      ...replaceable.options(spec, places),
    })
    const running = await Promise.race([start, tooLate(signals)])
    if (running === null) return 0
    running.log.info({ listeners: running.listeners, admin: running.admin }, 'serving')
    setFlagsFromString(INLINE_MORE)
    replaceable.serves(running)
    const code = await Promise.race([untilEnded(running, signals, replaceable), signals.now.then(() => 1)])
    replaceable.ends(code)
    return code
  } catch (error) {
    // Told to end while it started: it serves nobody and has cleaned up.
    if (signals.ended.aborted) return 0
    const why = startFailure(error)
    io.stderr.write(why + '\n')
    await replaceable.failed(why)
    return 1
  }
}

/** Resolves when the start was told to end and has had its time to close what it has opened. */
async function tooLate(signals: ServeSignals): Promise<null> {
  await signals.whenEnded
  await sleep(systemClock, START_END_MS)
  return null
}

/** Serves until a signal ends it, or another process serves in its place; the exit code. */
async function untilEnded(running: Running, signals: ServeSignals, replaceable: Replaceable): Promise<number> {
  const { log } = running
  signals.onReload(() =>
    running.reload().then(
      ({ revision, epoch, appliedInMs, changed, kept }) => {
        const places = kept.map(({ pointer }) => pointer)
        const but = places.length > 0 ? '; what others have changed of it since was kept' : ''
        log.info({ revision, epoch, appliedInMs, changed, kept: places }, `the config file was read again${but}`)
      },
      (error: unknown) => log.error(`the config file was not applied:\n${startFailure(error)}`),
    ),
  )
  await Promise.race([signals.whenEnded, replaceable.whenDrained])
  try {
    if (signals.ended.aborted) log.info({ signal: signals.ended.reason }, 'finishing what is under way')
    await replaceable.giveUp()
    await running.close()
    return await replaceable.over()
  } catch (error) {
    log.error({ err: error }, 'could not end cleanly')
    return 1
  }
}
