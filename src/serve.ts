/**
 * The composition root: the one file that knows every room. It starts them in order and ends them in the reverse one.
 *
 *   store → control (first table) → file applied → workers (they accept) → health, admin → ready
 *   ready → not ready → workers drain → admin, health, control, store → over
 *
 * One that takes the place of another process (upgrade/) does all that it can beforehand, and what is written or accepted last:
 *
 *   store → control → workers (none accepts) → health, first probes ─► told to ─► rollouts, admin → file applied → workers accept → ready
 *
 * `serve` has no globals: the command line, the demo and the tests start Turnout through it; signals are not its business.
 */
import { randomBytes } from 'node:crypto'
import type { Logger } from 'pino'
import { type Admin, createAdmin } from './admin/server.ts'
import { sleep, systemClock } from './clock.ts'
import type { HostPort } from './config/address.ts'
import { planTimeouts } from './config/plan.ts'
import { BusyPlaces } from './control/busy-places.ts'
import { type ConfigFile, createFile } from './control/config-file.ts'
import { createControl } from './control/control.ts'
import type { DepartureWatch } from './control/departure-watch.ts'
import type { RunningControl } from './control/deps.ts'
import { Instances } from './control/instances.ts'
import { checkFree } from './dataplane/downstream/listener.ts'
import type { Lookups } from './dataplane/lookups/lookups.ts'
import { createHealth, type RunningHealth } from './health/health.ts'
import { openAccessLog, openLog } from './log/log.ts'
import type { LookupFiles } from './lookups/lookups.ts'
import { startLookups } from './lookups/start.ts'
import { createExposition } from './metrics/exposition.ts'
import { allocateSharedMemory, type SharedMemory } from './metrics/layout.ts'
import { createTrafficWindow, type ServiceTraffic } from './metrics/window.ts'
import type { Names } from './names/names.ts'
import { startNames } from './names/start.ts'
import { Rollouts } from './rollout/controller.ts'
import type { GatesDeps } from './rollout/gates/gates.ts'
import { Seat } from './rollout/seat.ts'
import { Cleanup } from './serve/cleanup.ts'
import { type CookieSecrets, cookieSecretsOf } from './serve/cookie-secrets.ts'
import { type KeptEvents, openEvents } from './serve/kept-events.ts'
import { startDepartures } from './serve/let-go.ts'
import { addressOf, listenerUrl, planListeners } from './serve/listener-plan.ts'
import type { Running, ServeOptions } from './serve/options.ts'
import { closerOf, INSTANCE, presentOf, SELF, type Stage } from './serve/present.ts'
import { Sealing } from './serve/sealing.ts'
import { eventsPath, snapshotPath, storeKind, storeUrl } from './serve/store-url.ts'
import { startSwitchHolds } from './serve/switch-holds.ts'
import { warnOfDescriptors, warnOfRestart } from './serve/warnings.ts'
import { createComparer, createExplain } from './serve/what-if.ts'
import { startFile, startRollouts, unseat } from './serve/without-store.ts'
import { workerStart } from './serve/worker-start.ts'
import { openStore } from './store/open.ts'
import type { Store } from './store/store.ts'
import { applyDelta, emptyTable } from './table/build.ts'
import type { Table } from './table/types.ts'
import { VERSION } from './version.ts'
import { GivenSockets } from './workers/given-sockets.ts'
import { createWorkerNews } from './workers/news.ts'
import { workerCount, workerHeapMb } from './workers/sizing.ts'
import { Workers } from './workers/workers.ts'

/** First probes are waited for so long at most, since targets that do not answer may take longer. */
const PROBED_MS_MAX = 10_000
const STARTED_MS = Math.round(performance.timeOrigin)

/** What traffic depends on: the store, the one writer, the workers and the memory they share. */
interface Core {
  readonly memory: SharedMemory
  readonly store: Store
  readonly cookies: CookieSecrets
  readonly workers: Workers
  readonly control: RunningControl
  readonly events: KeptEvents
  readonly names: Names
  readonly file: ConfigFile
  readonly files: LookupFiles
  /** What the main thread itself looks up, for explain. */
  readonly lookups: Lookups
  /** What happened at a service, for control; it is measured from where the control plane has started. */
  readonly lately: { traffic: (service: string) => ServiceTraffic | null }
  /** Applies the file, by which all writing begins. */
  begin(): Promise<void>
  /** The committed table, as workers have it. */
  table(): Table
}

