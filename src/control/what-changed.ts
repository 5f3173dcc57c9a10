/**
 * What a change has made of services, in words, for events and the audit: a patch may be a target that is gone or a split, and nobody
 * can tell by its kind. Pure. Bounded: the first few things, and how many more. In events it is told apart where the traffic goes (change-events.ts).
 */
import { equalJson, own } from '../config/record.ts'
import type { PoolSpec, RuleSpec, ServiceSpec, Services } from '../config/schema.ts'
import type { Audited } from './audit.ts'

/** Of a service. */
const THINGS_MAX = 5
const SERVICES_MAX = 10
/** Kinds that say what is to be, and not what is other than before; all but the last two are of one service, which they name. */
const KINDS: ReadonlySet<Audited['kind']> = new Set([
  'service.put',
  'service.patch',
  'rules',
  'pool.put',
  'file',
  'restore',
])
/** Told by what is in them, or elsewhere. */
const TOLD_APART: ReadonlySet<string> = new Set(['pools', 'rules', 'split', 'live'])

/** The services before and after a change, and the names of those that it has changed. */
export interface Moved {
  readonly before: { readonly services: Services }
  readonly after: { readonly services: Services }
  readonly names: readonly string[]
}

/** What of its services is other than before, with the name of each where the kind names none; empty for kinds that say it themselves. */
export function whatChanged({ kind }: Pick<Audited, 'kind'>, moved: Moved, tellsSplits = false): string {
  if (!KINDS.has(kind)) return ''
  if (kind === 'file' || kind === 'restore') return ofSeveral(moved, tellsSplits)
  const [name = ''] = moved.names
  const [was, is] = [own(moved.before.services, name), own(moved.after.services, name)]
  return was === undefined || is === undefined ? '' : firstOf(serviceChanged(was, is), THINGS_MAX)
}

function ofSeveral({ before, after, names }: Moved, tellsSplits: boolean): string {
  const all = names.map((name) => {
    const [was, is] = [own(before.services, name), own(after.services, name)]
    if (was === undefined || is === undefined) return `${name}: ${was === undefined ? 'added' : 'removed'}`
    const split =
      tellsSplits && !equalJson(was.split, is.split) ? [`split ${listed(was.split)} -> ${listed(is.split)}`] : []
    const things = [...split, ...serviceChanged(was, is)]
    return things.length === 0 ? name : `${name}: ${firstOf(things, THINGS_MAX)}`
  })
  return firstOf(all, SERVICES_MAX, '; ')
}

function firstOf(things: readonly string[], max: number, comma = ', '): string {
  const more = things.length - max
  return [...things.slice(0, max), ...(more > 0 ? [`${more} more`] : [])].join(comma)
}

/** What stands under each name, such as the weights of pools. */
export const listed = (record: Readonly<Record<string, unknown>> = {}, sign = '='): string =>
  Object.entries(record)
    .map(([name, value]) => `${name}${sign}${value}`)
    .join(', ')

function serviceChanged(before: ServiceSpec, after: ServiceSpec): string[] {
  const things = [...poolsChanged(before.pools, after.pools), ...rulesChanged(before.rules, after.rules)]
  const [was, is] = [before, after].map((spec) => spec as unknown as Record<string, unknown>)
  for (const key of new Set([...Object.keys(was), ...Object.keys(is)])) {
    if (!TOLD_APART.has(key) && !equalJson(own(was, key), own(is, key))) things.push(`${key} changed`)
  }
  return things
}

function poolsChanged(before: ServiceSpec['pools'], after: ServiceSpec['pools']): string[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((name) => {
    const [was, is] = [own(before, name), own(after, name)]
    if (was === undefined || is === undefined) return [`pool ${name} ${was === undefined ? 'added' : 'removed'}`]
    return poolChanged(name, was, is)
  })
}

function poolChanged(name: string, was: PoolSpec, is: PoolSpec): string[] {
  const [old, present] = [new Set(was.targets), new Set(is.targets)]
  const weightOf = ({ weights = {} }: PoolSpec, url: string) => own(weights, url) ?? 1
  const weighed = is.targets.filter((url) => old.has(url) && weightOf(was, url) !== weightOf(is, url))
  return [
    ...(was.version === is.version
      ? []
      : [`version of pool ${name} ${was.version || 'none'} -> ${is.version || 'none'}`]),
    ...[...old.difference(present)].map((url) => `target ${url} removed from pool ${name}`),
    ...[...present.difference(old)].map((url) => `target ${url} added to pool ${name}`),
    ...weighed.map((url) => `weight of target ${url} in pool ${name} ${weightOf(was, url)} -> ${weightOf(is, url)}`),
  ]
}

function rulesChanged(before: readonly RuleSpec[], after: readonly RuleSpec[]): string[] {
  if (equalJson(before, after)) return []
  const [was, is] = [before, after].map((rules) => new Map(rules.map((rule) => [rule.name, rule])))
  const things = [...new Set([...was.keys(), ...is.keys()])].flatMap((name) => {
    if (equalJson(was.get(name), is.get(name))) return []
    const what = was.has(name) ? (is.has(name) ? 'changed' : 'removed') : 'added'
    return [`rule ${name} ${what}`]
  })
  return things.length > 0 ? things : ['rules in another order']
}
