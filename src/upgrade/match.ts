/**
 * Which of the sockets that listen already belong to which listener of a config. Pure.
 *
 * A listener is the same when its host and port are written the same; with port 0 there may be several, which follow each other in
 * order. One that names the port which port 0 has become is the same, too. Any other address is opened anew, which fails where it overlaps with one
 * that another process has. What nobody wants is left.
 */
import type { OfferedListener } from './messages.ts'

interface Wanted {
  readonly host: string
  readonly port: number
}

export interface Matched {
  /** Descriptors for each wanted listener; none where it is new. */
  readonly descriptors: readonly (readonly number[])[]
  /** Of each that is offered whether it is wanted. */
  readonly taken: readonly boolean[]
}

/** Gives each wanted listener the sockets that listen there. */
export function matchListeners(wanted: readonly Wanted[], offered: readonly OfferedListener[]): Matched {
  const taken = offered.map(() => false)
  const take = (is: (offer: OfferedListener) => boolean): readonly number[] | null => {
    const at = offered.findIndex((offer, index) => !taken[index] && offer.descriptors.length > 0 && is(offer))
    if (at < 0) return null
    taken[at] = true
    return offered[at].descriptors
  }
  const exact = wanted.map(({ host, port }) => take((offer) => offer.host === host && offer.port === port))
  const descriptors = wanted.map(
    ({ host, port }, at) => exact[at] ?? take((offer) => offer.host === host && offer.bound === port) ?? [],
  )
  return { descriptors, taken }
}