/** Starts Turnout. Rejects when the store, an address or a certificate cannot be had; then nothing is left running. */
export async function serve(options: ServeOptions): Promise<Running> {
  const { spec } = options
  const log = openLog(spec.log.level)
  const cleanup = new Cleanup()
  try {
    const core = await startCore(options, log, cleanup)
    const isHeir = options.predecessor !== undefined
    const stage: Stage = { isDraining: false, isYielded: isHeir, isCovered: isHeir, leaving: new AbortController() }
    const { admin, rollouts, departures } = await startControlPlane(options, core, log, cleanup, stage)
    if (options.predecessor !== undefined) {
      // Last, since what it has written would stay, and what it has accepted would be cut, if anything failed then.
      await core.begin()
      await core.workers.start(options.signal)
      stage.isYielded = false
      stage.isCovered = false
    }
    const { shutdownMs } = planTimeouts(spec.timeouts)
    const parts = { ...core, options, rollouts, departures, admin, stage, shutdownMs, cleanup, log }
    const close = closerOf(parts)
    return {
      listeners: spec.listeners.map((listener, i) => listenerUrl(listener, core.workers.ports[i])),
      admin: admin.address,
      log,
      async reload() {
        if (options.reread === undefined) throw new Error('there is no file to read again')
        const fresh = options.reread()
        warnOfRestart(log, spec, fresh)
        return core.file.reload(fresh.services)
      },
      close: async () => void (await close()),
      revision: () => core.control.snapshot().revision,
      present: presentOf(parts, close),
    }
  } catch (error) {
    await cleanup.run()
    throw error
  }
}

/** Opens the store, applies the file and lets the workers accept. */
async function startCore(options: ServeOptions, log: Logger, cleanup: Cleanup): Promise<Core> {
  const { spec, predecessor, sockets = { listeners: [], duplicate: null } } = options
  const directory = options.directory ?? process.cwd()
  const listeners = planListeners(spec.listeners, directory)
  const memory = allocateSharedMemory(workerCount(spec), predecessor !== undefined)
  const store = await openStore(storeUrl(spec.store, options), snapshotPath(options))
  cleanup.add(() => store.close())
  const events = await openEvents(eventsPath(spec.store, options), log, systemClock)
  cleanup.add(() => events.close())
  const cookies = await cookieSecretsOf(store, new Sealing(options.secretKey), spec.cookieKeys)
  const start = workerStart(options, cookies)
  warnOfDescriptors(log, spec, start.limits)
  let tell: RunningControl['publish'] = () => {}
  const { names, follow } = startNames(log, systemClock, spec.services, options.names)
  cleanup.add(() => names.close())
  const accessLog = openAccessLog(log, systemClock)
  cleanup.add(() => accessLog.close())
  const workers = new Workers({
    count: memory.workers,
    memory,
    clock: systemClock,
    listeners,
    sockets: new GivenSockets(sockets.listeners, memory.workers, sockets.duplicate),
    heapMb: workerHeapMb(start.limits, memory.workers),
    start,
    onLog: accessLog.write,
    ...createWorkerNews(log, (event) => tell(event)),
  })
  const { lookups, files } = startLookups(spec, directory, { log, clock: systemClock, find: names.find }, workers)
  cleanup.add(() => files.close())
  await files.open(spec.services)
  let [table, next] = [emptyTable(), emptyTable()]
  const lately: Core['lately'] = { traffic: () => null }
  const control = await createControl({
    traffic: (service) => lately.traffic(service),
    store,
    clock: systemClock,
    memory,
    names,
    isHeir: predecessor !== undefined,
    pastEvents: events.past,
    run: randomBytes(3).toString('hex').slice(0, 5),
    lookupFaults: (before, after, names) => files.faults(before, after, names),
    build(delta) {
      next = applyDelta(table, delta)
    },
    async commitTables(delta) {
      await workers.commit(delta)
      table = next
    },
    routed: (change, revision) => predecessor?.routed(change, revision),
    log,
  })
  cleanup.add(() => control.close())
  for (const it of [events, { follow }, files]) it.follow(control)
  const file = createFile(control, store.fleet !== null, (...fresh) => files.openAgain(...fresh))
  cleanup.add(async () => void (await workers.drain(0)))
  const begin = async () => {
    await startFile(file, spec.services, { store, control, clock: systemClock, log })
    tell = control.publish.bind(control)
  }
  if (predecessor !== undefined) {
    await file.check(spec.services)
    for (const plan of newListeners(options)) await checkFree(plan)
    await workers.prepare(options.signal)
  } else await begin().then(() => workers.start(options.signal))
  const kept = { memory, store, events, cookies }
  return { ...kept, workers, control, names, file, files, lookups, lately, begin, table: () => table }
}

