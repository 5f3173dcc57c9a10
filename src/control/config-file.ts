/**
 * The config file against the live state, as `kubectl apply` does it: what changed in the file since it was last applied is
 * applied; what people changed by the API, and the file did not touch, stays. What the file said last is part of the document:
 * it is written with the change that comes of it, at once, and the merge is made where changes are (merged-file.ts).
 */
import { createHash } from 'node:crypto'
import type { ChangeOptions, ChangeResult, FileResult } from '../change.ts'
import { differences } from '../config/difference.ts'
import { type LoadFault, parseSpec } from '../config/load.ts'
import { equalJson, isRecord, mapEntries, own } from '../config/record.ts'
import { ServiceSchema, type Services } from '../config/schema.ts'
import { withoutDefaults } from '../config/without-defaults.ts'
import { isTurnoutError, TurnoutError } from '../errors.ts'
import type { RunningControl } from './deps.ts'
import { isEarlier } from './merged-file.ts'

/** How long a file that is read again waits for pools that it gives traffic to. */
const RELOAD_WAIT_MS = 10_000
/** Of the name of a file: 96 bits. */
const NAME_LENGTH = 16
/** Places that are told of each kind. */
const DIFFERENCES_MAX = 1000

interface FileOptions extends ChangeOptions {
  /** Whether the file wins where it has not changed and what runs has. */
  readonly wins: boolean
  /** Nothing is applied of one that others have gone on from. */
  readonly unlessEarlier?: boolean
}

/** What is told of a start with an old copy. */
export const EARLIER =
  'the config file is an older one: another was applied to all instances since this one was last, so nothing of it is applied; to go back to it, run turnout apply with it'

/** Names of services of which the file says, or may say, something else that was not applied at a start. */
export interface KeptAtStart {
  /** Another file was applied since this one was last, by another instance: nothing of it is applied. */
  readonly isEarlier: boolean
  /** They are not in the file any more, and kept until it is applied with `prune`. */
  readonly gone: readonly string[]
  /** A rollout of theirs runs, and the file waits until it is applied again. */
  readonly tried: readonly string[]
  /** The same for a switch under a hold, where the file says something new. */
  readonly switched: readonly string[]
}

export interface ConfigFile {
  /** Rejects as `start` would; changes nothing. */
  check(services: Services): Promise<void>
  /**
   * Applies the services of the file that Turnout starts with. There is no traffic yet and nobody to ask, so it refuses nothing but
   * what does not hold together.
   */
  start(services: Services): Promise<KeptAtStart>
  /** Applies the services of the file that was read again. A refusal is an event too: who sent a signal sees no answer. */
  reload(services: Services): Promise<FileResult>
  /** The same with the file of a start that could not be applied then, since the store was away; that it still is, is no event. Nothing once another was applied. */
  startLate(services: Services): Promise<void>
  /**
   * Applies the text of a file; `${NAME}` reads `env`, which is the sender's. With `force` the file wins wherever it differs from
   * what runs. Rejects with `invalid` and every fault, with line and column, when it does not load.
   */
  applyText(text: string, env: Readonly<Record<string, string>>, options: ChangeOptions): Promise<FileResult>
}

