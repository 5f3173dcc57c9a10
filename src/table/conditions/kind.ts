/**
 * What every kind of condition has: the words of its entry in the table of kinds (kinds.ts). Types only.
 */
import type { TSchema } from 'typebox'
import type { Report } from '../../config/check-service.ts'
import type { RequestView } from '../types.ts'

/** One condition as workers are sent it: plain data. */
export interface ConditionPlan {
  /** Name of its kind, which is also its key in `when`. */
  readonly kind: string
  /** What its kind has made of what people wrote. */
  readonly asks: unknown
}

/** A compiled condition. */
export interface Condition {
  /** Asked for requests: nothing is allocated but what the view makes of a field. */
  holds(view: RequestView, visitor: string | null): boolean
}

/** What an index can look up: fields by name and value, or what a request has one of. */
export interface Filing {
  readonly space:
    | 'header'
    | 'cookie'
    | 'query'
    | 'method'
    | 'path'
    | 'prefix'
    | 'visitor'
    | 'file'
    | 'country'
    | 'network'
  /** Name of the field, as the view gives it; empty where there is only one. */
  readonly name: string
  /** Any of these, of `file` the file that has the visitor; null: the field only has to be there. */
  readonly values: readonly string[] | null
}

/** How requests for which a condition may hold are found without asking each rule. */
export interface Keys {
  /** A request for which it holds has one of these. */
  readonly filings: readonly Filing[]
  /** And a request that has one of these is one for which it holds. */
  readonly whole: boolean
}

/** A request by which a kind shows what it means. */
export interface ExampleRequest {
  readonly method?: string
  /** With its query. */
  readonly path?: string
  /** By lower-case name; a list for one that is sent more than once. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  /** Client address. */
  readonly ip?: string
  /** Wall time. */
  readonly atMs?: number
}

/** A condition, a request for which it holds, and one for which it does not. Visitors are told by `x-user`, countries by `x-country`. */
export interface Example<Spec = unknown> {
  readonly spec: Spec
  readonly held: ExampleRequest
  readonly failed: ExampleRequest
  /** What is in the files that it names. */
  readonly files?: Readonly<Record<string, string>>
  /** Which networks are in which country. */
  readonly countries?: Readonly<Record<string, string>>
}

/** What a condition looks up beside the table, and where it says so: a file of visitors or of a page by its name, or the country of a client. */
export interface Need {
  readonly pointer: string
  readonly kind: 'visitors' | 'countries' | 'page'
  /** Empty for countries, which are the same for all. */
  readonly name: string
}

/** What the checks of a condition may know of its service. */
export interface CheckContext {
  /** Where the visitor key may come from; empty when that is not known. */
  readonly sources: readonly string[]
  /** Patterns that were met so far, and the steps that it took to compile them. */
  readonly patterns: { count: number; work: number }
  /** Time zones that were met so far. */
  readonly zones: Set<string>
}

/** An entry of the table. */
export interface Kind<Spec = unknown, Asks = unknown> {
  /** Schema of what people write. */
  readonly schema: TSchema
  /** Adds every fault of what passed the schema, and of what can never hold. */
  check(report: Report, at: string, spec: Spec, context: CheckContext): void
  /** Conditions of a rule that must all hold; none where nothing is asked. */
  plan(spec: Spec, rule: string): readonly Asks[]
  /** null: no index finds it. */
  keys(asks: Asks): Keys | null
  compile(asks: Asks): Condition
  /** For people, such as `header x-internal=1`. */
  words(asks: Asks): string
  /** Absent: nothing. */
  needs?(spec: Spec): readonly Need[]
  /** One for each of its forms. */
  readonly examples: readonly Example<Spec>[]
}
