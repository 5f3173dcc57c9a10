/**
 * The composition root: the one file that knows every room. It starts them in order and ends them in the reverse one.
 *
 *   store → control (first table) → file applied → workers (they accept) → health, admin → ready
 *   ready → not ready → workers drain → admin, health, control, store → over
 *
 * `serve` has no globals: the command line, the demo and the tests start Turnout through it; signals are not its business.
 */
import { randomBytes } from 'node:crypto'
import { resolve } from 'node:path'
import type { Logger } from 'pino'
import { type Admin, createAdmin } from './admin/server.ts'
import type { FileResult } from './change.ts'
import { systemClock } from './clock.ts'
import { networkOf } from './config/address.ts'
import { validatePool, validateRules, validateService, validateState, validateWeights } from './config/check.ts'
import { planHealth, planLimits, planService, planTimeouts } from './config/plan.ts'
import type { Spec } from './config/schema.ts'
import { type ConfigFile, createFile } from './control/config-file.ts'
import { createControl } from './control/control.ts'
import { DepartureWatch } from './control/departure-watch.ts'
import type { RunningControl } from './control/deps.ts'
import { type CookieSecrets, cookieSecretsOf } from './dataplane/cookie-secrets.ts'
import type { Lookups } from './dataplane/lookups.ts'
import { createHealth } from './health/health.ts'
import { listenerUrl, planListeners } from './listener-plan.ts'
import { openAccessLog, openLog } from './log/log.ts'
import type { LookupFiles } from './lookups/lookups.ts'
import { countryHeaderOf, startLookups, tokenPlanOf } from './lookups/start.ts'
import { createExposition } from './metrics/exposition.ts'
import { allocateSharedMemory, type SharedMemory } from './metrics/layout.ts'
import { createTrafficWindow, type ServiceTraffic } from './metrics/window.ts'
import type { Names, NamesOptions } from './names/names.ts'
import { startNames } from './names/start.ts'
import { Rollouts } from './rollout/controller.ts'
import { warnOfDescriptors, warnOfKept, warnOfRestart } from './serve-warnings.ts'
import { openStore } from './store/open.ts'
import type { Store } from './store/store.ts'
import { applyDelta, emptyTable } from './table/build.ts'
import type { Table } from './table/types.ts'
import { VERSION } from './version.ts'
import { createComparer, createExplain } from './what-if.ts'
import { descriptorsMax, withinDescriptors } from './workers/descriptors.ts'
import { createWorkerNews } from './workers/news.ts'
import { workerCount, workerHeapMb } from './workers/sizing.ts'
import { Workers, type WorkersOptions } from './workers/workers.ts'

export interface ServeOptions {
  /** What to serve; its services are applied as the config file would be. */
  readonly spec: Spec
  /** Reads the file again for SIGHUP; default: there is none. */
  readonly reread?: () => Spec
  /** Folder that relative paths of the spec (certificates) start from. Default: the working directory. */
  readonly directory?: string
  /** Folder that a relative path of the store starts from. Default: `directory`. */
  readonly stateDirectory?: string
  /** Gives the start up when it aborts; once started, `close` is for that. */
  readonly signal?: AbortSignal
  /** Default true. False reads by 'data' events; for tests of the fallback. */
  readonly sharedReads?: boolean
  /** Default true. False copies long bodies; for tests of the fallback. */
  readonly splices?: boolean
  /** How names of targets are looked up. Default: as the system says; for tests with a name server of their own. */
  readonly names?: NamesOptions
}

export interface Running {
  /** `http://host:port` of each listener, in the order of the spec. */
  readonly listeners: readonly string[]
  /** `http://host:port` of the admin API. */
  readonly admin: string
  readonly log: Logger
  /** Reads the config file again and applies what changed in it. */
  reload(): Promise<FileResult>
  /** Finishes what is under way, for at most the shutdown time-out, and ends everything. */
  close(): Promise<void>
}

/** Everything that was started, in order; ended in the reverse order. */
class Cleanup {
  readonly #steps: (() => Promise<void> | void)[] = []

  add(step: () => Promise<void> | void): void {
    this.#steps.push(step)
  }

  async run(): Promise<void> {
    for (const step of this.#steps.splice(0).reverse()) await step()
  }
}

/** What traffic depends on: the store, the one writer, the workers and the memory they share. */
interface Core {
  readonly memory: SharedMemory
  readonly store: Store
  readonly cookies: CookieSecrets
  readonly workers: Workers
  readonly control: RunningControl
  readonly names: Names
  readonly file: ConfigFile
  readonly files: LookupFiles
  /** What the main thread itself looks up, for explain. */
  readonly lookups: Lookups
  /** What happened at a service, for control; it is measured from where the control plane has started. */
  readonly lately: { traffic: (service: string) => ServiceTraffic | null }
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
    let draining = false
    const admin = await startControlPlane(options, core, log, cleanup, () => core.workers.ready && !draining)
    const { shutdownMs } = planTimeouts(spec.timeouts)
    let closing: Promise<void> | null = null
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
      close() {
        draining = true
        // Requests in flight end first, while health and admin still tell of them.
        closing ??= core.workers.drain(shutdownMs).then(() => cleanup.run())
        return closing
      },
    }
  } catch (error) {
    await cleanup.run()
    throw error
  }
}

