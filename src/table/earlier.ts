import type { Decision, TargetTable } from './types.ts'

/** What is known of earlier tries of the same request. */
export interface Earlier {
  /** It had a target, whatever came of that: a maintenance that began since is not for it. */
  readonly isLetIn?: boolean
  /** Targets that were found out of order. */
  readonly exclude: readonly TargetTable[]
  /** One that may be well: taken again only when its pool has no other as good. */
  readonly avoid: TargetTable | null
  /** Names of pools whose version has not got what is asked for; where the last has failed (`isLost`) the first may be asked again. */
  readonly missing: readonly string[]
  readonly isLost?: boolean
  /** The id of ours that the visitor was given by an earlier decision (`fresh`), and keeps while nothing else says who it is. */
  readonly givenId?: string | null
  /** The decision that found no room: a request that nobody's bucket decides stays with the pool of that one. */
  readonly waited?: Decision | null
}
