/**
 * Calls hooks.
 *
 * Each event has a key of its own, which is the same when it is told again after a restart. A hook is asked by POST, or is a program that is run
 * (commands.ts); the no of a program is one, and is not asked for again.
 */
import { createHmac } from 'node:crypto'
import { durationMs } from '../../config/duration.ts'
import { nameOf } from '../../config/hook-name.ts'
import type { HookEvent, HookSpec } from '../../config/schema-gates.ts'
import { unansweredInWords } from '../../unanswered.ts'
import { type About, GateClosed, type Means } from './gate.ts'

/** A hook that does not answer well is asked so often, with this time between. */
const TRIES = 3
const PAUSE_MS = 1_000

/** Calls all hooks of an event, one after the other. `more` goes into the body, and `part` into the key, where one event has several. */
export async function callHooks(
  event: HookEvent,
  about: About,
  means: Means,
  signal: AbortSignal,
  more: object = {},
  part = '',
): Promise<void> {
  for (const [at, hook] of (about.spec.hooks ?? []).entries()) {
    if (hook.at !== event || (hook.step ?? about.rollout.at) !== about.rollout.at) continue
    signal.throwIfAborted()
    await means.assertLeads()
    const { service, rollout } = about
    const key = `${rollout.id}-${rollout.works}-${at}${part}`
    const { id, to, weight, reason } = rollout
    const body = { event, key, service, rollout: id, to, step: rollout.at, weight, reason, ...more }
    const name = nameOf(hook)
    await about.log.watch(event, name, signal, async () => {
      const why = await ask(hook, key, body, means, { waits: signal, call: about.untilEnd })
      if (why === null) return null
      throw new GateClosed(`hook ${event} at ${name}: ${why}`)
    })
  }
}

/** What ends the waiting between calls, and what ends a call. */
interface Ends {
  readonly waits: AbortSignal
  readonly call: AbortSignal
}

/** Null when the hook says yes, else why it does not. */
function ask(hook: HookSpec, key: string, body: object, means: Means, ends: Ends): Promise<string | null> {
  const { url, command = [], timeout } = hook
  if (url !== undefined) return call(hook, url, key, JSON.stringify(body), means, ends)
  return means.commands.run(command, { ...body }, durationMs(timeout), ends.call)
}

function call(
  hook: HookSpec,
  url: string,
  key: string,
  body: string,
  means: Means,
  ends: Ends,
): Promise<string | null> {
  return postUntilHeard(means, url, body, headersOf(hook, key, body), durationMs(hook.timeout), ends)
}

/** What a hook is sent with a body: the key by which it knows that it has heard it before, and the signature. */
export function headersOf({ secret }: Pick<HookSpec, 'secret'>, key: string, body: string): Record<string, string> {
  const headers: Record<string, string> = { 'idempotency-key': key }
  if (secret === undefined) return headers
  return { ...headers, 'x-turnout-signature': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}` }
}

/** POSTs until it is answered well, `TRIES` times at most. Null then, else why not. Rejects with what `ends` abort with. */
export async function postUntilHeard(
  {
    asker,
    pause,
    assertLeads,
  }: Pick<Means, 'assertLeads' | 'pause'> & { readonly asker: Pick<Means['asker'], 'post'> },
  url: string,
  body: string,
  headers: Readonly<Record<string, string>>,
  timeoutMs: number,
  ends: Ends,
): Promise<string | null> {
  let why = ''
  for (let tries = 1; tries <= TRIES; tries++) {
    if (tries > 1) await pause(PAUSE_MS, ends.waits)
    await assertLeads()
    const limit = AbortSignal.any([ends.call, AbortSignal.timeout(timeoutMs)])
    try {
      const status = await asker.post(url, body, headers, limit)
      if (status >= 200 && status < 300) return null
      why = `answered ${status}`
      // A clear no is one: only what may be chance is asked again.
      if (status < 500 && status !== 429) break
    } catch (error) {
      ends.call.throwIfAborted()
      why = unansweredInWords(error)
      if (limit.aborted) break
    }
  }
  return why
}