/** The merge of config files into the state of `control`. */
export function createFile(
  control: Pick<RunningControl, 'change' | 'snapshot' | 'publish' | 'fileBase'>,
  /** Other instances may have applied other files. */
  isShared: boolean,
  /** Reads what the services of a file that was read again need, and applies them then; what it rejects with refuses them. */
  reading: <T>(services: Services, apply: () => Promise<T>) => Promise<T> = (_, apply) => apply(),
): ConfigFile {
  /** Aborts once a file was applied after that of the start. */
  const newer = new AbortController()
  /** There is nobody to ask. */
  const atStart = { actor: 'file', force: true, prune: true } as const
  const named = (services: Services) =>
    ({ kind: 'file', services, ...(isShared && { name: nameOf(services) }) }) as const
  const apply = (services: Services, { wins, unlessEarlier, ...options }: FileOptions): Promise<ChangeResult> =>
    control.change({ ...named(services), wins, unlessEarlier, prune: options.prune === true }, options)
  const publish = (message: string): void => control.publish({ type: 'file', service: null, message, data: {} })
  /** Tells it where a start has applied nothing. */
  const toldEarlier = (services: Services): boolean => {
    const is = isShared && isEarlier(control.fileBase(), nameOf(services))
    if (is) publish(EARLIER)
    return is
  }
  const again = async (services: Services, isLate: boolean): Promise<FileResult> => {
    const late = isLate ? { unlessEarlier: true, unless: newer.signal } : {}
    const options = { actor: 'file', waitMs: RELOAD_WAIT_MS, wins: false, ...late }
    try {
      return await reading(services, () => told(services, options))
    } catch (error) {
      if (!isLate || !(isTurnoutError(error, 'store_unavailable') || error === newer.signal.reason))
        publish(`the config file was not applied: ${error instanceof Error ? error.message : String(error)}`)
      throw error
    }
  }
  /** Applies and tells what the file has changed, and what of it has not been applied. */
  const told = async (services: Services, options: FileOptions): Promise<FileResult> => {
    const result = await outcome(services, (onJudged) => apply(services, { ...options, onJudged }))
    if (options.dryRun !== true) newer.abort()
    return result
  }
  return {
    async check(services) {
      await control.change({ ...named(services), atStart: true, unlessEarlier: true }, { ...atStart, dryRun: true })
    },
    async start(services) {
      await control.change({ ...named(services), atStart: true, unlessEarlier: true }, atStart)
      if (toldEarlier(services)) return { isEarlier: true, gone: [], tried: [], switched: [] }
      return keptAtStart(control, services)
    },
    reload: (services) => again(services, false),
    async startLate(services) {
      try {
        await again(services, true)
      } catch (error) {
        if (error !== newer.signal.reason) throw error
        return
      }
      toldEarlier(services)
    },
    async applyText(text, env, options) {
      // An editor or a disk that is full leaves such a file; taken for a config it would remove every service.
      if (text.trim() === '') throw new TurnoutError('invalid', 'The file is empty.')
      const loaded = parseSpec(text, { env, source: 'file' })
      if ('faults' in loaded) throw new TurnoutError('invalid', firstOf(loaded.faults), loaded.faults)
      return told(loaded.spec.services, { ...options, wins: options.force === true })
    },
  }
}

/** What came of a file with these services. */
async function outcome(
  services: Services,
  apply: (onJudged: NonNullable<ChangeOptions['onJudged']>) => Promise<ChangeResult>,
): Promise<FileResult> {
  let [before, after] = [services, services]
  // Others are made before and after it, which are not of this file.
  const result = await apply((...judged) => {
    ;[before, after] = judged
  })
  const [others, named] = [{ ...after }, { ...after }]
  for (const name of Object.keys(after)) delete (Object.hasOwn(services, name) ? others : named)[name]
  return {
    ...result,
    changes: differences(before, after, DIFFERENCES_MAX),
    kept: differences(named, services, DIFFERENCES_MAX),
    others: Object.keys(others),
  }
}

function keptAtStart(control: Pick<RunningControl, 'snapshot' | 'fileBase'>, services: Services): KeptAtStart {
  const { services: live, status } = control.snapshot()
  const base = control.fileBase().services ?? {}
  const isNew = (name: string) => !equalJson(own(base, name), services[name])
  return {
    isEarlier: false,
    gone: Object.keys(base).filter((name) => !Object.hasOwn(services, name) && Object.hasOwn(live, name)),
    tried: Object.keys(services).filter((name) => own(status, name)?.trial !== undefined && isNew(name)),
    switched: Object.keys(services).filter((name) => own(status, name)?.hold?.isOfSwitch === true && isNew(name)),
  }
}

/** By what it says, however it is written, and whatever a later version fills in by itself. */
function nameOf(services: Services): string {
  const said = mapEntries(services, (spec) => withoutDefaults(ServiceSchema, spec))
  return createHash('sha256').update(JSON.stringify(said, inOrder)).digest('base64url').slice(0, NAME_LENGTH)
}

/** The keys of each object in one order, whatever that of the file. */
const inOrder = (_key: string, value: unknown): unknown =>
  isRecord(value) ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value

function firstOf(faults: readonly LoadFault[]): string {
  const more = faults.length > 1 ? ` (and ${faults.length - 1} more)` : ''
  return `line ${faults[0].line}, column ${faults[0].column}: ${faults[0].message}${more}`
}
