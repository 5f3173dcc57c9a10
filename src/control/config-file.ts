/**
 * The config file against the live state, as `kubectl apply` does it: what changed in the file since it was last loaded is
 * applied; what people changed by the API, and the file did not touch, stays. The last loaded services are kept in the store.
 */
import type { ChangeOptions, ChangeResult, Control, FileResult } from '../change.ts'
import { differences } from '../config/difference.ts'
import { type LoadFault, parseSpec } from '../config/load.ts'
import { mergeFile, overFile } from '../config/merge.ts'
import type { Services } from '../config/schema.ts'
import { isTurnoutError, TurnoutError } from '../errors.ts'
import type { Store } from '../store/store.ts'
import type { RunningControl } from './control.ts'

const BASE_KEY = 'file'
/** How long a file that is read again waits for pools that it gives traffic to. */
const RELOAD_WAIT_MS = 10_000
/** Changes by others that may come between reading the live state and writing the merged one. */
const TRIES_MAX = 10

/** Places that are told of each kind. */
const DIFFERENCES_MAX = 1000

interface FileOptions extends ChangeOptions {
  /** Whether the file wins where it has not changed and what runs has. */
  readonly wins: boolean
}

export interface FileDeps {
  readonly control: Control & Pick<RunningControl, 'publish'>
  readonly store: Store
}

export interface ConfigFile {
  /**
   * Applies the services of the file that Turnout starts with. There is no traffic yet and nobody to ask, so it refuses nothing but
   * what does not hold together; and services that the file no longer has are kept until it is applied with `prune`. Their names.
   */
  start(services: Services): Promise<readonly string[]>
  /** Applies the services of the file that was read again. A refusal is an event too: who sent a signal sees no answer. */
  reload(services: Services): Promise<FileResult>
  /**
   * Applies the text of a file; `${NAME}` reads `env`, which is the sender's. With `force` the file wins wherever it differs from
   * what runs. Rejects with `invalid` and every fault, with line and column, when it does not load.
   */
  applyText(text: string, env: Readonly<Record<string, string>>, options: ChangeOptions): Promise<FileResult>
}

/** The merge of config files into the state of `control`. */
export function createFile({ control, store }: FileDeps): ConfigFile {
  /** One try: merged over one revision, and refused when the live state has moved since. */
  const merge = (base: Services | null, services: Services, options: FileOptions): Promise<ChangeResult> => {
    const present = control.snapshot()
    const { services: merged, faults } = options.wins
      ? overFile(base, present.services, services, options.prune === true)
      : mergeFile(base, present.services, services)
    if (faults.length > 0) throw new TurnoutError('invalid', faults[0].message, faults)
    return control.change(
      { kind: 'file', services: merged },
      { ...options, ifMatch: options.ifMatch ?? present.revision },
    )
  }
  const apply = async (services: Services, options: FileOptions): Promise<ChangeResult> => {
    const kept = await store.get(BASE_KEY)
    const base = kept === null ? null : (JSON.parse(kept) as Services)
    for (let tries = 1; ; tries++) {
      try {
        const result = await merge(base, services, options)
        if (options.dryRun) return result
        // After the change: if we die between the two, the same difference is applied again, which changes nothing.
        await store.put(BASE_KEY, JSON.stringify(services))
        return result
      } catch (error) {
        const moved = isTurnoutError(error, 'stale_revision') && options.ifMatch === undefined
        if (!moved || tries === TRIES_MAX) throw error
      }
    }
  }
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
    async start(services) {
      const kept = await store.get(BASE_KEY)
      const base = kept === null ? {} : (JSON.parse(kept) as Services)
      const gone = Object.entries(base).filter(([name]) => !Object.hasOwn(services, name))
      await apply({ ...Object.fromEntries(gone), ...services }, { actor: 'file', force: true, wins: false })
      const live = control.snapshot().services
      return gone.flatMap(([name]) => (Object.hasOwn(live, name) ? [name] : []))
    },
    async reload(services) {
      try {
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
