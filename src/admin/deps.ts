/**
 * What the admin API is given by main: it knows the one writer, the store's history and functions, and no other room.
 */
import type { Logger } from 'pino'
import type { ChangeOptions, Control, FileResult } from '../change.ts'
import type { Clock } from '../clock.ts'
import type { AdminSpec } from '../config/schema-process.ts'
import type { DepartureWatch } from '../control/departure-watch.ts'
import type { Instances } from '../control/instances.ts'
import type { LookupFiles } from '../lookups/lookups.ts'
import type { Exposition } from '../metrics/exposition.ts'
import type { SharedMemory } from '../metrics/layout.ts'
import type { TrafficWindow } from '../metrics/window.ts'
import type { Names } from '../names/names.ts'
import type { HookCaller } from '../rollout/gates/hook-caller.ts'
import type { SeatedRollouts } from '../rollout/seat.ts'
import type { Store } from '../store/store.ts'
import type { Upgraded } from '../upgrade/messages.ts'
import type { Compare } from './dry-run.ts'
import type { Explain } from './explain.ts'

export interface AdminDeps {
  readonly control: Control
  readonly store: Pick<Store, 'hasOthers' | 'revisions'>
  /** What `/metrics` answers. */
  readonly exposition: Pick<Exposition, 'contentType' | 'text'>
  readonly memory: SharedMemory
  /** What status shows of the traffic. */
  readonly traffic: Pick<TrafficWindow, 'service'>
  /** Why a name of a target has no address, or an old one. */
  readonly names: Pick<Names, 'of'>
  /** All that serve by the same store. */
  readonly instances: Pick<
    Instances,
    'busyAt' | 'cutOff' | 'everywhere' | 'local' | 'quieted' | 'staleMs' | 'storeFault' | 'told'
  >
  /** With true it is not ready while it is cut off from them. */
  readonly unreadyWhenCutOff: boolean
  /** The files that requests are looked up in. */
  readonly lookups: Pick<LookupFiles, 'told'>
  /** How far the tunnels of a pool have been let go. */
  readonly departures: Pick<DepartureWatch, 'of'>
  readonly clock: Clock
  /** Without tokens only loopback is served. */
  readonly tokens: AdminSpec['tokens']
  /** `host:port`; port 0 takes a free one. */
  readonly address: string
  /** Descriptor of a socket that listens there already. Default: one is opened. */
  readonly descriptor?: number
  /** The process that this one has replaced, while it still finishes what is under way; else null. */
  busyPredecessor(): number | null
  /** One process is just about to take over from another, so nothing may be changed here. Default: never. */
  isYielded?(): boolean
  /** Aborts when the process begins to end, and still finishes what is under way. Default: never. */
  readonly leaving?: AbortSignal
  /** Has another process take the place of this one, within so many ms. Absent where that cannot be. */
  upgrade?(limitMs: number): Promise<Upgraded>
  /** Calls the hook of a switch. */
  readonly callHook: HookCaller['call']
  readonly explain: Explain
  /** For dry runs; null where no requests are kept. */
  readonly compare: Compare | null
  readonly rollouts: Omit<SeatedRollouts, 'figures'>
  /**
   * Applies what changed in the text of a config file (file.ts); `env` is what its `${NAME}` read. Rejects with `invalid` and
   * faults that have line and column.
   */
  applyText(text: string, env: Readonly<Record<string, string>>, options: ChangeOptions): Promise<FileResult>
  /** True once a table is committed in every worker. */
  isReady(): boolean
  /** What does not change while it runs. */
  readonly process: {
    readonly workers: number
    readonly store: string
    readonly pid: number
    readonly startedAtMs: number
  }
  readonly log: Logger
  /** How long a request may take to arrive; default 30 s. */
  readonly requestTimeoutMs?: number
  /** Connections that are served at the same time; default 1,000. */
  readonly connectionsMax?: number
  /** Version of Turnout. */
  readonly version: string
}
