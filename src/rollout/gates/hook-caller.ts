/**
 * Calls a hook for who is no rollout: a switch under a hold. By the same rules: what may be chance is tried again, a clear no is one. But here all
 * tries together have so long, since requests wait meanwhile.
 */
import type { LookupFunction } from 'node:net'
import type { Clock } from '../../clock.ts'
import { unansweredInWords } from '../../unanswered.ts'
import { Asker } from './asker.ts'
import { headersOf, postUntilHeard } from './hooks.ts'
import { waitFor } from './pause.ts'

/** A hook as it is called; `secret` signs the body. */
export interface CalledHook {
  readonly url: string
  readonly secret?: string
}

export class HookCaller {
  readonly #asker: Asker
  readonly #clock: Clock

  constructor(clock: Clock, find: LookupFunction) {
    this.#asker = new Asker(find)
    this.#clock = clock
  }

  /** POSTs `body`, under `key`. Null once it has answered 2xx, else why it has not by then. Rejects with what `signal` aborts with. */
  async call(
    hook: CalledHook,
    key: string,
    body: object,
    withinMs: number,
    signal: AbortSignal,
  ): Promise<string | null> {
    const wholeMs = Math.ceil(withinMs)
    const late = AbortSignal.timeout(wholeMs)
    const all = AbortSignal.any([signal, late])
    const text = JSON.stringify(body)
    // What it has said last, for when the time is over before it is asked again.
    let last = 'no answer in time'
    const asker: Pick<Asker, 'post'> = {
      post: async (...given) => {
        const status = await this.#asker.post(...given).catch((error: unknown) => {
          last = unansweredInWords(error)
          throw error
        })
        last = `answered ${status}`
        return status
      },
    }
    // A switch is a person's, whoever leads.
    const means = {
      asker,
      assertLeads: async () => {},
      pause: (ms: number, ends: AbortSignal) => waitFor(this.#clock, ms, ends),
    }
    try {
      return await postUntilHeard(means, hook.url, text, headersOf(hook, key, text), wholeMs, {
        waits: all,
        call: all,
      })
    } catch (error) {
      signal.throwIfAborted()
      if (!late.aborted) throw error
      return last
    }
  }

  async close(): Promise<void> {
    await this.#asker.close()
  }
}
