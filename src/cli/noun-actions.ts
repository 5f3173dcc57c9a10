/**
 * What `service`, `pool`, `target` and `rule` do, by noun and word: each is one change by the admin API, made of what stands there.
 *
 * Whoever changes what they have read sends the revision of what they read, so nobody's work is lost; when somebody else was faster it is
 * read and changed again, unless the user has named a revision. What may not be is the API's to say, but for one: a service that
 * answers somebody is not removed by one word, since nobody would be left to answer for it.
 */
import { mergePatch } from '../config/merge-patch.ts'
import { poolNamed } from '../config/named.ts'
import { didYouMean, nearest } from '../config/nearest.ts'
import { own } from '../config/record.ts'
import { PoolSchema, RuleSchema, type RuleSpec, ServiceSchema, type ServiceSpec } from '../config/schema.ts'
import { targetUrl } from '../config/target-url.ts'
import { type Method, pathOf } from './admin.ts'
import { columns } from './columns.ts'
import { CliFailure, isRefusal, usageFailure } from './failure.ts'
import { insisting, untilFirst } from './insist.ts'
import { assertLeft, waiting } from './leave.ts'
import type { Noun, Word } from './nouns.ts'
import { type Outcome, printOutcome, splitInWords } from './outcome.ts'
import { settingsOf } from './settings.ts'
import type { Call } from './verb.ts'

/** A service as the API tells it. */
export interface Described {
  readonly revision: number
  readonly name: string
  readonly spec: ServiceSpec
  readonly status: {
    readonly pools: Readonly<
      Record<string, { readonly admin: string; readonly targets: Readonly<Record<string, { readonly admin: string }>> }>
    >
  } | null
}

type Action = (call: Call, names: readonly string[], words: readonly string[]) => Promise<void>

const read = ({ admin }: Call, service: string): Promise<Described> =>
  admin.call<Described>('GET', pathOf('services', service))

/** Reads a service, makes the change that comes of it, and tells. */
async function change(
  call: Call,
  service: string,
  said: string,
  made: (described: Described) => readonly [method: Method, path: string, body?: unknown],
): Promise<void> {
  const outcome = await untilFirst(call, async () => {
    const described = await read(call, service)
    const [method, path, body] = made(described)
    const [asked, waitMs] = waiting(insisting(path, call), call)
    return call.admin.call<Outcome>(method, asked, body, waitMs, described.revision)
  })
  printOutcome(call, said, outcome)
  assertLeft(call, outcome)
}

/** Prints rows for people, or what they are made of. */
function list(call: Call, titles: readonly string[], rows: readonly (readonly string[])[], json: object): void {
  const table = columns(
    titles.map((title) => ({ title })),
    rows,
  )
  call.print(call.json ? `${JSON.stringify(json)}\n` : table)
}

const isThere = (what: string): CliFailure =>
  new CliFailure(1, `${what} is there already, and nothing has changed; set changes it.`, [], { code: 'conflict' })

const listServices: Action = async (call) => {
  const { revision, services } = await call.admin.call<{ revision: number; services: Described[] }>(
    'GET',
    pathOf('services'),
  )
  const rows = services.map(({ name, spec }) => {
    const routes = spec.routes.map(({ host, path }) => `${host}${path}`).join(' ')
    return [name, splitInWords(spec.split ?? {}), Object.keys(spec.pools).join(' '), routes]
  })
  list(call, ['SERVICE', 'SPLIT', 'POOLS', 'ROUTES'], rows, { revision, services })
}

const addService: Action = async (call, [service], words) => {
  const spec = await settingsOf(call, ServiceSchema, words)
  const outcome = await untilFirst(call, async () => {
    const found = await read(call, service).catch((error: unknown) => {
      if (isRefusal(error, 'not_found')) return null
      throw error
    })
    if (found !== null) throw isThere(`service ${service}`)
    return call.admin.call<Outcome>('PUT', insisting(pathOf('services', service), call), spec, undefined, null)
  })
  printOutcome(call, `${service}: added`, outcome)
}

