/** What other instances say that they have under way at places that let nobody in any more (busy-places.ts), and how far they are believed. */
import type { Instance } from '../store/store.ts'

/** Stands for all places that are out, where they are not told one by one. No key of a target is this: those hold line breaks. */
export const ANY_PLACE = '*'

/** Stands for all places of a service that are out, that of `place`. */
export const anyOf = (place: string): string => `${place.slice(0, place.indexOf('\n'))}\n${ANY_PLACE}`

/** Which places are meant, and since when they are out. */
export interface Out {
  /** As config/target-key.ts has them. */
  readonly places: readonly string[]
  /** The revision by which they are: what was said by an older one says nothing of them. */
  readonly revision: number
  /** Nobody need be under way there: one that lets somebody in yet is enough. */
  readonly orOpen: boolean
}

/** Whether there may be something yet by what an instance has said last. One of before this was told says nothing, and counts as idle. */
export function isBusyThere({ revision, busy = {} }: Instance, { places, revision: since, orOpen }: Out): boolean {
  const says = (key: string) => Object.hasOwn(busy, key) && (orOpen || busy[key] > 0)
  return revision < since || says(ANY_PLACE) || places.some((place) => says(place) || says(anyOf(place)))
}
