/**
 * What conditions of routes and rules are about: names that can be names, and values that a request can have. One that can never hold is a
 * fault, since nobody would see it at work: the rule is there, and matches nobody.
 *
 * Values are compared with what the parser leaves of a field: no control characters but HTAB, no blanks around it (RFC 9110 5.5), of a
 * cookie also no `;` and no quotes around it. Other letters are compared as their UTF-8, so they may stand in any value.
 */
import { canonicalAddress, parseAddress } from '../table/network.ts'
import { octetsOfText } from '../table/octets.ts'
import { KEY_LENGTH_MAX } from '../table/visitor.ts'
import { badNetwork, isToken } from './address.ts'
import type { Report } from './check-service.ts'
import { child } from './pointer.ts'

/** Longer methods are refused (http1/request-head.ts), and so is CONNECT. */
const METHOD_LENGTH_MAX = 32
const NEVER_IN_FIELD = /[\0-\x08\x0a-\x1f\x7f]|^[ \t]|[ \t]$/
const NEVER_BEGINS_FIELD = /[\0-\x08\x0a-\x1f\x7f]|^[ \t]/
const NEVER_IN_COOKIE = /;|^".*"$/s

/** Adds a fault for every name or value of `fields` that no request has. */
export function checkPairs(
  report: Report,
  at: string,
  fields: Record<string, string>,
  noun: 'header' | 'cookie',
): void {
  if (!report.present(at)) return
  checkNames(report, at, fields, noun)
  for (const [name, value] of Object.entries(fields)) {
    const bad = report.sound(child(at, name)) ? neverIn(value, noun, false) : null
    if (bad !== null) report.add(child(at, name), `no ${noun} has the value ${JSON.stringify(value)}: ${bad}`)
  }
}

/** Adds a fault for every name of a header or cookie that none has, or that stands there twice. */
export function checkNames(report: Report, at: string, fields: object, noun: 'header' | 'cookie'): void {
  const seen = new Set<string>()
  for (const name of Object.keys(fields)) {
    const known = noun === 'header' ? name.toLowerCase() : name
    if (!isToken(name)) report.add(child(at, name), `${JSON.stringify(name)} is not a ${noun} name`, { about: 'key' })
    if (seen.has(known)) report.add(child(at, name), `the header ${known} stands here twice`, { about: 'key' })
    seen.add(known)
  }
}

/** Why a value is never that of a field, or what it begins with, or null. */
export function neverIn(value: string, noun: 'header' | 'cookie', isPrefix: boolean): string | null {
  if (isPrefix) {
    if (NEVER_BEGINS_FIELD.test(value)) return 'control characters are refused, and blanks around it are not part of it'
    return noun === 'cookie' && value.includes(';') ? 'it ends at a semicolon' : null
  }
  if (!value.isWellFormed()) return 'half a character cannot be sent'
  if (NEVER_IN_FIELD.test(value)) return 'control characters are refused, and blanks around it are not part of it'
  if (noun === 'header' || !NEVER_IN_COOKIE.test(value)) return null
  return 'it ends at a semicolon, and quotes around it are not part of it'
}

/** Adds a fault when requests of this method are served by nobody. */
export function checkMethod(report: Report, at: string, method: string): void {
  if (!report.sound(at)) return
  if (method.length > METHOD_LENGTH_MAX || method.toUpperCase() === 'CONNECT') {
    report.add(at, `requests by ${JSON.stringify(method)} are refused`)
  }
}

/** Adds a fault for every visitor that cannot be. `sources` are where the visitor key may come from. */
export function checkVisitors(
  report: Report,
  at: string,
  visitors: readonly string[],
  sources: readonly string[],
): void {
  if (!report.present(at)) return
  const read = sources.length > 0 && !sources.some((source) => /^(jwt|query):/.test(source))
  const byAddress = sources.includes('address')
  for (const [index, visitor] of visitors.entries()) {
    if (!report.sound(child(at, index))) continue
    const bad = neverAKey(visitor, read, byAddress)
    if (bad !== null) report.add(child(at, index), `no visitor has the key ${shownKey(visitor)}: ${bad}`)
  }
}

const shownKey = (key: string): string => JSON.stringify(key.length > 80 ? `${key.slice(0, 79)}…` : key)

/** Why a text is never a visitor key, or null. `read`: all keys are read from fields; `byAddress`: it may be an address. */
function neverAKey(key: string, read: boolean, byAddress: boolean): string | null {
  if (key === '') return 'an empty key is none'
  if (!key.isWellFormed()) return 'half a character cannot be sent'
  if (octetsOfText(key).length > KEY_LENGTH_MAX) return `more than ${KEY_LENGTH_MAX} bytes are not taken`
  if (read && NEVER_IN_FIELD.test(key)) {
    return 'control characters are refused, and blanks around it are not part of it'
  }
  const address = byAddress && parseAddress(key) !== null ? canonicalAddress(key) : key
  return address === key ? null : `write ${address}`
}

/** Adds a fault for every entry that is no network. */
export function checkNetworks(report: Report, at: string, networks: readonly string[]): void {
  if (!report.present(at)) return
  for (const [index, text] of networks.entries()) {
    const bad = report.sound(child(at, index)) ? badNetwork(text) : null
    if (bad !== null) report.add(child(at, index), bad)
  }
}

/** Adds a fault for every source that asks for a field which cannot be. */
export function checkVisitor(report: Report, at: string, visitor: readonly string[]): void {
  if (!report.present(at)) return
  for (const [index, source] of visitor.entries()) {
    if (!report.sound(child(at, index))) continue
    const [from, name] = source.split(':')
    if ((from === 'header' || from === 'cookie') && name !== undefined && !isToken(name)) {
      report.add(child(at, index), `${JSON.stringify(name)} is not a ${from} name`)
    }
  }
}
