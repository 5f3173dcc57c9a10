/**
 * What the resolver of the system is told in resolv.conf on names that are not complete: Docker and Kubernetes rely on it.
 * Pure. The name servers in it are read by node:dns itself.
 */

/** The part of resolv.conf that says how to complete a name. */
export interface ResolvConf {
  readonly search: readonly string[]
  /** A name with as many dots is asked as it is before the search list. */
  readonly ndots: number
}

/** Search domains that are tried: what Kubernetes allows. */
export const SEARCH_MAX = 32
const NDOTS_MAX = 15
const NAME_LENGTH_MAX = 253

/** Reads the text of a resolv.conf; the last `search` or `domain` counts, as resolvers have it. */
export function parseResolvConf(text: string): ResolvConf {
  let search: string[] = []
  let ndots = 1
  for (const line of text.split('\n')) {
    const [key, ...values] = line
      .replace(/[#;].*/, '')
      .trim()
      .split(/\s+/)
    if (key === 'search') search = values
    if (key === 'domain') search = values.slice(0, 1)
    if (key !== 'options') continue
    for (const value of values) {
      const dots = /^ndots:([0-9]{1,6})$/.exec(value)
      if (dots !== null) ndots = Math.min(Number(dots[1]), NDOTS_MAX)
    }
  }
  const domains = search.map((domain) => domain.toLowerCase().replace(/\.$/, '')).filter((domain) => domain !== '')
  return { search: domains.slice(0, SEARCH_MAX), ndots }
}

/** The complete names that a name may stand for, in the order in which they are asked. */
export function completeNames(name: string, { search, ndots }: ResolvConf): string[] {
  if (name.endsWith('.')) return [name.slice(0, -1)]
  const completed = search.map((domain) => `${name}.${domain}`)
  const dots = name.split('.').length - 1
  const names = dots >= ndots ? [name, ...completed] : [...completed, name]
  return names.filter((complete) => complete.length <= NAME_LENGTH_MAX)
}
