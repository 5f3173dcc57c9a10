/**
 * A request as `decide` sees it, read from the raw head on demand: only what a rule or a visitor source asks for is looked up.
 *
 * One object per worker; it is about whatever the worker's request head holds at the moment.
 *
 * Our cookie has the name that the config gives it, unless the request shows that this name is taken: by another service of ours
 * under the same host, by another Turnout beside us, or by one in front of us (`Via`), which sets its own at the same answer. Then
 * it is `NAME-SERVICE-ID`, where ID is that of this deployment: so nobody overwrites what somebody else has to remember. A client with
 * many of those has met one deployment that forgets its id (a store in memory) again and again; then the name is taken over.
 */

import { nameHint } from '../table/condition-index.ts'
import { cookieValue, countBeginning, findTwo, someCookie, type TwoCookies } from '../table/cookie-header.ts'
import { countryOf } from '../table/country.ts'
import type { StickyPlan } from '../table/plan.ts'
import type { OwnCookie, RequestView, ServiceTable, TextTest } from '../table/types.ts'
import { bearerToken, claimsText } from '../table/visitor.ts'
import type { CookieSigner } from './cookie-signer.ts'
import { KIND, kindBits } from './http1/field-kinds.ts'
import { STRIDE } from './http1/fields.ts'
import type { RequestHead } from './http1/request-head.ts'
import { Lookups } from './lookups/lookups.ts'

const CREDENTIALS = kindBits(KIND.credentials)
/** Cookies for one service by other deployments, beside the first, that a client may have before one is overwritten. */
const APART_MAX = 4

export class HeadView implements RequestView {
  readonly #head: RequestHead
  readonly #signer: CookieSigner
  readonly wallMs: () => number
  readonly #lookups: Lookups
  /** What the head has under the two names that our cookie may have: the short one is that of the config. */
  readonly #own: TwoCookies = { short: undefined, long: undefined }
  address = ''
  /** It came from a trusted proxy, who is believed to know the country of the client. */
  isTrusted = false

  constructor(head: RequestHead, signer: CookieSigner, wallMs: () => number, lookups: Lookups = new Lookups()) {
    this.#head = head
    this.#signer = signer
    this.wallMs = wallMs
    this.#lookups = lookups
  }

  get method(): string {
    return this.#head.method
  }

  get host(): string {
    return this.#head.host
  }

  /** `*` (of OPTIONS) is routed as `/`. */
  get path(): string {
    return this.#head.path === '*' ? '/' : this.#head.path
  }

  get query(): string {
    const { target, path } = this.#head
    return target.length > path.length ? target.slice(path.length + 1) : ''
  }

  header(name: string): string | undefined {
    const { fields } = this.#head
    const i = fields.find(name)
    if (i < 0) return undefined
    return fields.find(name, i + 1) < 0 ? fields.value(i) : this.#joined(name)
  }

