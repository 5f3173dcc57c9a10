/**
 * A start on a store that has lost named values that a start needs, and nothing else. An instance that lives has them and writes them again, which is
 * waited for; else they are those of the local snapshot; where nobody has them the document goes on without, which is told.
 */
import { type Clock, sleep } from '../clock.ts'
import type { LocalNews, Position } from './store.ts'

/** So often, and at such intervals, it is looked whether others have mended it: longer than they take to, or are taken to live. */
const LOOKS = 25
const LOOK_MS = 200

const NOBODY =
  'has lost the keys of the cookies and what the config file has said last, and no instance lives that has them: both are made anew, and visitors are assigned anew'

/** What is asked of the store. */
export interface LostNamed {
  position(): Promise<Position>
  putIfAbsent(key: string, value: string): Promise<string>
  readonly fleet: {
    /**
     * Takes the document as whole where nothing of it is gone but named values, and no instance lives that has them. `damaged` where more is
     * gone, `others` while one lives.
     */
    withoutNamed(): Promise<'taken' | 'damaged' | 'others'>
  }
}

/** Goes on once the store has them again, or is whole without. `kept` gives those of the snapshot, null where it has none of this store. */
export async function settleNamed(
  store: LostNamed,
  kept: () => Promise<Readonly<Record<string, string>> | null>,
  clock: Clock,
  tell: (level: LocalNews['level'], reason: string) => void,
): Promise<void> {
  for (let looks = 0; (await store.position()).isDamaged === true && looks < LOOKS; looks++) {
    const found = await store.fleet.withoutNamed()
    if (found === 'taken') {
      const named = await kept()
      if (named === null) tell('error', NOBODY)
      else
        tell(
          'warn',
          'has lost its named values, the keys of the cookies among them; those of the local snapshot are written there again',
        )
      for (const [key, value] of Object.entries(named ?? {})) await store.putIfAbsent(key, value)
    }
    // What is damaged otherwise, the next reading refuses.
    if (found !== 'others') return
    await sleep(clock, LOOK_MS)
  }
}
