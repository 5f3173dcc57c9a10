/** Tells people what workers tell of: that they were lost and replaced, in the log and as events, and of answers that differ, as events. */
import type { Logger } from 'pino'
import type { NewEvent } from '../control/events.ts'
import type { WorkersOptions } from './workers.ts'

/** What `Workers` calls; `publish` takes the events. */
export function createWorkerNews(
  log: Pick<Logger, 'error' | 'warn'>,
  publish: (event: NewEvent) => void,
): Pick<WorkersOptions, 'onLost' | 'onReplaced' | 'onDifference'> {
  const tell = (message: string, data: NewEvent['data']) => publish({ type: 'worker', service: null, message, data })
  return {
    onLost(worker, { reason, message, pauseMs }) {
      const next = pauseMs === 0 ? 'a new one is started' : `a new one is started in ${pauseMs} ms`
      log.error({ worker, reason }, `worker ${worker} ${message}; ${next}`)
      tell(`worker ${worker} ${message}; ${next}`, { worker, reason, pauseMs })
    },
    onDifference({ service, ...difference }) {
      const { pool, method, path, live, copy } = difference
      const what =
        live.status === copy.status
          ? `another body (${copy.bytes} bytes, not ${live.bytes})`
          : `${copy.status}, not ${live.status}`
      const message = `a copy of ${method} ${path} was answered by pool ${pool} with ${what}`
      publish({ type: 'mirror', service, message, data: { ...difference } })
    },
    onReplaced(worker, afterMs) {
      const message = `worker ${worker} is replaced, ${Math.round(afterMs)} ms after its loss`
      log.warn({ worker }, message)
      tell(message, { worker, afterMs })
    },
  }
}
