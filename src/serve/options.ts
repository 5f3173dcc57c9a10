/**
 * What Turnout is started with, and what it is once it runs (serve.ts). Types only.
 *
 * All of it may be left out but the spec: then it is a Turnout of its own, with addresses that it opens itself, that nothing replaces.
 */
import type { Logger } from 'pino'
import type { FileResult } from '../change.ts'
import type { Spec } from '../config/schema.ts'
import type { NamesOptions } from '../names/names.ts'
import type { Upgraded } from '../upgrade/messages.ts'
import type { Predecessor } from '../upgrade/predecessor.ts'
import type { Present } from '../upgrade/sides.ts'

export interface ServeOptions {
  /** What to serve; its services are applied as the config file would be. */
  readonly spec: Spec
  /** Reads the file again for SIGHUP; default: there is none. */
  readonly reread?: () => Spec
  /** Folder that relative paths of the spec (certificates) start from. Default: the working directory. */
  readonly directory?: string
  /** Folder that a relative path of the store starts from. Default: `directory`. */
  readonly stateDirectory?: string
  /** By what secrets in the store are encrypted (serve/sealing.ts). Default: they are not. */
  readonly secretKey?: string
  /** Gives the start up when it aborts; once started, `close` is for that. */
  readonly signal?: AbortSignal
  /** Default true. False reads by 'data' events; for tests of the fallback. */
  readonly sharedReads?: boolean
  /** Default true. False copies long bodies; for tests of the fallback. */
  readonly splices?: boolean
  /** Sockets that listen already, for each listener and for the admin API; one that has none is opened. `duplicate` as in workers/given-sockets.ts. */
  readonly sockets?: {
    readonly listeners: readonly (readonly number[])[]
    readonly admin: number | null
    readonly duplicate: ((descriptor: number) => number) | null
  }
  /** The process that this one takes the place of. Default: none. */
  readonly predecessor?: Pick<
    Predecessor,
    | 'built'
    | 'probed'
    | 'takeOver'
    | 'busyPid'
    | 'whenOver'
    | 'isOver'
    | 'leaveEarlier'
    | 'takeTold'
    | 'onLetGo'
    | 'routed'
  >
  /** Has another process take the place of this one; without it the admin API has no upgrade. */
  readonly upgrade?: (limitMs: number) => Promise<Upgraded>
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
  /** What an upgrade needs of it. */
  readonly present: Present
  revision(): number
}
