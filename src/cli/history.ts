/**
 * `history`: who changed what, newest first, each change in a few words. Rollouts change weights too, and are named.
 */
import { firstFew } from '../config/first-few.ts'
import { stateInWords } from '../rollout/rollout.ts'
import { pathOf } from './admin.ts'
import { columns, timeOf } from './columns.ts'
import { splitInWords } from './outcome.ts'
import { type Verb, wholeNumber } from './verb.ts'

interface Entry {
  readonly revision: number
  readonly atMs: number
  readonly actor: string
  readonly change: Readonly<Record<string, unknown>> & { readonly kind: string }
}

/** Shows who changed what, newest first. */
export const history: Verb = {
  name: 'history',
  args: '',
  summary: 'Show who changed what, newest first',
  argsCount: [0, 0],
  options: { limit: { type: 'string' }, before: { type: 'string' } },
  optionsHelp: [
    ['--limit N', 'At most so many; default 20'],
    ['--before REVISION', 'Only revisions below this'],
  ],
  examples: ['history', 'history --limit 100 --before 420'],
  async run(call) {
    const { limit = '20', before } = call.options
    const query = new URLSearchParams({ limit: String(wholeNumber(String(limit), '--limit')) })
    if (before !== undefined) query.set('before', String(wholeNumber(String(before), '--before')))
    const answer = await call.admin.call<{ entries: readonly Entry[] }>('GET', `${pathOf('audit')}?${query}`)
    call.print(call.json ? JSON.stringify(answer) + '\n' : inColumns(answer.entries))
  },
}

function inColumns(entries: readonly Entry[]): string {
  const titles = [{ title: 'REVISION', right: true }, { title: 'TIME' }, { title: 'WHO' }, { title: 'WHAT' }]
  const rows = entries.map(({ revision, atMs, actor, change }) => [
    String(revision),
    timeOf(atMs),
    actor,
    changeInWords(change) + insistenceInWords(change),
  ])
  return columns(titles, rows)
}

/** A change in a few words; a kind that is not known here is shown with its plain values. */
function changeInWords({ kind, ...values }: Entry['change']): string {
  const { service, pool, target, state, weights, to } = values as Readonly<Record<string, unknown>>
  if (kind === 'split') return `split ${service}: ${splitInWords(weights as Record<string, number>)}`
  if (kind === 'switch') {
    const { hook } = values
    return `switch ${pairs(to)}${typeof hook === 'string' ? `, after hook ${hook}` : ''}`
  }
  if (kind === 'hold') {
    const { forMs, only } = values['hold'] as Readonly<Record<string, unknown>>
    const what = `hold ${values['services']} for ${Number(forMs) / 1_000} s`
    return `${what}${only === 'writes' ? ', writes only' : ''}${to === undefined ? '' : `, to switch ${pairs(to)}`}`
  }
  if (kind === 'release') {
    return `release ${values['services']}${typeof values['why'] === 'string' ? `, since ${values['why']}` : ''}`
  }
  if (kind === 'maintenance') return `maintenance ${values['on'] === true ? 'on' : 'off'} ${service}`
  if (kind === 'shift') {
    const by = `by rollout ${values['rollout']}${values['verb'] === 'begin' ? ', which begins' : ''}`
    return `shift ${service}: ${splitInWords(weights as Record<string, number>)}, ${by}${askedInWords(values)}`
  }
  if (kind === 'rollout') {
    const { verb, reason, weight } = values
    const what = `${typeof verb === 'string' ? `${verb}, ` : ''}${stateInWords(String(state))} at ${weight} %`
    const why = typeof reason === 'string' ? `: ${reason}` : ''
    return `rollout ${values['rollout']} of ${service}: ${what}${askedInWords(values)}${why}`
  }
  if (kind === 'pool.state') return `${state} ${service} ${pool}`
  if (kind === 'target.state') return `${state} ${service} ${pool} ${target}`
  if (kind === 'file') return `config file applied${ofServices(values)}`
  if (kind === 'clock') return `the clock was set by ${Number(values['movedMs']) / 1_000} s`
  if (kind === 'restore') return `restore revision ${values['from']}${ofServices(values)}`
  const { what, ...told } = values
  const words = [CHANGED[kind] ?? kind, ...Object.values(told).filter((value) => typeof value === 'string')].join(' ')
  return typeof what === 'string' ? `${words}: ${what}` : words
}

const SERVICES_MAX = 10

/** What was changed of which services; of what an older Turnout has written down their names. */
function ofServices({ what, services }: Readonly<Record<string, unknown>>): string {
  if (typeof what === 'string') return `: ${what}`
  const names = Array.isArray(services) ? services : []
  return names.length === 0 ? '' : `: ${firstFew(names, SERVICES_MAX)}`
}

/** Changes that are told by what they are of. */
const CHANGED: Readonly<Record<string, string>> = {
  'service.put': 'set service',
  'service.patch': 'change',
  'service.delete': 'remove service',
  'pool.put': 'set pool',
  'pool.delete': 'remove pool',
  rules: 'rules of',
}

const askedInWords = ({ askedBy }: { readonly askedBy?: unknown }): string =>
  typeof askedBy === 'string' ? `, asked for by ${askedBy}` : ''

/** What somebody has insisted on. */
function insistenceInWords({ force, prune, hurriedBy }: Entry['change']): string {
  const words = [
    ...(force === true ? ['forced'] : []),
    ...(prune === true ? ['with --prune'] : []),
    ...(typeof hurriedBy === 'string' ? [`whatever its schedule or capacity says (${hurriedBy})`] : []),
  ]
  return words.map((word) => `, ${word}`).join('')
}

const pairs = (record: unknown): string =>
  Object.entries((record ?? {}) as object)
    .map(([name, value]) => `${name} to ${value}`)
    .join(', ')
