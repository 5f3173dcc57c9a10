/** Versions and machine facts for the report. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, release } from 'node:os'

/** Version of a package of this checkout (`turnout`: our own), or null when it is not installed. */
export function installedVersion(name: string): string | null {
  const path = name === 'turnout' ? '../package.json' : `../node_modules/${name}/package.json`
  try {
    return JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')).version
  } catch {
    return null
  }
}

/** Version that a program tells of itself, on either output; null when there is no such program or it does not run here. */
export function toldVersion(program: string | null, option: string, pattern: RegExp): string | null {
  if (program === null) return null
  const { status, stdout, stderr } = spawnSync(program, [option], { encoding: 'utf8' })
  return status === 0 ? (pattern.exec(stdout + stderr)?.[1] ?? '?') : null
}

/** One line on the machine: processor, cores, kernel. */
export function machine(): string {
  const processors = cpus()
  return `${processors[0]?.model.trim() ?? 'unknown processor'}, ${processors.length} cores, ${process.platform} ${release()}`
}