/** Opens the store, applies the file and lets the workers accept. */
async function startCore(options: ServeOptions, log: Logger, cleanup: Cleanup): Promise<Core> {
  const { spec } = options
  const directory = options.directory ?? process.cwd()
  const listeners = planListeners(spec.listeners, directory)
  const memory = allocateSharedMemory(workerCount(spec))
  const store = await openStore(storeUrl(spec.store, options.stateDirectory ?? directory))
  cleanup.add(() => store.close())
  const cookies = await cookieSecretsOf(store)
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
    heapMb: workerHeapMb(start.limits, memory.workers),
    start,
    onLog: accessLog.write,
    ...createWorkerNews(log, (event) => tell(event)),
  })
  const { lookups, files } = startLookups(spec, directory, log, systemClock, (lookup) => workers.give(lookup))
  cleanup.add(() => files.close())
  await files.open(spec.services)
  let table = emptyTable()
  let next = table
  const lately: Core['lately'] = { traffic: () => null }
  const control = await createControl({
    traffic: (service) => lately.traffic(service),
    store,
    clock: systemClock,
    memory,
    names,
    run: randomBytes(3).toString('hex').slice(0, 5),
    complete: validateService,
    plan: planService,
    lookupFaults: (before, after, names) => files.faults(before, after, names),
    build(delta) {
      next = applyDelta(table, delta)
    },
    async commitTables(delta) {
      await workers.commit(delta)
      table = next
    },
    log,
  })
  cleanup.add(() => control.close())
  follow(control)
  files.follow(control)
  const file = createFile(control, (services) => files.open(services))
  warnOfKept(log, await file.start(spec.services))
  tell = control.publish.bind(control)
  cleanup.add(() => workers.drain(0))
  await workers.start(options.signal)
  return { memory, store, cookies, workers, control, names, file, files, lookups, lately, table: () => table }
}

function workerStart(options: ServeOptions, cookies: CookieSecrets): WorkersOptions['start'] {
  const { spec } = options
  return {
    // Also for a single worker, whose successor may have to start while it still closes its connections.
    reusePort: process.platform === 'linux',
    limits: withinDescriptors(planLimits(spec.limits), descriptorsMax()),
    timeouts: planTimeouts(spec.timeouts),
    trustedProxies: spec.trustedProxies.map(networkOf),
    countryHeader: countryHeaderOf(spec),
    tokens: tokenPlanOf(spec),
    ...cookies,
    accessSample: spec.log.access ? spec.log.sample : 0,
    sharedReads: options.sharedReads ?? true,
    splices: options.splices ?? true,
  }
}

/** Starts what watches and changes the core: health, metrics and the admin API. */
async function startControlPlane(
  { spec }: ServeOptions,
  core: Core,
  log: Logger,
  cleanup: Cleanup,
  isReady: () => boolean,
): Promise<Admin> {
  const { control, names, memory, store, file, files } = core
  const clock = systemClock
  const refused = (error: unknown) => log.warn({ err: error }, 'an observation was not taken')
  const health = createHealth({ control, clock, planHealth, memory, random: Math.random, refused })
  cleanup.add(() => health.stop())
  const traffic = createTrafficWindow(control, memory, clock)
  cleanup.add(() => traffic.close())
  core.lately.traffic = traffic.service
  const departures = new DepartureWatch(control, memory, clock, (event) => control.publish(event))
  cleanup.add(() => departures.close())
  const rollouts = new Rollouts({
    control,
    clock,
    memory,
    traffic,
    commandFolders: spec.rolloutCommands,
    store,
    log,
    publish: (event) => control.publish(event),
    id: () => `r-${randomBytes(4).toString('hex')}`,
  })
  cleanup.add(() => rollouts.close())
  await rollouts.start()
  store.mayBlock(false)
  const tell = () => ({ names: names.counts(), rollouts: rollouts.figures(), lookups: files.told() })
  const exposition = createExposition(control, memory, clock, VERSION, tell)
  cleanup.add(() => exposition.close())
  const admin = await createAdmin({
    control,
    rollouts,
    store,
    exposition,
    memory,
    names,
    lookups: files,
    traffic,
    departures,
    clock,
    tokens: spec.admin.tokens,
    address: spec.admin.address,
    explain: createExplain(core, spec, (service) => rollouts.running(service)),
    compare: createComparer(core, spec),
    applyText: file.applyText,
    isReady,
    process: { workers: memory.workers, store: spec.store.split(':', 1)[0] },
    validate: {
      service: validateService,
      weights: validateWeights,
      rules: validateRules,
      pool: validatePool,
      state: validateState,
    },
    log,
    version: VERSION,
  })
  cleanup.add(() => admin.close())
  cleanup.add(() => store.mayBlock(true))
  return admin
}

/** The setting of the store, with its path from this folder on. */
export const storeUrl = (url: string, directory: string): string =>
  url.startsWith('sqlite:') ? 'sqlite:' + resolve(directory, url.slice('sqlite:'.length)) : url
