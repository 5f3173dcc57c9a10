/** Words of the schema that several of its files use. */
import type { TProperties } from 'typebox'
import { Type } from './type.ts'

/** An object whose unknown keys are errors. */
export const closed = <P extends TProperties>(properties: P, options: object = {}) =>
  Type.Object(properties, { additionalProperties: false, ...options })

/** The same, with what it looks like: for whoever writes something else in its place (validate.ts), and for editors. */
export const closedLike = <P extends TProperties>(example: object, properties: P) =>
  closed(properties, { examples: [example] })

/** What a duration looks like: up to some thousand years, so that a date that far from now is one, and sums are exact. */
export const DURATION_PATTERN =
  '^([0-9]{1,10}(\\.[0-9]{1,6})?(ms|s)|[0-9]{1,9}(\\.[0-9]{1,6})?m|[0-9]{1,6}(\\.[0-9]{1,6})?(h|d))$'

/** What editors say of every duration, after what it is. */
export const DURATION_HINT = 'A duration such as 500ms, 2s, 5m, 1h or 7d.'

/** A duration as people write it; resolved by duration.ts. */
export const Duration = (description: string, fallback?: string) =>
  Type.String({
    pattern: DURATION_PATTERN,
    title: 'a duration such as 500ms, 2s, 5m, 1h or 7d',
    description: `${description} ${DURATION_HINT}`,
    ...(fallback === undefined ? {} : { default: fallback }),
  })

/** Names of services, pools, rules, tokens and metrics: they stand in URLs, headers, labels and queries. */
export const NAME_PATTERN = '^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$'
/** What a name is, in words: `"a b" is not …`. */
export const NAME_TITLE = 'a name (letters, digits, ".", "_" and "-", at most 63, beginning with a letter or digit)'

/** A name that people give to something. */
export const Name = (description: string) => Type.String({ pattern: NAME_PATTERN, title: NAME_TITLE, description })

/** A method as requests have it, of any case. */
export const Method = (description?: string) =>
  Type.String({
    pattern: "^[A-Za-z!#$%&'*+.^_`|~0-9-]+$",
    title: 'an HTTP method',
    ...(description === undefined ? {} : { description }),
  })

/** What is asked of a target: a path, with a query or not. */
export const UrlPath = (description: string, fallback: string) =>
  Type.String({ default: fallback, pattern: '^/[^\\s#]*$', title: 'a path that begins with "/"', description })

/** Statuses as people write them; read by statuses.ts. */
export const Statuses = (description: string, fallback?: string) =>
  Type.String({
    ...(fallback === undefined ? {} : { default: fallback }),
    pattern: '^[1-5][0-9]{2}(-[1-5][0-9]{2})?(,[1-5][0-9]{2}(-[1-5][0-9]{2})?)*$',
    title: 'a list of statuses such as 200-299 or 200,204',
    description,
  })

/** An address that we call. */
export const HttpUrl = (description: string) =>
  Type.String({ pattern: '^https?://[^\\s#]+$', title: 'an http or https URL', maxLength: 2_048, description })
