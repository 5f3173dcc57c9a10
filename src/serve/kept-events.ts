/**
 * Events that outlive the process: what of them is read at the start, and what is written from then on (store/event-file.ts). A file that
 * cannot be read or written stops nothing; it is told.
 */
import type { Logger } from 'pino'
import type { Control, ControlEvent } from '../change.ts'
import type { Clock } from '../clock.ts'
import type { NewEvent } from '../control/events.ts'
import { EventFile } from '../store/event-file.ts'
import { unreadInWords } from '../unread.ts'

interface Teller extends Pick<Control, 'events' | 'subscribe'> {
  publish(event: NewEvent): void
  takeIn(earlier: readonly ControlEvent[]): void
}

export interface KeptEvents {
  /** Those of before, oldest first. */
  readonly past: readonly ControlEvent[]
  /** Keeps all that is told from now on, and what was told since the start. */
  follow(control: Teller): void
  /** Writes what waits, for the process that is to read it. */
  flush(): Promise<void>
  /** Has whom it follows take in what the process before has told while this one started. */
  again(): Promise<void>
  close(): Promise<void>
}

const nothing = async (): Promise<void> => {}
const NONE: KeptEvents = { past: [], follow: () => {}, flush: nothing, again: nothing, close: nothing }

/** Reads what a process before has kept there; null is nowhere. */
export async function openEvents(path: string | null, log: Logger, clock: Clock): Promise<KeptEvents> {
  if (path === null) return NONE
  let publish = (_event: NewEvent): void => {}
  let takeIn: Teller['takeIn'] = () => {}
  let end = (): void => {}
  const file = new EventFile({
    path,
    clock,
    tell(level, message) {
      log[level](message)
      publish({ type: 'store', service: null, message, data: {} })
    },
  })
  const read = () =>
    file.read().catch((error: Error) => {
      log.warn(`the events of before cannot be read from ${path}: ${unreadInWords(error)}`)
      return []
    })
  const past = await read()
  return {
    past,
    flush: () => file.flush(),
    again: async () => takeIn(await read()),
    follow(control) {
      publish = (event) => control.publish(event)
      takeIn = (earlier) => control.takeIn(earlier)
      for (const event of control.events(past.at(-1)?.id)) file.add(event)
      end = control.subscribe((event) => file.add(event))
    },
    async close() {
      end()
      await file.close()
    },
  }
}
