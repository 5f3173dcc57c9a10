/** Tells people whether the store can be reached: in the log each time that it cannot, as an event when that changes. */
import type { Logger } from 'pino'
import type { NewEvent } from './events.ts'

/** What control calls after each attempt. */
export interface StoreNews {
  away(error: unknown): void
  back(): void
}

/** The store is thought to be there. */
export function createStoreNews(log: Pick<Logger, 'error'>, publish: (event: NewEvent) => void): StoreNews {
  let isAway = false
  const tell = (message: string) => publish({ type: 'store', service: null, message, data: { away: isAway } })
  return {
    away(error) {
      log.error({ err: error }, 'the store cannot be reached; traffic is served by the last table')
      if (isAway) return
      isAway = true
      tell(`the store cannot be reached: ${error instanceof Error ? error.message : String(error)}`)
    },
    back() {
      if (!isAway) return
      isAway = false
      tell('the store is reachable again')
    },
  }
}
