/**
 * `npm run schemathesis`: holds the running admin API against its own description. schemathesis (a program in Python) makes
 * calls from /openapi.json, sound and unsound ones, alone and in sequences, and looks at every answer with all of its checks;
 * what is excepted, and why, stands in schemathesis.toml.
 *
 * It is done with tokens, then shorter without. Beyond what the program finds, it is a fault when Turnout has ended, has met a
 * bug of its own, does not end cleanly, or (with tokens) when a call of the description was never answered by more than
 * "there is none". What a call needs may be gone by then, removed or replaced by another: such calls are made again, on a fresh
 * Turnout and by themselves, before they are a fault.
 * Exit code 1 with a fault, 2 when the program is not there.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { parse, stringify } from 'yaml'

const USAGE = `usage: npm run schemathesis -- [options]
  --program PATH  default: TURNOUT_SCHEMATHESIS, or on the path, or where .ci/run has put it
  --seconds S     in all (default 120)
  --seed N        the same seed makes the same calls (default 1)`
const TOKEN = 'a-token-for-schemathesis'
const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

interface Round {
  readonly name: string
  readonly tokens: readonly object[]
  readonly options: readonly string[]
}

interface Outcome {
  /** What is wrong, in words. */
  readonly faults: readonly string[]
  /** Calls of the description that were not reached. */
  readonly missed: readonly Call[]
}

/** As far as it is looked at: answers by call and phase. */
interface Report {
  readonly valid_rates: Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, number>>>>>>
}

function findProgram(given: string | undefined): string | null {
  const ours = join(homedir(), '.cache', 'turnout-ci', 'schemathesis', 'bin')
  const onPath = [...(process.env['PATH'] ?? '').split(delimiter), ours].map((folder) => join(folder, 'schemathesis'))
  const named = given ?? process.env['TURNOUT_SCHEMATHESIS']
  const isThere = (path: string): boolean => {
    try {
      accessSync(path, constants.X_OK)
      return true
    } catch {
      return false
    }
  }
  return (named === undefined ? onPath : [named]).find(isThere) ?? null
}

interface Turnout {
  readonly child: ChildProcess
  readonly admin: string
  /** The lines that it has written. */
  readonly log: readonly string[]
}

/** Starts Turnout in a folder and waits until it serves. */
async function startTurnout(folder: string, tokens: readonly object[]): Promise<Turnout> {
  const config = parse(readFileSync(here('turnout.yaml'), 'utf8'))
  const file = join(folder, 'turnout.yaml')
  writeFileSync(file, stringify({ ...config, admin: { ...config.admin, tokens } }))
  const child = spawn(process.execPath, [here('../../src/main.ts'), 'serve', '--config', file], { cwd: folder })
  const log: string[] = []
  const admin = await new Promise<string>((resolve, reject) => {
    for (const output of [child.stdout, child.stderr]) {
      createInterface(output).on('line', (line) => {
        log.push(line)
        if (line.includes('"msg":"serving"')) resolve(JSON.parse(line).admin)
      })
    }
    child.once('exit', () => reject(new Error(`Turnout ended at its start:\n${log.join('\n')}`)))
  })
  return { child, admin, log }
}

const hasEnded = ({ child }: Turnout): boolean => child.exitCode !== null || child.signalCode !== null

/** Ends Turnout; answers what is wrong with how it lived and ended, in words. */
async function endTurnout(turnout: Turnout): Promise<string[]> {
  const { child, log } = turnout
  if (hasEnded(turnout)) return ['Turnout has ended by itself', ...log.slice(-20)]
  child.kill('SIGTERM')
  await once(child, 'exit')
  const bugs = log.filter((line) => /"level":"(?:error|fatal)"/.test(line))
  return [...bugs, ...(child.exitCode === 0 ? [] : [`Turnout ended with ${child.exitCode ?? child.signalCode}`])]
}

interface Call {
  /** Its method and path. */
  readonly label: string
  readonly operationId: string
}

