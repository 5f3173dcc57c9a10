/**
 * Whether a shared cache may keep an answer and give it to somebody else: then nothing personal may stand beside it, for
 * RFC 9111 7.3 says that `Set-Cookie` does not keep a cache from storing.
 *
 * Yes: `public`; a lifetime (`max-age`, `s-maxage`, `stale-while-revalidate`, `stale-if-error`, `Expires` to come) or
 * `immutable`, but for `no-cache`; the same said to CDNs alone (`CDN-Cache-Control` by RFC 9213, names that end so,
 * `Surrogate-Control`), which then do not look at Cache-Control. And a 304, unless it says otherwise: its fields become those
 * of the answer that is kept (RFC 9111 3.2), which it need not describe.
 * No: `private`, `no-store`. With a list of fields (`private="x"`, 5.2.2.7) `private` is about these fields only, and counts as
 * nothing, as `no-cache` does then.
 * What says nothing at all may be kept by heuristics (4.2.2), and yet is taken for no: caches in use keep no such answer with
 * a cookie, and most pages come like this. So is a lifetime of 0, which no cache gives out without asking.
 *
 * Looked at only when there is a cookie to set.
 */
import type { Fields } from './fields.ts'
import { withoutSpace } from './syntax.ts'

const NO_STORE = 1
const PRIVATE = 2
const NO_CACHE = 4
const PUBLIC = 8
/** A lifetime above 0, or `immutable`. */
const FRESH = 16
/** A lifetime of any length: then Expires does not count (5.3). */
const LIFETIME = 32
/** Who knows it does not look at `no-store` (5.2.2.3). */
const MUST_UNDERSTAND = 64

const DIRECTIVES: ReadonlyMap<string, number> = new Map([
  ['no-store', NO_STORE],
  ['private', PRIVATE],
  ['no-cache', NO_CACHE],
  ['public', PUBLIC],
  ['immutable', FRESH],
  ['must-understand', MUST_UNDERSTAND],
])
const LIFETIMES = new Set(['max-age', 's-maxage', 'stale-while-revalidate', 'stale-if-error'])
/** The three forms of a date, RFC 9110 5.6.7: IMF-fixdate, that of RFC 850, and that of asctime. */
const DATES = [
  /^[A-Za-z]{3}, (?<day>\d\d) (?<month>[A-Z][a-z]{2}) (?<year>\d{4}) (?<time>\d\d:\d\d:\d\d) GMT$/,
  /^[A-Za-z]{6,9}, (?<day>\d\d)-(?<month>[A-Z][a-z]{2})-(?<year>\d\d) (?<time>\d\d:\d\d:\d\d) GMT$/,
  /^[A-Za-z]{3} (?<month>[A-Z][a-z]{2}) (?<day>[ \d]\d) (?<time>\d\d:\d\d:\d\d) (?<year>\d{4})$/,
]
const MONTHS = ' JanFebMarAprMayJunJulAugSepOctNovDec'

/** Whether a shared cache may keep an answer with this final status and these fields. */
export function mayBeShared(status: number, fields: Fields): boolean {
  let control = ''
  let expires = ''
  let date = ''
  for (let i = 0; i < fields.count; i++) {
    const name = fields.name(i)
    if (name === 'cache-control') control += fields.value(i) + ','
    else if (name === 'expires') expires = fields.value(i)
    else if (name === 'date') date = fields.value(i)
    else if (name === 'surrogate-control' || name.endsWith('cdn-cache-control')) {
      if (allows(directivesOf(fields.value(i)))) return true
    }
  }
  const found = directivesOf(control)
  if (isRefused(found)) return false
  if (status === 304 || allows(found)) return true
  return (found & (NO_CACHE | LIFETIME)) === 0 && isLater(expires, date)
}

function isRefused(found: number): boolean {
  return (found & PRIVATE) !== 0 || (found & (NO_STORE | MUST_UNDERSTAND)) === NO_STORE
}

function allows(found: number): boolean {
  if (isRefused(found)) return false
  return (found & PUBLIC) !== 0 || (found & (FRESH | NO_CACHE)) === FRESH
}

/** The directives of a list, as bits. */
function directivesOf(list: string): number {
  let found = 0
  let start = 0
  let quoted = false
  for (let at = 0; at <= list.length; at++) {
    const code = at === list.length ? 44 : list.charCodeAt(at)
    if (code === 34) quoted = !quoted
    else if (code === 92 && quoted) at++
    if (code !== 44 || (quoted && at < list.length)) continue
    found |= directive(list.slice(start, at))
    start = at + 1
  }
  return found
}

function directive(text: string): number {
  const equals = text.indexOf('=')
  if (equals < 0) return DIRECTIVES.get(withoutSpace(text).toLowerCase()) ?? 0
  const name = withoutSpace(text.slice(0, equals)).toLowerCase()
  if (!LIFETIMES.has(name)) return 0
  const seconds = Number(withoutSpace(text.slice(equals + 1)).replaceAll('"', ''))
  return (seconds > 0 ? FRESH : 0) | (name === 'max-age' || name === 's-maxage' ? LIFETIME : 0)
}

/** Whether Expires lies behind Date. What is no date has expired (5.3); without Date, what is one has not. */
function isLater(expires: string, date: string): boolean {
  const end = orderOf(expires)
  return end !== '' && end > orderOf(date)
}

/** A date as text that is ordered like time; empty when it is none. */
function orderOf(text: string): string {
  for (const form of DATES) {
    const parts = form.exec(text)?.groups
    if (parts === undefined) continue
    const month = MONTHS.indexOf(parts['month'])
    if (month < 0) return ''
    return fullYear(parts['year']) + String.fromCharCode(64 + month) + parts['day'].replace(' ', '0') + parts['time']
  }
  return ''
}

/** A year of two digits is taken for the one that RFC 6265 5.1.1 takes it for. */
function fullYear(year: string): string {
  if (year.length === 4) return year
  return (year < '70' ? '20' : '19') + year
}
