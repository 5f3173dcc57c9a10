/**
 * What a start leaves for later while the store is away: then it serves by the local snapshot (store/snapshot-store.ts), and nothing can be
 * changed. Once the store is back, rollouts are read, and the file is applied as one that was read again: there is traffic by then.
 */
import type { Logger } from 'pino'
import { type Clock, sleep } from '../clock.ts'
import type { Services } from '../config/schema.ts'
import type { ConfigFile } from '../control/config-file.ts'
import type { RunningControl } from '../control/deps.ts'
import { isTurnoutError } from '../errors.ts'
import type { Seat } from '../rollout/seat.ts'
import type { Store } from '../store/store.ts'
import { startFailure } from './start-failure.ts'
import { warnOfKept } from './warnings.ts'

/** A store that is away just then is asked again after so long. */
const AGAIN_MS = 1_000

/** Whether a start may go on after this failure. */
const isLeft = (store: Pick<Store, 'local'>, error: unknown): boolean =>
  store.local?.told().serves === true && isTurnoutError(error, 'store_unavailable')

/** Applies the file with which Turnout starts; what of it cannot be stored yet, once it can. Rejects with what is wrong with it. */
export async function startFile(
  file: ConfigFile,
  services: Services,
  { store, control, clock, log }: { store: Store; control: RunningControl; clock: Clock; log: Logger },
): Promise<void> {
  try {
    warnOfKept(log, await file.start(services))
  } catch (error) {
    if (!isLeft(store, error)) throw error
    log.warn('the config file has changed since it was applied last; it is applied once the store is back')
    const end = control.subscribe(({ type, data }) => {
      if (type !== 'store' || data['away'] !== false) return
      end()
      applyLate(file, services, clock).catch((error: unknown) => {
        log.error(`the config file was not applied:\n${startFailure(error)}`)
      })
    })
  }
}

/** A store that is back may be one that cannot be written yet, as a replica is that is about to be the primary. */
async function applyLate(file: Pick<ConfigFile, 'startLate'>, services: Services, clock: Clock): Promise<void> {
  for (;;) {
    try {
      return await file.startLate(services)
    } catch (error) {
      if (!isTurnoutError(error, 'store_unavailable')) throw error
      await sleep(clock, AGAIN_MS)
    }
  }
}

/** Another instance leads: drops what is driven here, calls `dropped`, gives up what of it was not stored, and begins anew. */
export const unseat = (
  seat: Pick<Seat, 'reseat'>,
  { control, clock, log }: { control: Pick<RunningControl, 'disown'>; clock: Clock; log: Pick<Logger, 'error'> },
  dropped: () => void,
): Promise<void> =>
  reseat(seat, clock, log, async () => {
    dropped()
    await control.disown()
  })

/** Begins anew with what the store says of rollouts, once it can be read; `between` is what comes when nothing is driven here any more. */
async function reseat(
  seat: Pick<Seat, 'reseat'>,
  clock: Clock,
  log: Pick<Logger, 'error'>,
  between?: () => Promise<void>,
): Promise<void> {
  for (let told = ''; ; ) {
    try {
      return await seat.reseat(between)
    } catch (err) {
      // A store that is away is told by control, whose store it is; anything else nobody would hear of.
      if (!isTurnoutError(err, 'store_unavailable') && String(err) !== told) {
        log.error({ err }, 'the rollouts cannot be taken up, which is tried again every second')
        told = String(err)
      }
      await sleep(clock, AGAIN_MS)
    }
  }
}

/** Starts the rollouts, or has them started once the store can be read. */
export async function startRollouts(
  seat: Pick<Seat, 'reseat' | 'start'>,
  { store, clock, log }: { store: Pick<Store, 'local'>; clock: Clock; log: Pick<Logger, 'error'> },
): Promise<void> {
  try {
    await seat.start()
  } catch (error) {
    if (!isLeft(store, error)) throw error
    void reseat(seat, clock, log)
  }
}