const setService: Action = async (call, [service], words) => {
  const patch = await settingsOf(call, ServiceSchema, words)
  const path = insisting(pathOf('services', service), call)
  printOutcome(call, `${service}: changed`, await call.admin.call<Outcome>('PATCH', path, patch))
}

const removeService: Action = (call, [service]) =>
  change(call, service, `${service}: removed`, ({ spec, status }) => {
    const answering = answeringPools(spec, status)
    if (call.options['force'] !== true && answering.length > 0) {
      const hosts = spec.routes.map(({ host, path }) => host + path).join(', ')
      const what = `${service} answers for ${hosts} (pool ${answering.join(', ')}), and nobody would any more.`
      throw new CliFailure(1, `${what} Nothing has changed; with --force it is removed all the same.`, [], {
        code: 'conflict',
      })
    }
    return ['DELETE', pathOf('services', service)]
  })

/** Pools with traffic that may have somebody to answer. */
const answeringPools = ({ pools, split = {} }: ServiceSpec, status: Described['status']): string[] =>
  Object.keys(pools).filter(
    (name) =>
      (own(split, name) ?? 0) > 0 &&
      pools[name].targets.length > 0 &&
      own(status?.pools ?? {}, name)?.admin !== 'maint',
  )

const listPools: Action = async (call, [service]) => {
  const { revision, spec, status } = await read(call, service)
  const rows = Object.entries(spec.pools).map(([name, { version = '', targets }]) => {
    const weight = String(own(spec.split ?? {}, name) ?? 0)
    return [name, version, weight, own(status?.pools ?? {}, name)?.admin ?? '', String(targets.length)]
  })
  list(call, ['POOL', 'VERSION', 'WEIGHT', 'STATE', 'TARGETS'], rows, {
    revision,
    pools: spec.pools,
    split: spec.split,
  })
}

const addPool: Action = async (call, [service, pool], words) => {
  const settings = await settingsOf(call, PoolSchema, words)
  await change(call, service, `${service} ${pool}: added`, ({ spec }) => {
    if (own(spec.pools, pool) !== undefined) throw isThere(`pool ${pool} of ${service}`)
    return ['PUT', pathOf('services', service, 'pools', pool), settings]
  })
}

const setPool: Action = async (call, [service, pool], words) => {
  const settings = await settingsOf(call, PoolSchema, words)
  await changePool(call, service, pool, `${service} ${pool}: changed`, () => settings)
}

/** A patch of one pool, which must be there. */
const changePool = (
  call: Call,
  service: string,
  pool: string,
  said: string,
  patch: (pool: ServiceSpec['pools'][string]) => object,
): Promise<void> =>
  change(call, service, said, ({ spec }) => {
    const present = poolNamed(spec, service, pool)
    return ['PATCH', pathOf('services', service), { pools: { [pool]: patch(present) } }]
  })

const removePool: Action = (call, [service, pool]) =>
  change(call, service, `${service} ${pool}: removed`, ({ spec }) => {
    poolNamed(spec, service, pool)
    return ['DELETE', pathOf('services', service, 'pools', pool)]
  })

const listTargets: Action = async (call, [service]) => {
  const { revision, spec, status } = await read(call, service)
  const targets = Object.entries(spec.pools).flatMap(([pool, { targets: urls, weights = {} }]) =>
    urls.map((url) => {
      const state = own(own(status?.pools ?? {}, pool)?.targets ?? {}, url)?.admin ?? null
      return { pool, url, weight: own(weights, url) ?? 1, state }
    }),
  )
  const rows = targets.map(({ pool, url, weight, state }) => [pool, url, String(weight), state ?? ''])
  list(call, ['POOL', 'TARGET', 'WEIGHT', 'STATE'], rows, { revision, targets })
}

const addTarget: Action = async (call, [service, pool, url], words) => {
  const weights = weightFor(url, words)
  await changePool(call, service, pool, `${service} ${pool} ${url}: added`, ({ targets }) => {
    if (isAmong(targets, service, pool, url)) throw isThere(`target ${url} of ${pool}`)
    return { targets: [...targets, url], ...(weights !== null && { weights }) }
  })
}

