import { durationMs, inWords } from '../config/duration.ts'
import { pathOf } from './admin.ts'
import { plain } from './columns.ts'
import { usageFailure } from './failure.ts'
import { durationGiven, type Verb } from './verb.ts'

/** What the API answers (admin/upgrade.ts), as far as it is shown. */
interface Upgraded {
  readonly pid: number
  readonly version: string
  readonly from: { readonly pid: number; readonly version: string }
  readonly listeners: readonly string[]
  readonly revision: number
  readonly tookMs: number
  /** One of an older version does not tell. */
  readonly held?: { readonly requests: number; readonly refusedInMs: number } | null
}

const TIMEOUT = '60s'
const TIMEOUT_MS_MAX = durationMs('10m')

/** Has another process take the place of the one that runs. */
export const upgrade: Verb = {
  name: 'upgrade',
  args: '',
  summary: 'Replace the running process by one of the files that are there now, without a connection lost',
  argsCount: [0, 0],
  options: { timeout: { type: 'string' } },
  optionsHelp: [['--timeout TIME', `How long the new process has until it serves; default ${TIMEOUT}, at most 10m`]],
  examples: ['upgrade', 'upgrade --timeout 2m'],
  async run(call) {
    const { admin, options, json, print } = call
    const limitMs = durationGiven((options['timeout'] as string | undefined) ?? TIMEOUT, '--timeout', TIMEOUT)
    if (limitMs < 1_000 || limitMs > TIMEOUT_MS_MAX) throw usageFailure('--timeout must be from 1s to 10m.')
    const path = `${pathOf('upgrade')}?timeout=${Math.ceil(limitMs / 1_000)}s`
    const done = await admin.call<Upgraded>('POST', path, undefined, limitMs)
    if (json) return print(JSON.stringify(done) + '\n')
    const { from, listeners, pid, revision, tookMs, version } = done
    const now = `process ${pid} (${version}) serves ${listeners.join(' and ')}, revision ${revision}, after ${Math.round(tookMs)} ms`
    print(plain(`${now}; process ${from.pid} (${from.version}) finishes what is under way`) + '\n')
    if (done.held == null) return
    const { requests, refusedInMs } = done.held
    const who = requests === 1 ? 'One request that is held there is' : `${requests} requests that are held there are`
    print(
      plain(`${who} refused in ${inWords(refusedInMs)}, the end of timeouts.shutdown, unless released before`) + '\n',
    )
  },
}
