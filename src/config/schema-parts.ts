/** Words of the schema that several of its files use. */
import Type, { type TProperties } from 'typebox'

/** An object whose unknown keys are errors. */
export const closed = <P extends TProperties>(properties: P, options: object = {}) =>
  Type.Object(properties, { additionalProperties: false, ...options })

/** What a duration looks like. */
export const DURATION_PATTERN = '^[0-9]+(\\.[0-9]+)?(ms|s|m|h|d)$'

/** A duration as people write it; resolved by duration.ts. */
export const Duration = (description: string, fallback?: string) =>
  Type.String({
    pattern: DURATION_PATTERN,
    title: 'a duration such as 500ms, 2s, 5m, 1h or 7d',
    description: `${description} A duration such as 500ms, 2s, 5m, 1h or 7d.`,
    ...(fallback === undefined ? {} : { default: fallback }),
  })