const setTarget: Action = async (call, [service, pool, target], words) => {
  const weights = weightFor(target, words)
  if (weights === null) throw usageFailure('which weight? target set SERVICE POOL TARGET weight=N.')
  await changePool(call, service, pool, `${service} ${pool} ${target}: changed`, ({ targets }) => ({
    weights: { [targetUrl(targets, { service, pool, target })]: weights[target] },
  }))
}

const removeTarget: Action = (call, [service, pool, target]) =>
  changePool(call, service, pool, `${service} ${pool} ${target}: removed`, ({ targets }) => {
    const gone = targetUrl(targets, { service, pool, target })
    return { targets: targets.filter((url) => url !== gone) }
  })

function isAmong(targets: readonly string[], service: string, pool: string, target: string): boolean {
  try {
    return targetUrl(targets, { service, pool, target }) !== ''
  } catch {
    return false
  }
}

/** The weights of a target by its words: `weight=N` is all that it has. */
function weightFor(url: string, words: readonly string[]): Record<string, number> | null {
  if (words.length === 0) return null
  const [, weight] = words.length === 1 ? (/^weight=([0-9]{1,9})$/.exec(words[0]) ?? []) : []
  if (weight === undefined)
    throw usageFailure(`of a target there is weight=N, a whole number, not "${words.join(' ')}".`)
  return { [url]: Number(weight) }
}

const listRules: Action = async (call, [service]) => {
  const { revision, spec } = await read(call, service)
  const rows = spec.rules.map(({ name, to, deny, when }, at) => {
    const where = to === undefined ? `not ${deny}` : to
    return [String(at + 1), name, where, JSON.stringify(when)]
  })
  list(call, ['', 'RULE', 'TO', 'WHEN'], rows, { revision, rules: spec.rules })
}

const addRule: Action = async (call, [service, rule], words) => {
  const settings = await settingsOf(call, RuleSchema, words)
  const { first, before } = call.options
  await changeRules(call, service, `${service} rule ${rule}: added`, (rules) => {
    if (rules.some(({ name }) => name === rule)) throw isThere(`rule ${rule} of ${service}`)
    const at = first === true ? 0 : before === undefined ? rules.length : placeOf(rules, service, String(before))
    return rules.toSpliced(at, 0, { name: rule, ...settings } as RuleSpec)
  })
}

const setRule: Action = async (call, [service, rule], words) => {
  const settings = await settingsOf(call, RuleSchema, words)
  await changeRules(call, service, `${service} rule ${rule}: changed`, (rules) => {
    const at = placeOf(rules, service, rule)
    return rules.with(at, mergePatch(rules[at], settings) as unknown as RuleSpec)
  })
}

const removeRule: Action = (call, [service, rule]) =>
  changeRules(call, service, `${service} rule ${rule}: removed`, (rules) =>
    rules.toSpliced(placeOf(rules, service, rule), 1),
  )

const changeRules = (
  call: Call,
  service: string,
  said: string,
  next: (rules: readonly RuleSpec[]) => readonly RuleSpec[],
): Promise<void> =>
  change(call, service, said, ({ spec }) => ['PUT', pathOf('services', service, 'rules'), next(spec.rules)])

function placeOf(rules: readonly RuleSpec[], service: string, rule: string): number {
  const at = rules.findIndex(({ name }) => name === rule)
  if (at >= 0) return at
  const known = rules.map(({ name }) => name)
  const message = `Service ${service} has no rule ${rule}${didYouMean(nearest(rule, known))}.`
  throw new CliFailure(1, message, [], { code: 'not_found' })
}

/** Noun → word → what it does. */
export const ACTIONS: Readonly<Record<Noun, Readonly<Record<Word, Action>>>> = {
  service: { list: listServices, add: addService, set: setService, remove: removeService },
  pool: { list: listPools, add: addPool, set: setPool, remove: removePool },
  target: { list: listTargets, add: addTarget, set: setTarget, remove: removeTarget },
  rule: { list: listRules, add: addRule, set: setRule, remove: removeRule },
}
