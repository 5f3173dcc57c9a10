/**
 * When each target is probed, and who hears of it. The results are judged by state.ts, the probes made by probe.ts.
 *
 * Every address of a target of a service with a health plan has one watch: a timer, a state and at most one probe under way, so a slow
 * target is never asked twice at a time. `maint` targets have none; `standby` and `drain` targets do, so that whoever is
 * brought back is known to be well. Watches follow the spec: an unchanged one keeps its state and its schedule, a changed
 * plan begins a new schedule from the same health, which is told anew once what is asked now has found it, a target that is gone ends its watch and the probe with it.
 *
 * First probes are spread, many of them over half a second and few over less, since a start and an upgrade wait for them; later ones by
 * their jitter. How many are under way at once, and that those that hang do not keep the others waiting, is the limiter's.
 * What control holds is compared after every probe, not what was last reported: a report that was refused, or a status that
 * was restored, mends itself at the next probe.
 */
import type { Control, Observation, Snapshot } from '../change.ts'
import type { Clock } from '../clock.ts'
import { type HealthPlan, planHealth } from '../config/plan.ts'
import { questionOf } from '../config/question.ts'
import { own } from '../config/record.ts'
import { targetKey } from '../config/target-key.ts'
import { Limiter } from '../limiter.ts'
import type { Address } from '../names/address.ts'
import type { AddressObserved } from '../table/status.ts'
import type { Health } from '../table/types.ts'
import { type ProbeOutcome, probe } from './probe.ts'
import type { Report } from './report.ts'
import { gapMs, onProbe, type ProbeState, probeStateOf } from './state.ts'

/** First probes of new watches are spread over so long for each watch, and over half a second at most. */
const STAGGER_EACH_MS = 5
const STAGGER_MS = 500
/** A probe is slow after so long. */
const SLOW_MS = 500
/** Probes at the same time: few enough sockets to be no burden. A target whose last probe was slow to fail is a silent one. */
export const PROBES = { quickMax: 256, quickAllMax: 512, patienceMs: SLOW_MS, silentMax: 256 }

export interface ProberDeps {
  readonly control: Control
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
}

export interface Prober {
  /** Starts, keeps and ends watches so that they fit the spec; of these services, and by default of all (null). */
  sync(names?: ReadonlySet<string> | null): void
  /** Resolves once every address that is watched now has been probed, or is watched no more. */
  probed(): Promise<void>
  /** Ends all watches; resolves when no probe is under way. */
  stop(): Promise<void>
}

interface Wanted {
  readonly service: string
  readonly pool: string
  readonly url: string
  readonly address: Address
  readonly version: string
  readonly plan: HealthPlan
  /** What is asked of it. */
  readonly question: string
  /** Everything that a change of must restart the schedule. */
  readonly signature: string
  readonly health: Health
}

interface Watch {
  readonly wanted: Wanted
  state: ProbeState
  /** Its last probe took long to fail. */
  wasSlow: boolean
  readonly ended: AbortController
  /** Resolves at its first result, or its end. */
  readonly first: PromiseWithResolvers<void>
  cancel: () => void
}

function watchOf(wanted: Wanted, health: Health): Watch {
  const [ended, first] = [new AbortController(), Promise.withResolvers<void>()]
  return { wanted, state: probeStateOf(health), wasSlow: false, ended, first, cancel: () => {} }
}

