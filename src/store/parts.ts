/**
 * A service as the stores keep it: in parts, of which a change writes only those that it touches. Lists of routes and rules may
 * have thousands of entries, and most changes replace neither; so they are parts of their own, and what was not replaced is
 * told by its identity, without looking into it. Pure.
 */
import type { StoredContent, WrittenService } from './store.ts'

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

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

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
export function changedParts(before: Content, after: Content): ChangedPart[] {
  const [was, is] = [partsOf(before), partsOf(after)]
  return [...new Set([...was.keys(), ...is.keys()])].flatMap((part) => {
    const change = { part, before: was.get(part), after: is.get(part) }
    return isSame(change.before, change.after) ? [] : [change]
  })
}

/** The undo entry of these changes. */
export function undoOf(changes: readonly ChangedPart[]): Undo[string] {
  return Object.fromEntries(changes.map(({ part, before }) => [part, before === undefined ? null : [before]]))
}

/** Whether both are the same value, or records with the very same values: a spec without its lists is made anew each time. */
function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (!isRecord(a) || !isRecord(b)) return false
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && a[key] === b[key])
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