  /** Of a field that is no list two lines say nothing: one of them may be the client's own, behind the back of a proxy. */
  #only(name: string): string | undefined {
    const { fields } = this.#head
    const i = fields.find(name)
    return i < 0 || fields.find(name, i + 1) >= 0 ? undefined : fields.value(i)
  }

  headerPasses(name: string, test: TextTest): boolean {
    const fields = this.#head.fields
    let count = 0
    for (let i = fields.find(name); i >= 0; i = fields.find(name, i + 1)) {
      if (test.holds(fields.value(i))) return true
      count++
    }
    return count > 1 && test.holds(this.#joined(name))
  }

  #joined(name: string): string {
    const fields = this.#head.fields
    let text = ''
    const first = fields.find(name)
    for (let i = first; i >= 0; i = fields.find(name, i + 1)) {
      text += i === first ? fields.value(i) : ', ' + fields.value(i)
    }
    return text
  }

  cookie(name: string): string | undefined {
    const { fields } = this.#head
    for (let i = fields.next(KIND.cookie); i >= 0; i = fields.next(KIND.cookie, i + 1)) {
      const value = cookieValue(fields.value(i), name)
      if (value !== undefined) return value
    }
    return undefined
  }

  cookiePasses(name: string, test: TextTest): boolean {
    const { fields } = this.#head
    for (let i = fields.next(KIND.cookie); i >= 0; i = fields.next(KIND.cookie, i + 1)) {
      if (someCookie(fields.value(i), name, test)) return true
    }
    return false
  }

  claims(): string | null {
    // Most requests bring no credentials: no name is compared for them.
    if (!this.#head.fields.hasAny(CREDENTIALS)) return null
    const { tokens } = this.#lookups
    const authorization = this.#only('authorization')
    return tokens === null ? claimsText(bearerToken(authorization)) : tokens.claims(authorization, this.wallMs())
  }

  country(): string | null {
    const { countryHeader } = this.#lookups
    const told = countryHeader !== null && this.isTrusted ? this.#only(countryHeader) : undefined
    return (told === undefined ? null : countryOf(told)) ?? this.#lookups.countryOf(this.address)
  }

  isListed(file: string, visitor: string): boolean {
    return this.#lookups.isListed(file, visitor)
  }

  get fieldCount(): number {
    return this.#head.fields.count
  }

  fieldHint(at: number): number {
    const { text, index } = this.#head.fields
    return nameHint(text, index[at * STRIDE], index[at * STRIDE + 1])
  }

  fieldName(at: number): string {
    return this.#head.fields.name(at)
  }

  fieldValue(at: number): string {
    return this.#head.fields.value(at)
  }

  joinedAt(at: number): string | null {
    const fields = this.#head.fields
    const name = fields.name(at)
    const first = fields.find(name)
    return fields.find(name, first + 1) === at ? this.#joined(name) : null
  }

  ownCookie({ sticky, name }: ServiceTable): OwnCookie | null {
    if (sticky === null || !this.#findOwn(sticky, name)) return null
    const { short, long } = this.#own
    const apart = long === undefined ? null : this.#signer.verify(this.#signer.nameApart(sticky, name), long)
    if (apart !== null || short === undefined) return apart
    return this.#signer.verify(sticky.cookie, short)
  }

  /** The name to set our cookie by. */
  cookieName(sticky: StickyPlan, service: string): string {
    const apart = this.#signer.nameApart(sticky, service)
    if (this.#isBehindTurnout()) return apart
    if (!this.#findOwn(sticky, service)) return sticky.cookie
    const { short, long } = this.#own
    if (long !== undefined) return apart
    const own = this.#signer.verify(sticky.cookie, short!)
    if (own !== null) return own.service === service ? sticky.cookie : apart
    return this.#signer.isForeign(short!) && this.#countApart(apart) < APART_MAX ? apart : sticky.cookie
  }

  /** How many deployments have given this client a cookie for a service of this name, beside the first. */
  #countApart(apart: string): number {
    const { fields } = this.#head
    const beginning = apart.slice(0, apart.lastIndexOf('-') + 1)
    let count = 0
    for (let i = fields.next(KIND.cookie); i >= 0; i = fields.next(KIND.cookie, i + 1)) {
      count += countBeginning(fields.value(i), beginning)
    }
    return count
  }

  /** Whether the head has a cookie by either name. */
  #findOwn(sticky: StickyPlan, service: string): boolean {
    const { fields } = this.#head
    const own = this.#own
    own.short = undefined
    own.long = undefined
    for (let i = fields.next(KIND.cookie); i >= 0; i = fields.next(KIND.cookie, i + 1)) {
      findTwo(fields.value(i), sticky.cookie, this.#signer.nameApart(sticky, service), own)
    }
    return own.short !== undefined || own.long !== undefined
  }

  #isBehindTurnout(): boolean {
    const { fields } = this.#head
    for (let i = fields.next(KIND.via); i >= 0; i = fields.next(KIND.via, i + 1)) {
      if (fields.value(i).includes('turnout')) return true
    }
    return false
  }
}