/** Creates the prober; nothing is probed before the first `sync`. */
export function createProber(deps: ProberDeps, report: Report): Prober {
  const { control, clock, random } = deps
  const watches = new Map<string, Watch>()
  const running = new Set<Promise<void>>()
  const limiter = new Limiter(clock, PROBES)

  function schedule(watch: Watch, delayMs: number): void {
    watch.cancel = clock.after(delayMs, () => {
      const dueMs = clock.monotonicMs()
      limiter.add(watch.wasSlow, () => {
        const run = probeOnce(watch, dueMs).finally(() => running.delete(run))
        running.add(run)
        return run
      })
    })
  }

  async function probeOnce(watch: Watch, dueMs: number): Promise<void> {
    if (watch.ended.signal.aborted) return
    const { url, address, plan, version } = watch.wanted
    const beganMs = clock.monotonicMs()
    const outcome = await probe(url, address, plan, version, clock, watch.ended.signal)
    if (watch.ended.signal.aborted) return
    watch.wasSlow = outcome.result === 'fail' && clock.monotonicMs() - beganMs >= SLOW_MS
    watch.state = onProbe(watch.state, outcome.result, plan)
    const news = newsOf(control.snapshot(), watch, outcome)
    if (news !== null) report.add(news)
    watch.first.resolve()
    const spentMs = clock.monotonicMs() - dueMs
    schedule(watch, Math.max(0, gapMs(watch.state, plan, random()) - spentMs))
  }

  function start(key: string, wanted: Wanted, health: Health): void {
    const watch = watchOf(wanted, health)
    watches.set(key, watch)
    schedule(watch, random() * Math.min(wanted.plan.intervalMs, STAGGER_MS, watches.size * STAGGER_EACH_MS))
  }

  function end(key: string, watch: Watch): void {
    watches.delete(key)
    watch.cancel()
    watch.ended.abort()
    watch.first.resolve()
  }

  return {
    sync(names = null) {
      const wanted = wantedOf(control.snapshot(), names)
      const isOver = (key: string, { wanted: { service } }: Watch) => !wanted.has(key) && (names?.has(service) ?? true)
      for (const [key, watch] of watches) if (isOver(key, watch)) end(key, watch)
      for (const [key, want] of wanted) {
        const watch = watches.get(key)
        if (watch?.wanted.signature === want.signature) continue
        if (watch !== undefined) end(key, watch)
        start(key, want, watch?.state.health ?? want.health)
      }
    },
    probed: async () => void (await Promise.all([...watches.values()].map(({ first }) => first.promise))),
    async stop() {
      for (const [key, watch] of watches) end(key, watch)
      await Promise.all(running)
    },
  }
}

/** What control does not know yet of an address that was just probed; null for nothing. */
function newsOf(
  snapshot: Snapshot,
  { wanted, state: { health } }: Watch,
  { result, detail }: ProbeOutcome,
): Observation | null {
  const { service, pool, url, address, question } = wanted
  const held = heldOf(snapshot, wanted)
  if (held === null || (held.health === health && (health !== 'healthy' || held.question === question))) return null
  // What it was before is not found by a probe that has failed.
  if (health === 'healthy' && result === 'fail') return null
  return { service, pool, target: url, address: address.address, health, question, detail }
}

/** The addresses of these services (null: of all) that are to be probed now, by key. The status has exactly the services, pools and targets of the spec. */
function wantedOf(snapshot: Snapshot, names: ReadonlySet<string> | null): Map<string, Wanted> {
  const wanted = new Map<string, Wanted>()
  for (const service of names ?? Object.keys(snapshot.services)) {
    const spec = own(snapshot.services, service)
    const plan = spec === undefined ? null : planHealth(spec)
    if (spec === undefined || plan === null) continue
    for (const [pool, { admin, targets }] of Object.entries(snapshot.status[service].pools)) {
      if (admin === 'maint') continue
      const { version } = spec.pools[pool]
      const question = questionOf(plan, version)
      for (const [url, { admin, addresses }] of Object.entries(targets)) {
        if (admin === 'maint') continue
        for (const { address, alternate, srv, health } of addresses) {
          const signature = JSON.stringify([plan, plan.expectVersion === null ? '' : version, alternate, srv?.host])
          const place = { address, alternate, ...(srv !== undefined && { srv }) }
          const want = { service, pool, url, address: place, version, plan, question, signature, health }
          wanted.set(targetKey(service, pool, url, address), want)
        }
      }
    }
  }
  return wanted
}

/** What control holds of an address now; null when it is gone. Names come from people, so only own fields count. */
function heldOf({ status }: Snapshot, { service, pool, url, address }: Wanted): AddressObserved | null {
  if (!Object.hasOwn(status, service) || !Object.hasOwn(status[service].pools, pool)) return null
  const { targets } = status[service].pools[pool]
  if (!Object.hasOwn(targets, url)) return null
  return targets[url].addresses.find((held) => held.address === address.address) ?? null
}
