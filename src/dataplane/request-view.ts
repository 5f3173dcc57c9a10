/**
 * A request as `decide` sees it, read from the raw head on demand: only what a rule or a visitor source asks for is looked up.
 *
 * One object per worker; it is about whatever the worker's request head holds at the moment.
 */

import { nameHint } from '../table/condition-index.ts'
import { cookieValue } from '../table/cookie-header.ts'
import type { OwnCookie, RequestView } from '../table/types.ts'
import type { CookieSigner } from './cookie-signer.ts'
import { KIND } from './http1/field-kinds.ts'
import { STRIDE } from './http1/fields.ts'
import type { RequestHead } from './http1/request-head.ts'

export class HeadView implements RequestView {
  readonly #head: RequestHead
  readonly #signer: CookieSigner
  address = ''

  constructor(head: RequestHead, signer: CookieSigner) {
    this.#head = head
    this.#signer = signer
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

  header(name: string): string | undefined {
    const i = this.#head.fields.find(name)
    return i < 0 ? undefined : this.#head.fields.value(i)
  }

  headerHas(name: string, value: string): boolean {
    const fields = this.#head.fields
    let count = 0
    for (let i = 0; i < fields.count; i++) {
      if (!fields.isNamed(i, name)) continue
      if (value === '*' || fields.value(i) === value) return true
      count++
    }
    return count > 1 && this.#joined(name) === value
  }

  #joined(name: string): string {
    const fields = this.#head.fields
    let text = ''
    let first = true
    for (let i = 0; i < fields.count; i++) {
      if (!fields.isNamed(i, name)) continue
      text += first ? fields.value(i) : ', ' + fields.value(i)
      first = false
    }
    return text
  }

  cookie(name: string): string | undefined {
    const fields = this.#head.fields
    for (let i = 0; i < fields.count; i++) {
      if (fields.kind(i) !== KIND.cookie) continue
      const value = cookieValue(fields.value(i), name)
      if (value !== undefined) return value
    }
    return undefined
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
    if (first === at) return null
    for (let i = first + 1; i < at; i++) if (fields.isNamed(i, name)) return null
    return this.#joined(name)
  }

  ownCookie(name: string): OwnCookie | null {
    const value = this.cookie(name)
    return value === undefined ? null : this.#signer.verify(name, value)
  }
}
