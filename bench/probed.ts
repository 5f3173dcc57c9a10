/**
 * A Turnout whose threads can be asked for their memory (bench/probe.ts is in each of them).
 *
 * The port of a proxy opens with its first worker. Those that come later hear only what is asked after they have started, so
 * they are asked until all have answered once.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { PeerConfig } from './peers/peer.ts'
import { startTurnout, type TurnoutOptions } from './peers/turnout.ts'
import type { ExchangeRequest, ThreadMemory } from './probe.ts'

const PROBE = fileURLToPath(new URL('./probe.ts', import.meta.url))
const START_MS = 15_000
/** A worker that has not answered after this is asked again while it starts. */
const FIRST_MS = 500
const ANSWER_MS = 40_000
const POLL_MS = 20

/** Starts Turnout with a probe; `ask` gives an answer of every thread, the main thread first, then the workers. */
export async function startProbed(config: PeerConfig, options: TurnoutOptions) {
  const nodeOptions = [...(options.nodeOptions ?? []), '--expose-gc', '--import', PROBE]
  const running = await startTurnout(config, { ...options, nodeOptions }, { messages: true })
  const threads = 1 + (options.workers ?? 1)
  const answers = new Map<number, ThreadMemory[]>()
  running.child.process.on('message', (answer: ThreadMemory) => void answers.get(answer.id)?.push(answer))
  let asked = 0
  const askFor = async (limitMs: number, what: ExchangeRequest['what'], folder: string) => {
    const id = ++asked
    const own: ThreadMemory[] = []
    answers.set(id, own)
    running.child.process.send({ id, what, folder } satisfies ExchangeRequest)
    const endMs = performance.now() + limitMs
    while (own.length < threads && performance.now() < endMs) await sleep(POLL_MS)
    answers.delete(id)
    return own.sort((a, b) => a.thread - b.thread)
  }
  const endMs = performance.now() + START_MS
  while ((await askFor(FIRST_MS, 'memory', '')).length < threads) {
    if (performance.now() < endMs) continue
    await running.stop()
    throw new Error('not every thread of the proxy has answered its probe')
  }
  return {
    ...running,
    async ask(what: ExchangeRequest['what'], folder = ''): Promise<readonly ThreadMemory[]> {
      const told = await askFor(ANSWER_MS, what, folder)
      if (told.length === threads) return told
      const who = told.map(({ thread }) => thread).join(', ')
      throw new Error(
        `of ${threads} threads of the proxy only these have answered '${what}': ${who}; ${running.child.errors()}`,
      )
    },
  }
}

/** What `startProbed` gives. */
export type Probed = Awaited<ReturnType<typeof startProbed>>
