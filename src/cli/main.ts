/**
 * The command line but for `serve`: find the verb, read its options, run it, turn what was thrown into an exit code.
 *
 * Options that every verb has may stand before or behind it. Results go to standard output, everything else to standard error, so
 * that `--json` can be piped; with it a failure is JSON too, on standard error. Exit codes: 0 done, 1 refused or failed, 2 bad usage, 3 admin API out of reach, 4 rolled back.
 */
import { type ParseArgsConfig, parseArgs } from 'node:util'
import { type Clock, systemClock } from '../clock.ts'
import { openAdmin } from './admin.ts'
import { apply } from './apply.ts'
import { back } from './back.ts'
import { plain } from './columns.ts'
import { completionVerb } from './completion.ts'
import { diff } from './diff.ts'
import { dryRun } from './dry-run.ts'
import { calledHere } from './elsewhere.ts'
import { events } from './events.ts'
import { explain } from './explain.ts'
import { exportVerb } from './export.ts'
import { CliFailure, failureAsJson, usageFailure } from './failure.ts'
import { history } from './history.ts'
import { hold, release } from './hold.ts'
import { revisionOf } from './insist.ts'
import { maintenance } from './maintenance.ts'
import { manVerb } from './man.ts'
import { nounVerbs } from './nouns.ts'
import { restore } from './restore.ts'
import { deploy, rollout } from './rollout.ts'
import { split } from './split.ts'
import { stateVerbs } from './state.ts'
import { status } from './status.ts'
import { switchVerb } from './switch.ts'
import { upgrade } from './upgrade.ts'
import { generalHelp, nearestName, SERVE, serveHelp, usageOf, verbHelp } from './usage.ts'
import type { Verb } from './verb.ts'

/** Where a call of the command line reads and writes. */
export interface CliIo {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdout: {
    write(text: string): unknown
    readonly isTTY?: boolean
    readonly columns?: number
    readonly rows?: number
  }
  readonly stderr: { write(text: string): unknown }
  /** Ends verbs that go on; default: SIGINT. */
  readonly signal?: AbortSignal
  /** Aborts when standard output takes nothing any more, which ends them too. */
  readonly gone?: AbortSignal
  /** What `--version` prints. */
  readonly version?: string
  readonly clock?: Clock
}

const VERBS: readonly Verb[] = [
  status,
  split,
  switchVerb,
  back,
  ...stateVerbs,
  hold,
  release,
  maintenance,
  deploy,
  rollout,
  explain,
  dryRun,
  events,
  history,
  restore,
  apply,
  diff,
  exportVerb,
  ...nounVerbs,
  upgrade,
  completionVerb(() => VERBS),
  manVerb(() => VERBS),
]

const GLOBAL_OPTIONS = {
  admin: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} satisfies ParseArgsConfig['options']

/** The long one is ours; the others are what people of other programs type. */
const VERSION_OPTIONS: ReadonlySet<string> = new Set(['--version', '-v', '-V'])

/** Runs one command (without node and script in `argv`) and resolves with its exit code. */
export async function runCli(argv: readonly string[], io: CliIo): Promise<number> {
  try {
    await run(argv, io)
    return 0
  } catch (error) {
    if (!(error instanceof CliFailure)) throw error
    const lines = argv.includes('--json') ? [failureAsJson(error)] : [`turnout: ${error.message}`, ...error.lines]
    io.stderr.write(lines.map((line) => plain(line) + '\n').join(''))
    return error.exitCode
  }
}

async function run(argv: readonly string[], io: CliIo): Promise<void> {
  const { name, rest } = splitVerb(argv)
  if (name === 'version' || (name === undefined && rest.some((word) => VERSION_OPTIONS.has(word)))) {
    return void io.stdout.write(`${io.version ?? 'unknown'}\n`)
  }
  if (name === undefined || name === 'help') {
    const isAsked = name === 'help' || rest.some((word) => word === '--help' || word === '-h')
    if (isAsked) return void io.stdout.write(helpOn(rest.find((word) => !word.startsWith('-'))))
    throw usageFailure(`which verb? One of ${names().join(', ')}; see turnout --help.`)
  }
  const verb = VERBS.find((candidate) => candidate.name === name)
  if (verb === undefined) throw unknownVerb(name)
  const { values, positionals } = parse(verb, rest)
  if (values['help'] === true) return void io.stdout.write(verbHelp(verb))
  const [min, max] = verb.argsCount
  if (positionals.length < min || positionals.length > max) {
    throw usageFailure(`usage: turnout ${usageOf(verb)}`)
  }
  await runVerb(verb, positionals, values, io)
}

