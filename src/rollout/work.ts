/**
 * The work between the states of a rollout: checks before it, warm-up, smoke tests, hooks. Each ends well, or throws `WorkFailed` with
 * a sentence on why. All of it may be done twice, after a restart: hooks carry a key that is the same then.
 */
import { createHmac } from 'node:crypto'
import { Agent } from 'undici'
import type { Clock } from '../clock.ts'
import { durationMs } from '../config/duration.ts'
import { equalJson, fieldAt } from '../config/record.ts'
import type { HookEvent, HookSpec, RolloutSpec } from '../config/schema-rollout.ts'
import { isAmong, statusRanges } from '../config/statuses.ts'
import type { ServiceStatus } from '../table/status.ts'
import type { Rollout, Work } from './rollout.ts'

export class WorkFailed extends Error {}

/** What the work is about. */
export interface WorkAbout {
  readonly service: string
  readonly rollout: Rollout
  readonly spec: RolloutSpec
  /** Weights and targets as they are now. */
  status(): ServiceStatus | undefined
}

/** Targets are waited for so long until they are healthy. */
const PROVEN_WITHIN_MS = 60_000
const LOOK_MS = 200
/** A hook that does not answer well is asked so often, with this time between. */
const HOOK_TRIES = 3
const HOOK_PAUSE_MS = 1_000
const WARMUP_TIMEOUT_MS = 10_000
const BODY_MAX = 1_048_576

/** When hooks are called: before the work of that name is over. */
const HOOKS: Readonly<Partial<Record<Work, readonly HookEvent[]>>> = {
  preflight: ['BeforeInstall', 'AfterInstall'],
  smoke: ['AfterAllowTestTraffic', 'BeforeAllowTraffic'],
  beforeStep: ['BeforeStep'],
  afterTraffic: ['AfterAllowTraffic'],
  afterBake: ['AfterBake'],
  onRollback: ['OnRollback'],
}

export class Worker {
  readonly #clock: Clock
  readonly #agent = new Agent({ connections: 16 })

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Does one work. Rejects with `WorkFailed`, or with what `signal` aborts with. */
  async run(work: Work, about: WorkAbout, signal: AbortSignal): Promise<void> {
    if (work === 'preflight') await this.#preflight(about, signal)
    if (work === 'warming') await this.#warm(about, signal)
    if (work === 'smoke') await this.#smoke(about, signal)
    for (const event of HOOKS[work] ?? []) {
      for (const [at, hook] of (about.spec.hooks ?? []).entries()) {
        if (hook.at === event) await this.#call(hook, at, about, signal)
      }
    }
  }

