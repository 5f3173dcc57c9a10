/** The instances of a store of which each has a local copy (snapshot-store.ts): as the store has them, but that what it lost is written again from the copy. */
import type { LostNamed } from './lost-named.ts'
import type { News } from './news.ts'
import type { Fleet } from './store.ts'

export type RemoteFleet = Omit<Fleet, 'rewrite'> & LostNamed['fleet']

/** What the store warns of goes to `news`. */
export const fleetOf = (fleet: RemoteFleet, news: News, rewrite: Fleet['rewrite']): Fleet => ({
  counts: fleet.counts,
  lifeMs: fleet.lifeMs,
  unreplicated: () => fleet.unreplicated(),
  announce: (self) => fleet.announce(self),
  leave: (id) => fleet.leave(id),
  listen: (heard) => fleet.listen(heard, (message) => news.tell('warn', message)),
  onLeadLost: (lost) => fleet.onLeadLost(lost),
  stillLeads: () => fleet.stillLeads(),
  rewrite,
})
