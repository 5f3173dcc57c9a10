/** Queries with the names that they stand for. Pure. */
import { NAME_PATTERN } from '../../config/schema-parts.ts'

const NAME = new RegExp(NAME_PATTERN)

/** The query with the names of the service and the pool in it. Names have no quotes and no backslashes, so they stay within a string of PromQL. */
export function filled(query: string, service: string, pool: string): string {
  const names = { '{service}': service, '{pool}': pool }
  return query.replaceAll(/\{(?:service|pool)\}/g, (word) => {
    const name = names[word as keyof typeof names]
    if (!NAME.test(name)) throw new Error(`${JSON.stringify(name)} is not a name`)
    return name
  })
}