  /** Tells somebody, without waiting for long; true when it was heard. */
  async notify(url: string, body: object): Promise<boolean> {
    const signal = AbortSignal.timeout(HOOK_PAUSE_MS * 10)
    return this.#post(url, JSON.stringify(body), {}, signal).then(
      (status) => status < 300,
      () => false,
    )
  }

  async close(): Promise<void> {
    await this.#agent.destroy()
  }

  /** Both pools have somebody to answer: the new one to go to, the old one to go back to. */
  async #preflight(about: WorkAbout, signal: AbortSignal): Promise<void> {
    const untilMs = this.#clock.steadyMs() + PROVEN_WITHIN_MS
    for (;;) {
      const missing = missingOf(about)
      if (missing === null) return
      if (this.#clock.steadyMs() >= untilMs) throw new WorkFailed(missing)
      await this.#pause(LOOK_MS, signal)
    }
  }

  async #warm({ spec, rollout, status }: WorkAbout, signal: AbortSignal): Promise<void> {
    const { warmup } = spec
    if (warmup === undefined) return
    const urls = targetsOf(status(), rollout.to)
    const count = Math.ceil((durationMs(warmup.for) / 1_000) * warmup.rate)
    const times: number[] = []
    let well = 0
    const under: Promise<void>[] = []
    for (let n = 0; n < count; n++) {
      const url = new URL(warmup.requests[n % warmup.requests.length].path, urls[n % urls.length])
      const begun = this.#clock.monotonicMs()
      const asked = this.#ask(url, WARMUP_TIMEOUT_MS, signal).then(
        ({ status: code }) => {
          times.push(this.#clock.monotonicMs() - begun)
          if (code < 500) well++
        },
        () => {},
      )
      under.push(asked)
      await this.#pause(1_000 / warmup.rate, signal)
    }
    await Promise.all(under)
    const p95 = times.sort((a, b) => a - b)[Math.floor(times.length * 0.95)] ?? Infinity
    if (warmup.success !== undefined && well / count < warmup.success) {
      throw new WorkFailed(`of ${count} requests of the warm-up only ${well} were answered well`)
    }
    if (warmup.p95 !== undefined && p95 > durationMs(warmup.p95)) {
      throw new WorkFailed(`the warm-up ended with a p95 of ${Math.round(p95)} ms, above ${warmup.p95}`)
    }
  }

  async #smoke({ spec, rollout, status }: WorkAbout, signal: AbortSignal): Promise<void> {
    for (const test of spec.smoke ?? []) {
      for (const target of targetsOf(status(), rollout.to)) {
        const what = `smoke test of ${test.path} at ${target}`
        const answer = await this.#ask(new URL(test.path, target), durationMs(test.within), signal).catch(
          (error: unknown) => {
            throw new WorkFailed(`${what}: ${wordsOf(error)}`)
          },
        )
        if (!isAmong(answer.status, statusRanges(test.status)))
          throw new WorkFailed(`${what}: answered ${answer.status}, not ${test.status}`)
        const value = parsed(answer.body)
        for (const [path, wanted] of Object.entries(test.json ?? {})) {
          const found = fieldAt(value, path)
          if (!equalJson(found, wanted)) {
            throw new WorkFailed(
              `${what}: ${path} is ${JSON.stringify(found) ?? 'absent'}, not ${JSON.stringify(wanted)}`,
            )
          }
        }
      }
    }
  }

  async #call(hook: HookSpec, at: number, { service, rollout }: WorkAbout, signal: AbortSignal): Promise<void> {
    const key = `${rollout.id}-${rollout.works}-${at}`
    const { id, to, weight, reason } = rollout
    const body = JSON.stringify({ event: hook.at, key, service, rollout: id, to, step: rollout.at, weight, reason })
    const headers: Record<string, string> = { 'idempotency-key': key }
    if (hook.secret !== undefined) {
      headers['x-turnout-signature'] = `sha256=${createHmac('sha256', hook.secret).update(body).digest('hex')}`
    }
    let why = ''
    for (let tries = 1; tries <= HOOK_TRIES; tries++) {
      if (tries > 1) await this.#pause(HOOK_PAUSE_MS, signal)
      const limit = AbortSignal.any([signal, AbortSignal.timeout(durationMs(hook.timeout))])
      try {
        const status = await this.#post(hook.url, body, headers, limit)
        if (status >= 200 && status < 300) return
        why = `answered ${status}`
        // A clear no is one: only what may be chance is asked again.
        if (status < 500 && status !== 429) break
      } catch (error) {
        signal.throwIfAborted()
        why = wordsOf(error)
        if (limit.aborted) break
      }
    }
    throw new WorkFailed(`hook ${hook.at} at ${hook.url}: ${why}`)
  }

  async #post(url: string, body: string, headers: Record<string, string>, signal: AbortSignal): Promise<number> {
    const { origin, pathname, search } = new URL(url)
    const answer = await this.#agent.request({
      origin,
      path: pathname + search,
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body,
      signal,
    })
    await answer.body.dump({ limit: BODY_MAX })
    return answer.statusCode
  }

  async #ask(
    url: URL,
    withinMs: number,
    signal: AbortSignal,
  ): Promise<{ readonly status: number; readonly body: string }> {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(withinMs)])
    const answer = await this.#agent.request({
      origin: url.origin,
      path: url.pathname + url.search,
      method: 'GET',
      signal: limit,
    })
    const pieces: Buffer[] = []
    let bytes = 0
    for await (const piece of answer.body as AsyncIterable<Buffer>) {
      bytes += piece.length
      if (bytes > BODY_MAX) throw new Error('the answer is longer than 1 MiB')
      pieces.push(piece)
    }
    return { status: answer.statusCode, body: Buffer.concat(pieces).toString() }
  }

  #pause(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const gone = () => {
        cancel()
        reject(signal.reason)
      }
      const cancel = this.#clock.after(ms, () => {
        signal.removeEventListener('abort', gone)
        resolve()
      })
      if (signal.aborted) gone()
      else signal.addEventListener('abort', gone, { once: true })
    })
  }
}

const targetsOf = (status: ServiceStatus | undefined, pool: string): string[] =>
  Object.keys(status?.pools[pool]?.targets ?? {})

function missingOf({ rollout, status }: WorkAbout): string | null {
  const present = status()
  for (const pool of [rollout.to, ...Object.keys(rollout.before).filter((name) => rollout.before[name] > 0)]) {
    const targets = Object.values(present?.pools[pool]?.targets ?? {})
    if (targets.length === 0) return `pool ${pool} has no targets`
    if (targets.every(({ health }) => health === 'unhealthy')) return `no target of pool ${pool} is healthy`
    if (pool === rollout.to && targets.some(({ health }) => health === 'unhealthy'))
      return `not all targets of pool ${pool} are healthy`
  }
  return null
}

/** The JSON of a body; undefined when it is none. */
function parsed(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

const wordsOf = (error: unknown): string => {
  const { name, message, code } = error as Error & { code?: string }
  return name === 'TimeoutError' ? 'no answer in time' : (code ?? message)
}
