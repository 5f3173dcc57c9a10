/**
 * The version, asked again: what preflight was told may have been replaced since, by whoever restarts a target.
 *
 * Before the end of a rollout every target of it that answers requests has to tell its version once more; one that says nothing is waited
 * for. While it runs a target is asked when it comes, comes back or has other addresses, and every `AGAIN_MS`, since a restart may
 * be too short for anybody to see. A wrong answer ends the rollout like a verdict; silence while it runs says nothing: its health does.
 */
import { activeOf, isBack, isOver, type Rollout } from '../rollout.ts'
import { versionOf, wrongVersion } from './answer-checks.ts'
import { type About, GateClosed, type Means } from './gate.ts'
import { ClearNo, takingOf, untilAnswered } from './still-there.ts'

/** Between two looks at who is due, in ms. */
const LOOK_MS = 500
const AGAIN_MS = 10_000
/** Targets that are asked at the same time. */
const AT_ONCE = 32

/** Passes once every target with the new version that takes requests has told its version again. */
export async function stillVersion(about: About, means: Means, signal: AbortSignal): Promise<void> {
  const version = versionOf(about)
  if (version === null) return
  await untilAnswered('version', about, means, signal, async (urls) => {
    const { wrong, silent } = await askAll(urls, version, about, means, signal)
    if (wrong !== null) throw new ClearNo(wrong)
    const [first] = silent.values()
    if (first !== undefined) throw new GateClosed(first)
    return `${urls.length} targets of ${about.rollout.to} still answer version ${version}`
  })
}

interface Answers {
  /** What is wrong with the first that answers another version. */
  readonly wrong: string | null
  /** Why those that have not answered have not, by URL. */
  readonly silent: ReadonlyMap<string, string>
}

async function askAll(
  urls: readonly string[],
  version: string,
  about: About,
  means: Means,
  signal: AbortSignal,
): Promise<Answers> {
  const silent = new Map<string, string>()
  let wrong: string | null = null
  const ask = async (url: string): Promise<void> => {
    try {
      wrong = (await wrongVersion(url, version, about, means, signal)) ?? wrong
    } catch (error) {
      if (!(error instanceof GateClosed)) throw error
      silent.set(url, error.message)
    }
  }
  for (let at = 0; at < urls.length && wrong === null; at += AT_ONCE) {
    await Promise.all(urls.slice(at, at + AT_ONCE).map(ask))
  }
  return { wrong, silent }
}

const poolOf = (about: About) => about.status()?.pools[about.rollout.to]

/** Asks the targets of one rollout while it runs. */
export class StillVersion {
  readonly #means: Means
  readonly #signal: AbortSignal
  readonly #tell: (wrong: string) => void
  readonly #tellBroken: (error: unknown) => void
  /** Those that were asked and have taken requests since: when, and their addresses then. */
  readonly #asked = new Map<string, { readonly atMs: number; readonly addresses: string }>()
  #pool: unknown = null
  #lookedAtMs = -Infinity
  #isAsking = false

  /** `tell` is called with what is wrong, again while it is so; `tellBroken` with what has kept it from asking, which is a bug of ours. */
  constructor(means: Means, signal: AbortSignal, tell: (wrong: string) => void, tellBroken: (error: unknown) => void) {
    this.#means = means
    this.#signal = signal
    this.#tell = tell
    this.#tellBroken = tellBroken
  }

  /** Asks whoever is due, if anybody is. */
  look(aboutNow: () => About, rollout: Rollout): void {
    if (!isUnderWay(rollout)) return
    const nowMs = this.#means.steadyMs()
    const about = aboutNow()
    const version = versionOf(about)
    if (version === null) return
    // What has changed is a new object; whoever is out for a moment is seen to be, whenever he is asked then.
    const pool = poolOf(about)
    const isNew = pool !== this.#pool
    if (!isNew && (this.#isAsking || nowMs - this.#lookedAtMs < LOOK_MS)) return
    this.#pool = pool
    this.#lookedAtMs = nowMs
    const taking = takingOf(about, nowMs)
    for (const url of this.#asked.keys()) if (!taking.has(url)) this.#asked.delete(url)
    const due: string[] = []
    for (const [url, { addresses }] of taking) {
      const now = addresses.map(({ address }) => address).join(' ')
      const before = this.#asked.get(url)
      if (before?.addresses === now && nowMs - before.atMs < AGAIN_MS) continue
      this.#asked.delete(url)
      if (this.#isAsking) continue
      due.push(url)
      this.#asked.set(url, { atMs: nowMs, addresses: now })
    }
    if (due.length > 0) void this.#ask(due, version, about)
  }

  async #ask(urls: readonly string[], version: string, about: About): Promise<void> {
    this.#isAsking = true
    try {
      const { wrong, silent } = await askAll(urls, version, about, this.#means, this.#signal)
      for (const url of silent.keys()) this.#asked.delete(url)
      if (wrong !== null) this.#tell(wrong)
    } catch (error) {
      // Nobody waits for this: thrown on, it would end the process.
      if (!this.#signal.aborted) this.#tellBroken(error)
    } finally {
      this.#isAsking = false
    }
  }
}

/** Its checks are behind it, and its end is before it. */
function isUnderWay(rollout: Rollout): boolean {
  return activeOf(rollout) !== 'preflight' && !isBack(rollout) && !isOver(rollout)
}
