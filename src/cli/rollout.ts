/**
 * `deploy` begins a rollout, `rollout` shows and steers it. With `--watch` both stay until it has ended, and exit with 4 when it was rolled
 * back, so that a CI job fails when the release did.
 */
import { withoutGoneWeights } from '../config/gone-weights.ts'
import { mayBeForced } from '../rollout/rollout.ts'
import { pathOf } from './admin.ts'
import { plain } from './columns.ts'
import { calledHere, ROLLOUT_ELSEWHERE } from './elsewhere.ts'
import { CliFailure, usageFailure } from './failure.ts'
import { IF_MATCH, insisting, untilFirst } from './insist.ts'
import { noteLate } from './outcome.ts'
import { watch } from './rollout-watch.ts'
import { lineOf, linesOf, type RolloutView } from './rollout-words.ts'
import { type RunbookView, runbookLines } from './runbook-words.ts'
import { sameInWords } from './same-version.ts'
import { meantBy } from './usage.ts'
import type { Call, Verb } from './verb.ts'

const VERBS = ['pause', 'resume', 'promote', 'abort'] as const
const WORDS: readonly string[] = ['show', 'list', ...VERBS]
const WATCH = { watch: { type: 'boolean', short: 'w' } } as const
const WATCH_HELP = ['-w, --watch', 'Stay until it has ended; exits with 4 when it was rolled back'] as const

/** Begins a rollout. */
export const deploy: Verb = {
  name: 'deploy',
  args: 'SERVICE --to POOL',
  summary: 'Roll a new version out: step by step, judged, and back by itself when it is worse',
  argsCount: [1, 1],
  options: {
    to: { type: 'string' },
    target: { type: 'string', multiple: true },
    version: { type: 'string' },
    strategy: { type: 'string' },
    bake: { type: 'string' },
    without: { type: 'string', multiple: true },
    now: { type: 'boolean' },
    'dry-run': { type: 'boolean' },
    force: { type: 'boolean' },
    ...IF_MATCH.options,
    ...WATCH,
  },
  optionsHelp: [
    ['--to POOL', 'The pool with the new version'],
    ['--target URL', 'A target of that pool, again for each; without, it stays as it is'],
    ['--version V', 'The version that the pool has now, or that a rolling release brings'],
    ['--strategy NAME', 'canary, blue-green, 5-25-100, Canary10Percent5Minutes …; default: that of the service'],
    ['--bake TIME', 'How long all traffic is watched before it is done'],
    ['--without METRIC', 'Not judged by this metric of the settings, again for each'],
    ['--now', 'Whatever its schedule says'],
    ['--dry-run', 'Only tell what it would do, and what its checks find now; exits with 1 when one fails'],
    ['--force', 'Put the targets and version even into a pool that is still kept as standby'],
    ...IF_MATCH.help,
    WATCH_HELP,
  ],
  examples: [
    'deploy shop --to green --watch',
    'deploy shop --to green --dry-run',
    'deploy shop --to green --target http://10.0.0.7:3000 --version 1.2 --watch',
  ],
  async run(call) {
    const [service] = call.args
    const { to, target, version, strategy, bake } = call.options as Readonly<Record<string, string | undefined>>
    if (to === undefined) throw usageFailure('which pool? deploy SERVICE --to POOL.')
    const sent = {
      to,
      ...(version !== undefined && { version }),
      ...(strategy !== undefined && { strategy }),
      ...(bake !== undefined && { bake }),
      ...(call.options['without'] !== undefined && { without: call.options['without'] }),
      ...(call.options['now'] === true && { now: true }),
    }
    const path = pathOf('services', service, 'rollouts')
    if (call.options['dry-run'] === true) {
      if (target !== undefined) throw usageFailure('a dry run puts no targets: it is about those that the pool has.')
      return showRunbook(call, await call.admin.call<RunbookView>('POST', path, { ...sent, dryRun: true }))
    }
    const read = await describePool(call, service, to, target as readonly string[] | undefined, version)
    const same = call.json ? null : sameInWords(read ?? (await described(call, service)).spec, service, to, version)
    const begun = await call.admin.call<RolloutView>('POST', path, sent)
    if (same !== null) call.note(same)
    if (call.options['watch'] === true) return watch(call, begun)
    show(call, begun)
    if (!call.json) call.print(`rollout ${begun.id} has begun; to watch it: turnout rollout show ${service} --watch\n`)
  },
}

function showRunbook(call: Call, runbook: RunbookView): void {
  const lines = call.json ? [JSON.stringify(runbook)] : runbookLines(runbook).map(plain)
  for (const line of lines) call.print(`${line}\n`)
  const failed = runbook.checks.filter(({ state }) => state === 'failed').map(({ check }) => check)
  if (!runbook.passes) throw new CliFailure(1, `the rollout would not begin: ${failed.join(', ')}`)
}

