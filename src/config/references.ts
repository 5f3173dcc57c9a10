/**
 * Secrets out of services, and references to the environment in their place: what can be kept in a repository, and is the same again for
 * whoever has the variables. Pure. Each secret has a variable of its own, named after its place: `SHOP_ROLLOUT_HOOKS_0_SECRET`.
 */
import { HIDDEN, withoutSecrets } from './hidden.ts'
import { isRecord } from './record.ts'
import type { Services } from './schema.ts'

/** Services as they stand in a file, and the variables that it names, in its order. */
export interface Referenced {
  readonly services: unknown
  readonly variables: readonly string[]
}

/** The services with `${NAME}` for each secret; what looks like a reference and is none is escaped. */
export function withReferences(services: Services): Referenced {
  const names = new Set<string>()
  return { services: referenced(services, withoutSecrets(services), [], names), variables: [...names] }
}

function referenced(value: unknown, shown: unknown, path: readonly string[], names: Set<string>): unknown {
  if (typeof value === 'string') {
    if (value === shown && !value.includes(HIDDEN)) return value.replaceAll('${', () => '$${')
    return `\${${named(path, names)}}`
  }
  if (Array.isArray(value)) {
    return value.map((item, at) => {
      // Of a command only its program is shown, whatever it is called with.
      const other = Array.isArray(shown) && shown.length === value.length ? shown[at] : at === 0 ? item : null
      return referenced(item, other, [...path, String(at)], names)
    })
  }
  if (!isRecord(value)) return value
  const others = isRecord(shown) ? shown : {}
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [key, referenced(member, others[key], [...path, key], names)]),
  )
}

function named(path: readonly string[], names: Set<string>): string {
  const plain = path.map((key) => key.toUpperCase().replaceAll(/[^A-Z0-9]+/g, '_')).join('_')
  const wanted = /^[0-9]/.test(plain) ? `_${plain}` : plain
  let name = wanted
  for (let again = 2; names.has(name); again++) name = `${wanted}_${again}`
  names.add(name)
  return name
}