/** Addresses of this process that the one before it does not listen on, the admin API among them. */
function newListeners({ spec, sockets }: ServeOptions): HostPort[] {
  const all = spec.listeners.filter((_, at) => !sockets?.listeners[at]?.length).map(addressOf)
  return sockets?.admin == null ? [...all, addressOf(spec.admin)] : all
}

/** Resolves when the process before this one writes no more. */
async function takeOver(predecessor: NonNullable<ServeOptions['predecessor']>, health: RunningHealth): Promise<void> {
  predecessor.built()
  await Promise.race([health.probed(), sleep(systemClock, PROBED_MS_MAX)])
  predecessor.probed()
  await predecessor.takeOver()
}

type SeatGiven = Omit<GatesDeps, 'stillLeads' | 'find' | 'lookAgain'>
/** Rollouts that have not been started, and begin anew whenever another instance has led. */
function newSeat({ control, memory, names, store }: Core, log: Logger, given: SeatGiven): Seat {
  const publish = control.publish.bind(control)
  const id = () => `r-${randomBytes(4).toString('hex')}`
  const looks = { find: names.find, lookAgain: names.again }
  const deps = { ...given, ...looks, control, memory, store, log, publish, id, name: INSTANCE.name }
  const seat = new Seat(store, () => new Rollouts(deps))
  ;(store.fleet ?? store).onLeadLost?.((dropped) => void unseat(seat, { control, clock: systemClock, log }, dropped))
  return seat
}

/** Starts what watches and changes the core: health, metrics and the admin API. */
async function startControlPlane(
  { spec, predecessor, sockets, upgrade }: ServeOptions,
  core: Core,
  log: Logger,
  cleanup: Cleanup,
  stage: Readonly<Stage>,
): Promise<{ admin: Admin; rollouts: Seat; departures: DepartureWatch }> {
  const { control, names, memory, store, file, files } = core
  const clock = systemClock
  const refused = (error: unknown) => log.warn({ err: error }, 'an observation was not taken')
  const health = createHealth({ control, clock, memory, random: Math.random, refused })
  cleanup.add(() => health.stop())
  if (predecessor !== undefined) await takeOver(predecessor, health).then(core.events.again)
  const traffic = createTrafficWindow(control, memory, clock)
  cleanup.add(() => traffic.close())
  core.lately.traffic = traffic.service
  const { departures, letGoBefore } = startDepartures(core, predecessor, clock, cleanup)
  const busyPredecessor = () => predecessor?.busyPid ?? null
  const { rolloutCommands: commandFolders } = spec
  const { quiet, callHook } = startSwitchHolds(core, clock, cleanup, busyPredecessor)
  const busy = new BusyPlaces({ control, memory, clock, busyPredecessor })
  const instances = new Instances({ store, control, clock, self: INSTANCE, quiet, busy })
  cleanup.add(() => instances.close())
  const { busyElsewhere } = instances
  const rollouts = newSeat(core, log, { clock, traffic, commandFolders, busyElsewhere, busyPredecessor })
  cleanup.add(() => rollouts.close())
  await startRollouts(rollouts, { store, clock, log })
  store.mayBlock(false)
  const exposition = createExposition(control, memory, clock, VERSION, () => ({
    names: names.counts(),
    rollouts: rollouts.figures(),
    lookups: files.told(),
    instances: instances.figures(),
    letGoBefore,
  }))
  cleanup.add(() => exposition.close())
  const admin = await createAdmin({
    control: instances.controlOf(control),
    instances,
    unreadyWhenCutOff: spec.onPartition === 'unready',
    rollouts,
    store,
    exposition,
    memory,
    names,
    lookups: files,
    traffic,
    departures,
    clock,
    callHook,
    tokens: spec.admin.tokens,
    address: spec.admin.address,
    explain: createExplain(core, spec, (service) => rollouts.running(service)),
    compare: createComparer(core, spec),
    applyText: async (text, env, how) => instances.everywhere(await file.applyText(text, env, how), how),
    ...(sockets?.admin != null && { descriptor: sockets.admin }),
    ...(upgrade && { upgrade }),
    busyPredecessor,
    isYielded: () => stage.isYielded,
    leaving: stage.leaving.signal,
    isReady: () => stage.isCovered || (core.workers.ready && !stage.isDraining),
    process: { workers: memory.workers, store: storeKind(spec.store), pid: SELF.pid, startedAtMs: STARTED_MS },
    log,
    version: VERSION,
  })
  cleanup.add(() => admin.close())
  cleanup.add(() => store.mayBlock(true))
  return { admin, rollouts, departures }
}
