/**
 * The config file against the live state, as `kubectl apply` does it: what changed in the file since it was last applied is
 * applied; what people changed by the API, and the file did not touch, stays. What the file said last is part of the document:
 * it is written with the change that comes of it, at once, and the merge is made where changes are (merged-file.ts).
 */
import type { ChangeOptions, ChangeResult, FileResult } from '../change.ts'
import { differences } from '../config/difference.ts'
import { type LoadFault, parseSpec } from '../config/load.ts'
import { own } from '../config/record.ts'
import type { Services } from '../config/schema.ts'
import { TurnoutError } from '../errors.ts'
import type { RunningControl } from './deps.ts'

/** How long a file that is read again waits for pools that it gives traffic to. */
const RELOAD_WAIT_MS = 10_000
/** Places that are told of each kind. */
const DIFFERENCES_MAX = 1000

interface FileOptions extends ChangeOptions {
  /** Whether the file wins where it has not changed and what runs has. */
  readonly wins: boolean
}

/** Names of services of which the file says, or may say, something else that was not applied at a start. */
export interface KeptAtStart {
  /** They are not in the file any more, and kept until it is applied with `prune`. */
  readonly gone: readonly string[]
  /** A rollout of theirs runs, and the file waits until it is applied again. */
  readonly tried: readonly string[]
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
  /**
   * Applies the text of a file; `${NAME}` reads `env`, which is the sender's. With `force` the file wins wherever it differs from
   * what runs. Rejects with `invalid` and every fault, with line and column, when it does not load.
   */
  applyText(text: string, env: Readonly<Record<string, string>>, options: ChangeOptions): Promise<FileResult>
}

/** The merge of config files into the state of `control`. */
export function createFile(
  control: Pick<RunningControl, 'change' | 'snapshot' | 'publish' | 'fileServices'>,
  /** Reads what the services of a file that was read again need; what it rejects with refuses them. */
  read: (services: Services) => Promise<void> = async () => {},
): ConfigFile {
  /** There is nobody to ask. */
  const atStart = { actor: 'file', force: true, prune: true } as const
  const apply = (services: Services, { wins, ...options }: FileOptions): Promise<ChangeResult> =>
    control.change({ kind: 'file', services, wins, prune: options.prune === true }, options)
  /** Applies and tells what the file has changed, and what of it has not been applied. */
  const told = async (services: Services, options: FileOptions): Promise<FileResult> => {
    const before = control.snapshot().services
    const result = await apply(services, options)
    const after = result.dryRun?.services ?? control.snapshot().services
    const [others, named] = [{ ...after }, { ...after }]
    for (const name of Object.keys(after)) delete (Object.hasOwn(services, name) ? others : named)[name]
    return {
      ...result,
      changes: differences(before, after, DIFFERENCES_MAX),
      kept: differences(named, services, DIFFERENCES_MAX),
      others: Object.keys(others),
    }
  }
  return {
    async check(services) {
      await control.change({ kind: 'file', services, atStart: true }, { ...atStart, dryRun: true })
    },
    async start(services) {
      await control.change({ kind: 'file', services, atStart: true }, atStart)
      const { services: live, status } = control.snapshot()
      return {
        gone: control.fileServices().filter((name) => !Object.hasOwn(services, name) && Object.hasOwn(live, name)),
        tried: Object.keys(services).filter((name) => own(status, name)?.trial !== undefined),
      }
    },
    async reload(services) {
      try {
        await read(services)
        return await told(services, { actor: 'file', waitMs: RELOAD_WAIT_MS, wins: false })
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error)
        control.publish({ type: 'file', service: null, message: `the config file was not applied: ${why}`, data: {} })
        throw error
      }
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

function firstOf(faults: readonly LoadFault[]): string {
  const more = faults.length > 1 ? ` (and ${faults.length - 1} more)` : ''
  return `line ${faults[0].line}, column ${faults[0].column}: ${faults[0].message}${more}`
}