/** Shows rollouts, and steers the one that runs. */
export const rollout: Verb = {
  name: 'rollout',
  args: 'show|list|pause|resume|promote|abort SERVICE',
  summary: 'Show the rollouts of a service, or steer the one that runs',
  argsCount: [2, 2],
  options: { force: { type: 'boolean' }, ...IF_MATCH.options, ...WATCH },
  optionsHelp: [
    [
      '--force',
      'With promote: whatever its schedule and capacity say; with abort: even where nobody is left to answer',
    ],
    ...IF_MATCH.help,
    WATCH_HELP,
  ],
  examples: ['rollout show shop --watch', 'rollout promote shop', 'rollout abort shop'],
  async run(call) {
    const [word, service] = call.args
    const path = pathOf('services', service, 'rollouts')
    const isVerb = (VERBS as readonly string[]).includes(word)
    if (!WORDS.includes(word)) throw unknownWord(word)
    if (!isVerb && call.options['if-match'] !== undefined)
      throw usageFailure(`--if-match goes with ${VERBS.join(', ')}: ${word} changes nothing.`)
    if (word === 'list') return list(call, path)
    const isForced = call.options['force'] === true
    if (isForced && word !== 'promote' && word !== 'abort') throw usageFailure('--force goes with promote and abort.')
    const told = isVerb
      ? await call.admin.call<RolloutView>('POST', insisted(call, `${path}/current/${word}`, word))
      : await call.admin.call<RolloutView>('GET', `${path}/current`)
    if (call.options['watch'] === true) return watch(call, told)
    show(call, told)
    const waits = isVerb && told.next !== null && mayBeForced(told.next.waitsFor)
    if (waits && !call.json)
      call.print(`it goes on by then; at once with: turnout rollout promote ${service} --force\n`)
    if (word === 'abort' && told.state === 'done') {
      call.note(`rollout ${told.id} is done, so there was nothing to abort; turnout back ${service} goes back.`)
    }
    noteLate(call, told)
    // It is told as it was kept before.
    if (word === 'abort' && told.runsElsewhere && told.endedAtMs === null)
      call.note(`the process that runs it has been told to go back; turnout rollout show ${service} says when it has`)
    if (told.answered === false) {
      call.note(
        `nobody can answer for ${service} now: mend a target of ${told.from}, or turnout switch ${service} ${told.to} --force`,
      )
    }
  },
}

function unknownWord(word: string): CliFailure {
  const here = calledHere(word, ROLLOUT_ELSEWHERE)
  const hint = here === null ? meantBy(word, WORDS) : `here it is: turnout ${here}`
  return usageFailure(`there is no rollout "${word}": ${hint}`)
}

/** Its path, with what the user insists on: an abort is never refused by the API unless it is told to ask. */
const insisted = (call: Call, path: string, word: string): string =>
  word === 'abort' && call.options['force'] !== true ? `${path}?force=false` : insisting(path, call)

/** What is looked at of a service. */
interface Pool {
  readonly targets: readonly string[]
  readonly weights?: Readonly<Record<string, number>>
  readonly version?: string
}
interface Spec {
  readonly pools: Readonly<Record<string, Pool>>
  readonly split: Readonly<Record<string, number>>
}

const described = ({ admin }: Call, service: string) =>
  admin.call<{ readonly revision: number; readonly spec: Spec }>('GET', pathOf('services', service))

/** Whether they hold the same, however their targets are written. */
function isSame(a: Pool, b: Pool): boolean {
  const written = ({ targets }: Pool) => targets.map((text) => URL.parse(text)?.href ?? text).toSorted()
  return (a.version ?? '') === (b.version ?? '') && String(written(a)) === String(written(b))
}

/** Puts targets and version into the pool, if there is something to put; gives the service as it was read for that. */
async function describePool(
  call: Call,
  service: string,
  pool: string,
  targets: readonly string[] | undefined,
  version: string | undefined,
): Promise<Spec | null> {
  const forced = call.options['force'] === true && version !== undefined
  if (targets === undefined && !forced) return null
  return untilFirst(call, async () => {
    const { revision, spec } = await described(call, service)
    const present: Pool = Object.hasOwn(spec.pools, pool) ? spec.pools[pool] : { targets: [] }
    const body = withoutGoneWeights({
      ...present,
      ...(targets && { targets }),
      ...(version !== undefined && { version }),
    })
    if (Object.hasOwn(spec.split, pool) && spec.split[pool] > 0 && !isSame(present, body)) {
      throw new CliFailure(1, `pool ${pool} has traffic, and what is new in it would get that at once, unjudged.`, [
        'Nothing has changed. Name a pool without traffic, or leave out --target.',
      ])
    }
    const path = insisting(pathOf('services', service, 'pools', pool), call)
    await call.admin.call('PUT', path, body, undefined, revision)
    return spec
  })
}

async function list(call: Call, path: string): Promise<void> {
  const answer = await call.admin.call<{ rollouts: readonly RolloutView[] }>('GET', path)
  if (call.json) return call.print(JSON.stringify(answer) + '\n')
  for (const told of answer.rollouts) call.print(`${plain(`${told.id}  ${lineOf(told)}`)}\n`)
}

function show(call: Call, told: RolloutView): void {
  call.print(
    call.json
      ? JSON.stringify(told) + '\n'
      : linesOf(told)
          .map((line) => `${plain(line)}\n`)
          .join(''),
  )
}
