/**
 * The work between the states of a rollout: checks before it, warm-up, smoke tests, hooks. Each ends well, or throws `GateClosed` with
 * a sentence on why. All of it may be done twice, after a restart: hooks carry a key that is the same then.
 */
import type { Clock } from '../../clock.ts'
import type { HookEvent } from '../../config/schema-gates.ts'
import type { NotifySpec } from '../../config/schema-rollout.ts'
import { TurnoutError } from '../../errors.ts'
import type { TrafficWindow } from '../../metrics/window.ts'
import { THERE } from '../refusals.ts'
import type { State, Task } from '../rollout.ts'
import type { CheckFound } from '../runbook.ts'
import { Asker } from './asker.ts'
import { mayGive } from './capacity.ts'
import { failed } from './check.ts'
import { CHECKS, look } from './checks.ts'
import { Commands } from './commands.ts'
import type { About, Means, MeansGiven } from './gate.ts'
import { callHooks, postUntilHeard } from './hooks.ts'
import { waitFor } from './pause.ts'
import { preflight } from './preflight.ts'
import { drain, replace, restore } from './replace.ts'
import { mayBegin, mayGoOn } from './schedule.ts'
import { smoke } from './smoke.ts'
import { stillSame } from './still-same.ts'
import { stillThere } from './still-there.ts'
import { StillVersion, stillVersion } from './still-version.ts'
import { warmUp } from './warm-up.ts'

type Gate = (about: About, means: Means, signal: AbortSignal) => Promise<void>

const hook =
  (event: HookEvent): Gate =>
  (about, means, signal) =>
    callHooks(event, about, means, signal)

/** What each work is, in order. The new pool may be started by the first hook: its targets are waited for after that. */
const GATES: Readonly<Record<Task, readonly Gate[]>> = {
  preflight: [mayBegin, hook('BeforeInstall'), preflight, hook('AfterInstall')],
  warming: [warmUp],
  smoke: [smoke, hook('AfterAllowTestTraffic'), hook('BeforeAllowTraffic')],
  schedule: [mayGive],
  // A hook may last into a freeze, and may bring what was missing.
  beforeStep: [mayGoOn, hook('BeforeStep'), mayGive],
  draining: [drain],
  replacing: [replace],
  afterTraffic: [hook('AfterAllowTraffic')],
  afterBake: [mayGoOn, hook('AfterBake'), mayGive, stillThere, stillVersion, stillSame],
  restoring: [restore],
  onRollback: [hook('OnRollback')],
}

/** Of what is told, as Slack and others take it. */
interface Notice {
  readonly text: string
  readonly service: string
  readonly rollout: string
  readonly state: State
}

/** Whoever is told of the end of a rollout is given so long, each time. */
const NOTIFY_MS = 10_000

export interface GatesDeps extends MeansGiven {
  readonly clock: Clock
  /** Folders whose programs hooks may run. */
  readonly commandFolders: readonly string[]
  /** What happened lately. */
  readonly traffic: Pick<TrafficWindow, 'service'>
  /** Whether what runs here is still ours to run (Fleet.stillLeads). */
  stillLeads(): boolean | Promise<boolean>
}

export class Gates {
  readonly #means: Means
  readonly #end = new AbortController()

  constructor(deps: GatesDeps) {
    const { clock, commandFolders, traffic, busyElsewhere, busyPredecessor, find, lookAgain, stillLeads } = deps
    this.#means = {
      async assertLeads() {
        if (!(await stillLeads())) throw new TurnoutError('conflict', `Nobody is told from here: ${THERE}.`)
      },
      busyElsewhere,
      busyPredecessor,
      find,
      lookAgain,
      traffic: (service) => traffic.service(service),
      asker: new Asker(find),
      commands: new Commands(commandFolders, clock),
      steadyMs: () => clock.steadyMs(),
      nowMs: () => clock.nowMs(),
      pause: (ms, signal) => waitFor(clock, ms, signal),
    }
  }

  /** Does one work. Rejects with `GateClosed`, or with what `signal` aborts with. */
  async run(work: Task, about: About, signal: AbortSignal): Promise<void> {
    for (const gate of GATES[work]) {
      signal.throwIfAborted()
      await gate(about, this.#means, signal)
    }
  }

  /** Who asks the targets of a rollout while it runs; `tell` hears of a wrong version, and `tellBroken` of what is a bug of ours. */
  versions(signal: AbortSignal, tell: (wrong: string) => void, tellBroken: (error: unknown) => void): StillVersion {
    return new StillVersion(this.#means, signal, tell, tellBroken)
  }

  /** Makes each check once, as they are now. */
  async check(about: About, signal: AbortSignal): Promise<CheckFound[]> {
    return Promise.all(
      CHECKS.map(async (check) => {
        const { state, sentence } = await look(check, about, this.#means, signal).catch((error: unknown) => {
          if (!signal.aborted) throw error
          return failed('not known: not everybody has answered in time')
        })
        return { check: check.name, asks: check.asks, state, sentence }
      }),
    )
  }

  /** Tells that what was kept may go. */
  retire(about: About, pools: readonly string[], signal: AbortSignal): Promise<void> {
    return callHooks('Retire', about, this.#means, signal, { pools })
  }

  /** Tells somebody; null when it was heard, else why not. What may be chance is tried again. */
  notify({ url, format }: NotifySpec, notice: Notice): Promise<string | null> {
    const body = format === 'text' ? notice.text : JSON.stringify(notice)
    const type = format === 'text' ? 'text/plain; charset=utf-8' : 'application/json'
    return postUntilHeard(this.#means, url, body, { 'content-type': type }, NOTIFY_MS, {
      waits: this.#end.signal,
      call: this.#end.signal,
    })
  }

  async close(): Promise<void> {
    this.#end.abort(new Error('the process ends'))
    await this.#means.commands.close()
    await this.#means.asker.close()
  }
}