type Operation = { readonly operationId: string }
type Document = { readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>> }

/** Every call of the description that was never answered by more than 404, which says nothing of it. Itself was read before. */
function unreached({ valid_rates: rates }: Report, { paths }: Document): Call[] {
  const calls = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { operationId }]) => ({
      label: `${method.toUpperCase()} ${path}`,
      operationId,
    })),
  )
  const isReached = ({ label }: Call): boolean =>
    Object.values(rates[label] ?? {}).some(
      ({ accepted = 0, conflicts = 0, rejected = 0 }) => accepted + conflicts + rejected > 0,
    )
  return calls.filter((call) => call.label !== 'GET /openapi.json' && !isReached(call))
}

/** Runs schemathesis. */
async function hold(program: string, { admin }: Turnout, round: Round, seed: string, folder: string): Promise<Outcome> {
  const authorization = `Bearer ${TOKEN}`
  const reportPath = join(folder, 'report.json')
  const args = [
    ...['--config-file', here('schemathesis.toml'), 'run', `${admin}/openapi.json`, '--checks', 'all'],
    ...['--continue-on-failure', '--request-timeout', '15', '--seed', seed, '--report-json-path', reportPath],
    ...(round.tokens.length > 0 ? ['--header', `Authorization: ${authorization}`] : []),
    ...round.options,
  ]
  const tool = spawn(program, args, { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] })
  const [code] = await once(tool, 'exit')
  const faults = code === 0 ? [] : [`schemathesis ended with ${code}`]
  const answer = await fetch(`${admin}/openapi.json`, { headers: { authorization } }).catch(() => null)
  if (answer === null) return { faults, missed: [] }
  return { faults, missed: unreached(JSON.parse(readFileSync(reportPath, 'utf8')), (await answer.json()) as Document) }
}

async function runRound(program: string, round: Round, seed: string): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'turnout-schemathesis-'))
  try {
    const turnout = await startTurnout(folder, round.tokens)
    console.log(`\n${round.name}: ${turnout.admin}`)
    const { faults, missed } = await hold(program, turnout, round, seed, folder)
    return { faults: [...faults, ...(await endTurnout(turnout))].map((fault) => `${round.name}: ${fault}`), missed }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const settings = { program: { type: 'string' }, seconds: { type: 'string' }, seed: { type: 'string' } } as const
const { values } = parseArgs({ options: { ...settings, help: { type: 'boolean', default: false } } })
const program = findProgram(values.program)
if (values.help) console.log(USAGE)
else if (program === null) {
  console.error(`schemathesis is not there: pip install schemathesis\n${USAGE}`)
  process.exitCode = 2
} else {
  const { seconds = '120', seed = '1' } = values
  const share = (part: number): string => String(Math.max(1, Math.floor(Number(seconds) * part)))
  const tokens = [{ name: 'schemathesis', token: TOKEN, role: 'operator' }]
  const withTokens = await runRound(program, { name: 'with tokens', tokens, options: ['--max-time', share(0.7)] }, seed)
  const faults = [...withTokens.faults]
  if (withTokens.missed.length > 0) {
    const name = `by themselves (${withTokens.missed.map(({ label }) => label).join(', ')})`
    const only = withTokens.missed.flatMap(({ operationId }) => ['--include-operation-id', operationId])
    // Sequences need what other calls answer.
    const options = [...only, '--phases', 'coverage,fuzzing', '--max-time', share(0.2)]
    const again = await runRound(program, { name, tokens, options }, seed)
    const never = again.missed.filter((call) => withTokens.missed.some(({ label }) => label === call.label))
    faults.push(...again.faults, ...never.map(({ label }) => `never reached: ${label}`))
  }
  const options = ['--phases', 'examples,coverage', '--max-time', share(0.3)]
  faults.push(...(await runRound(program, { name: 'without tokens', tokens: [], options }, seed)).faults)
  for (const fault of faults) console.error(fault)
  process.exitCode = faults.length === 0 ? 0 : 1
}
