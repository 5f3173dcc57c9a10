/**
 * A service as the stores keep it: in parts, of which a change writes only those that it touches. Lists of routes and rules may
 * have thousands of entries, and most changes replace neither; so they are parts of their own, and what was not replaced is
 * told by its identity, without looking into it. Pure.
 */
import { isRecord, own, sameEntries } from '../config/record.ts'
import type { Commit, StoredContent, WrittenService } from './store.ts'

/** The parts of a service: two lists, the rest of the spec, and the intent. */
export type Part = 'routes' | 'rules' | 'spec' | 'intent'

/** Parts of a service by name, each as a JSON value; a part that is absent was not there. */
export type Parts = ReadonlyMap<Part, unknown>

/** A part that a change touches; undefined where it is not there. */
export interface ChangedPart {
  readonly part: Part
  readonly before: unknown
  readonly after: unknown
}

/** What a restore of the revision before needs: by service and part the value in a list, or null where it was not there. */
export type Undo = Readonly<Record<string, Readonly<Partial<Record<Part, readonly [unknown] | null>>>>>

type Content = WrittenService | StoredContent | null

/** The parts of a service; of none, none. What is not a spec at all is one part. */
export function partsOf(content: Content): Map<Part, unknown> {
  const parts = new Map<Part, unknown>()
  if (content === null) return parts
  const spec: unknown = content.spec
  if (isRecord(spec)) {
    const { routes, rules, ...rest } = spec
    if (routes !== undefined) parts.set('routes', routes)
    if (rules !== undefined) parts.set('rules', rules)
    parts.set('spec', rest)
  } else parts.set('spec', spec)
  parts.set('intent', content.intent)
  return parts
}

/** The service of these parts, or null when they are none. */
export function serviceOf(parts: Parts): StoredContent | null {
  if (!parts.has('spec')) return null
  const rest = parts.get('spec')
  const lists = (['routes', 'rules'] as const).flatMap((part) => (parts.has(part) ? [[part, parts.get(part)]] : []))
  const spec = isRecord(rest) ? { ...Object.fromEntries(lists), ...rest } : rest
  return { spec, intent: parts.get('intent') ?? null }
}

/** What a change from one to the other touches. */
function changedParts(before: Content, after: Content): ChangedPart[] {
  const [was, is] = [partsOf(before), partsOf(after)]
  return [...new Set([...was.keys(), ...is.keys()])].flatMap((part) => {
    const change = { part, before: was.get(part), after: is.get(part) }
    return isSame(change.before, change.after) ? [] : [change]
  })
}

/** What a commit touches, by service. */
export type Changes = readonly (readonly [service: string, parts: readonly ChangedPart[]])[]

/** What a commit to these services touches. */
export function changesOf(services: Commit['services']): Changes {
  return Object.entries(services).map(([name, { before, after }]) => [name, changedParts(before, after)])
}

/** What it touches to have these services, and no others, in the place of those that there were. */
export function changesBetween(
  was: Readonly<Record<string, StoredContent>>,
  is: Readonly<Record<string, WrittenService | StoredContent>>,
): Changes {
  const names = new Set([...Object.keys(was), ...Object.keys(is)])
  return [...names].map((name) => [name, changedParts(own(was, name) ?? null, own(is, name) ?? null)])
}

/** What takes a revision back that made these changes. */
export function undoOf(changes: Changes): Undo {
  const parts = (its: readonly ChangedPart[]) =>
    Object.fromEntries(its.map(({ part, before }) => [part, before === undefined ? null : ([before] as const)]))
  return Object.fromEntries(changes.map(([name, its]) => [name, parts(its)]))
}

/** Whether both are the same value, or records with the very same values: a spec without its lists is made anew each time. */
function isSame(a: unknown, b: unknown): boolean {
  return a === b || (isRecord(a) && isRecord(b) && sameEntries(a, b))
}

/** Takes a document back to a revision: `undos` are those of the later ones, newest first. Changes `services`. */
export function undo(services: Map<string, Map<Part, unknown>>, undos: Iterable<Undo>): void {
  for (const one of undos) {
    for (const [name, parts] of Object.entries(one)) {
      const present = services.get(name) ?? new Map<Part, unknown>()
      services.set(name, present)
      for (const [part, value] of Object.entries(parts)) {
        if (value === null) present.delete(part as Part)
        else present.set(part as Part, value[0])
      }
    }
  }
}

/** The services of these parts, by name. */
export function servicesOf(parts: ReadonlyMap<string, Parts>): Record<string, StoredContent> {
  return Object.fromEntries(
    [...parts].flatMap(([name, its]) => {
      const service = serviceOf(its)
      return service === null ? [] : [[name, service] as const]
    }),
  )
}
