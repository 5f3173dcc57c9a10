/**
 * From the text of the config file to a spec: YAML → environment → schema with defaults → checks → canonical form.
 *
 * Either everything is right, or every fault is told at once, in the order of the file, each with line, column, JSON
 * pointer and what was probably meant. Nothing is read but the text and the given environment.
 */
import type { Fault } from '../errors.ts'
import { canonicalService } from './canonical.ts'
import { checkSpec } from './check.ts'
import { readDocument } from './document.ts'
import type { Environment } from './environment.ts'
import { parentOf, pathOf } from './pointer.ts'
import { type Spec, SpecSchema } from './schema.ts'
import { validate } from './validate.ts'

/** A fault of the config file, with its place. */
export interface LoadFault extends Fault {
  /** Name of the file, as given. */
  readonly source: string
  /** 1-based. */
  readonly line: number
  /** 1-based. */
  readonly column: number
  /** For people: `services.shop.pools.blue`; of a key, the map around it; empty at the top. */
  readonly path: string
  /** The word that was probably meant; the message has it too. */
  readonly meant?: string
}

export interface LoadOptions {
  readonly env: Environment
  /** Name of the file in faults. */
  readonly source: string
}

/** A spec in canonical form with every default, or every fault, sorted by place. */
export function parseSpec(text: string, { env, source }: LoadOptions): { spec: Spec } | { faults: LoadFault[] } {
  const document = readDocument(text, env)
  let findings = document.findings
  let spec: Spec | null = null
  if (document.readable) {
    const validated = validate(SpecSchema, document.value, document.fromEnvironment)
    // A value that could not be read is replaced by a stand-in, whose further faults would be noise.
    const unread = new Set(findings.filter(({ about }) => about !== 'key').map(({ pointer }) => pointer))
    const told = validated.findings.filter(({ pointer }) => !unread.has(pointer))
    findings = [...findings, ...told, ...checkSpec(validated.value, [...findings, ...validated.refused])]
    spec = validated.value
  }
  if (spec !== null && findings.length === 0) return { spec: canonicalSpec(spec) }
  const faults = findings.map((finding): LoadFault => {
    const { pointer, message, about, meant } = finding
    const path = pathOf(about === 'key' ? parentOf(pointer) : pointer)
    return { source, ...document.placeOf(finding), pointer, path, message, ...(meant === undefined ? {} : { meant }) }
  })
  return { faults: faults.sort((a, b) => a.line - b.line || a.column - b.column) }
}

function canonicalSpec(spec: Spec): Spec {
  const services = Object.entries(spec.services).map(([name, service]) => [name, canonicalService(service)])
  return { ...spec, store: spec.store === 'memory' ? 'memory:' : spec.store, services: Object.fromEntries(services) }
}

/** One line for people: `turnout.yaml:12:7: services.shop.pools.blue: unknown key "tragets" (did you mean "targets"?)`. */
export function printFault({ source, line, column, path, message }: LoadFault): string {
  return `${source}:${line}:${column}: ${path === '' ? '' : `${path}: `}${message}`
}
