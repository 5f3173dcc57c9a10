/**
 * The text of a config file with the services that run: only what somebody has chosen, no secret in clear, and the same services again
 * when it is loaded. Pure. The rest of a file (listeners, admin, store) belongs to a process and is not here; but the folders of programs
 * that hooks run are, since a file that names such programs has to allow them.
 */
import { stringify } from 'yaml'
import { hooksOf } from './hooks.ts'
import { withReferences } from './references.ts'
import { ServiceSchema, type Services } from './schema.ts'
import { withoutDefaults } from './without-defaults.ts'

/** A config file, and the variables that it reads: they hold the secrets. */
export interface WrittenFile {
  readonly config: { readonly services: unknown; readonly rolloutCommands?: readonly string[] }
  readonly variables: readonly string[]
}

/** The file of these services, which are in canonical form. */
export function writtenFile(services: Services): WrittenFile {
  const chosen = Object.fromEntries(
    Object.entries(services).map(([name, spec]) => [name, withoutDefaults(ServiceSchema, spec)]),
  )
  const { services: referenced, variables } = withReferences(chosen as Services)
  const folders = foldersOf(services)
  return { config: { ...(folders.length > 0 && { rolloutCommands: folders }), services: referenced }, variables }
}

/** It as YAML. */
export const yamlOf = (config: WrittenFile['config']): string =>
  stringify(config, { lineWidth: 0, aliasDuplicateObjects: false })

function foldersOf(services: Services): string[] {
  const programs = Object.values(services).flatMap(({ rollout }) =>
    rollout === undefined ? [] : hooksOf(rollout).flatMap(({ hook }) => hook.command?.slice(0, 1) ?? []),
  )
  return [...new Set(programs.map((program) => program.slice(0, Math.max(1, program.lastIndexOf('/')))))].sort()
}
