/** Which target of a pool is meant by what people write. Pure. */
import { TurnoutError } from '../errors.ts'
import { identityOf, parseTarget } from './address.ts'

/** A target as somebody has written it, of this pool. */
export interface NamedTarget {
  readonly service: string
  readonly pool: string
  readonly target: string
}

/** The URL of the target that is named. Throws `not_found` where there is none, and `conflict` where there are two. */
export function targetUrl(targets: readonly string[], { service, pool, target }: NamedTarget): string {
  const wanted = identitiesOf(target)
  const found = targets.filter((url) => wanted.includes(identityOf(url)))
  if (found.length === 1) return found[0]
  const where = `in pool ${pool} of ${service}`
  if (found.length === 0) {
    const example = targets.length > 0 ? ` (one that is there: ${identityOf(targets[0]).split('://')[1]})` : ''
    throw new TurnoutError('not_found', `There is no target ${target} ${where}${example}.`)
  }
  throw new TurnoutError('conflict', `${target} names ${found.join(' and ')} ${where}; give the whole URL.`)
}

/** The targets that may be meant by a URL, `host:port`, `host` with the port of its scheme, or a name of SRV records, however it is spelled. */
function identitiesOf(text: string): string[] {
  const schemes = ['http', 'https', 'srv+http', 'srv+https']
  const urls = /^(srv\+)?https?:\/\//i.test(text) ? [text] : schemes.map((scheme) => `${scheme}://${text}`)
  return urls.flatMap((url) => {
    const target = parseTarget(url)
    return 'bad' in target ? [] : [target.identity]
  })
}
