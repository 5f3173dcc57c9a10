/**
 * References to the environment in the strings of the config file: `${NAME}`, `${NAME:-default}` (used when NAME is unset
 * or empty, as in a shell), and `$${` for a literal `${`. What a variable holds is put in as it is, never expanded again
 * and never shown in a message: it may be a secret.
 */

const MALFORMED = `not a reference to the environment: write \${NAME} or \${NAME:-default}, or $\${ for a literal \${`

export type Environment = Readonly<Record<string, string | undefined>>

export interface Expansion {
  readonly text: string
  /** True when a variable or its default was put in. */
  readonly replaced: boolean
  /** One message for each reference that is malformed or names a missing variable. */
  readonly faults: readonly string[]
}

/** Puts the variables into one string; a reference that fails becomes empty and leaves a message. */
export function expandEnvironment(text: string, env: Environment): Expansion {
  const faults: string[] = []
  let replaced = false
  // What stands behind an escaped one is looked at by itself: it may be a reference, or another that is escaped.
  const expanded = text.replaceAll(/\$\$\{|\$\{([^}]*)(\}?)/g, (_, body?: string, end?: string) => {
    if (body === undefined) return `\${`
    const reference = end === '' ? null : /^([A-Za-z_][A-Za-z0-9_]*)(?::-([\s\S]*))?$/.exec(body)
    if (reference === null) {
      faults.push(MALFORMED)
      return ''
    }
    replaced = true
    const [, name, fallback] = reference
    const value = Object.hasOwn(env, name) ? env[name] : undefined
    if (fallback !== undefined) return value === undefined || value === '' ? fallback : value
    if (value === undefined) {
      faults.push(`environment variable ${name} is not set (\${${name}:-default} gives a default)`)
      return ''
    }
    return value
  })
  return { text: expanded, replaced, faults }
}