type Values = Record<string, string | boolean | (string | boolean)[] | undefined>

async function runVerb(verb: Verb, args: readonly string[], options: Values, io: CliIo): Promise<void> {
  const ended = new AbortController()
  const end = (): void => ended.abort()
  const signal = io.signal === undefined ? ended.signal : AbortSignal.any([io.signal, ended.signal])
  const admin = openAdmin(options['admin'] as string | undefined, io.env, revisionOf(options), signal)
  if (io.signal === undefined) process.once('SIGINT', end)
  io.gone?.addEventListener('abort', end)
  try {
    await verb.run({
      args,
      options,
      json: options['json'] === true,
      env: io.env,
      admin,
      clock: io.clock ?? { ...systemClock, nowMs: () => systemClock.nowMs() + admin.clockAheadMs },
      signal,
      // One that is dumb cannot be drawn on.
      isTerminal: io.stdout.isTTY === true && io.env['TERM'] !== 'dumb',
      // Some terminals do not say, or say 0.
      size: () => ({ columns: io.stdout.columns || 80, rows: io.stdout.rows || 24 }),
      print: (text) => void io.stdout.write(text),
      note: (line) => void io.stderr.write(`turnout: ${line}\n`),
    })
  } finally {
    process.removeListener('SIGINT', end)
    io.gone?.removeEventListener('abort', end)
    await admin.close()
  }
}

const names = (): string[] => [SERVE, ...VERBS].map(({ name }) => name)

function helpOn(name: string | undefined): string {
  if (name === SERVE.name) return serveHelp()
  if (name === undefined || name === 'help') return generalHelp(VERBS)
  const verb = VERBS.find((candidate) => candidate.name === name)
  if (verb === undefined) throw unknownVerb(name)
  return verbHelp(verb)
}

function unknownVerb(name: string): CliFailure {
  if (name === SERVE.name) return usageFailure(`serve comes first: turnout ${SERVE.name} ${SERVE.args}`)
  const here = calledHere(name)
  if (here !== null) return usageFailure(`there is no verb "${name}". Here it is: turnout ${here}`)
  const meant = nearestName(name, names())
  const hint = meant === null ? 'See turnout --help.' : `Did you mean ${meant}?`
  return usageFailure(`there is no verb "${name}". ${hint}`)
}

/** Takes the verb out of the arguments: the first that is neither an option nor the value of `--admin`. */
function splitVerb(argv: readonly string[]): { name: string | undefined; rest: string[] } {
  const rest = [...argv]
  for (let index = 0; index < rest.length; index++) {
    if (rest[index] === '--admin') index++
    else if (!rest[index].startsWith('-')) return { name: rest.splice(index, 1)[0], rest }
  }
  return { name: undefined, rest }
}

function parse(verb: Verb, args: readonly string[]): { values: Values; positionals: readonly string[] } {
  const options = { ...GLOBAL_OPTIONS, ...verb.options }
  try {
    const parsed = parseArgs({ args: [...args], options, allowPositionals: true })
    insistOnValues(verb, parsed)
    return parsed
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (!code?.startsWith('ERR_PARSE_ARGS')) throw error
    const [, word] = /^Unknown option '--([^']+)'/.exec(message) ?? []
    const meant = word === undefined ? null : nearestName(word, Object.keys(options))
    const isFile = message.startsWith("Unknown option '-f'") && verb.args === 'FILE'
    const hint = isFile
      ? ` (here it is: turnout ${verb.name} FILE)`
      : meant === null
        ? ''
        : ` (did you mean --${meant}?)`
    throw usageFailure(`${message.split(/\. |\.?\n/)[0]}${hint}. See turnout ${verb.name} --help.`)
  }
}

/** What is empty was mostly a variable of a script that was not set: it would name nothing, or take away what is there. */
function insistOnValues({ name, args, takesEmpty }: Verb, { values, positionals }: ReturnType<typeof parse>): void {
  const empty = Object.entries(values).find(([, value]) => [value].flat().includes(''))
  if (empty !== undefined) throw usageFailure(`--${empty[0]} is empty. See turnout ${name} --help.`)
  if (takesEmpty !== true && positionals.includes(''))
    throw usageFailure(`an argument is empty: usage: turnout ${name} ${args}`)
}
