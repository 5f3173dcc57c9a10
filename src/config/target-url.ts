/** Which target of a pool is meant by what people write. Pure. */
import { TurnoutError } from '../errors.ts'
import { identityOf, parseTarget } from './address.ts'
import { editDistance } from './nearest.ts'

/** A target as somebody has written it, of this pool. */
export interface NamedTarget {
  readonly service: string
  readonly pool: string
  readonly target: string
}

/** The URL of the target that is named. Throws `not_found` where there is none, and `conflict` where there are two. */
export function targetUrl(targets: readonly string[], { service, pool, target }: NamedTarget): string {
  const found = targets.filter((url) => isMeant(url, target))
  if (found.length === 1) return found[0]
  const where = `in pool ${pool} of ${service}`
  if (found.length === 0) {
    throw new TurnoutError('not_found', `There is no target ${target} ${where}${hintOf(targets, target)}.`)
  }
  throw new TurnoutError('conflict', `${target} names ${found.join(' and ')} ${where}; give the whole URL.`)
}

/** Whether a target with this URL may be meant by what somebody has written. */
export const isMeant = (url: string, written: string): boolean => identitiesOf(written).includes(identityOf(url))

/** The one that was probably meant, or one that is there: addresses look alike, so only one that differs in no more than its port or a digit is guessed. */
function hintOf(targets: readonly string[], target: string): string {
  const known = targets.map((url) => identityOf(url).split('://')[1])
  if (known.length === 0) return ': it has none'
  const bare = target.replace(/^(srv\+)?https?:\/\//i, '')
  const [same] = known.filter((name) => name.replace(/:[0-9]+$/, '') === bare.replace(/:[0-9]+$/, ''))
  const close = same ?? known.find((name) => editDistance(name, bare) <= 1)
  return close === undefined ? ` (one that is there: ${known[0]})` : ` (did you mean ${JSON.stringify(close)}?)`
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
