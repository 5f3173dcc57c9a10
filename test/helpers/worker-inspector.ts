/**
 * A way into the worker threads of a proxy that runs in this process: the inspector. So a test can end or jam a worker from
 * within, as a bug would, and the product needs no hook for it.
 */
import { Session } from 'node:inspector'
import { onTestFinished } from 'vitest'

interface Attached {
  readonly sessionId: string
  readonly workerInfo: { readonly workerId: string; readonly title: string }
}

export interface WorkerThreads {
  /** Runs code in the worker with this index (the newest that had it), without waiting for its end. */
  run(index: number, code: string): void
  /** Workers that were seen with this index. */
  seen(index: number): number
}

/** Follows all worker threads of this process, present and future. */
export function followWorkers(): WorkerThreads {
  const session = new Session()
  session.connect()
  const sessions: { readonly index: number; readonly sessionId: string }[] = []
  session.on('NodeWorker.attachedToWorker' as never, ({ params }: { params: Attached }) => {
    const index = /turnout-(\d+)/.exec(params.workerInfo.title)?.[1]
    if (index !== undefined) sessions.push({ index: Number(index), sessionId: params.sessionId })
  })
  session.post('NodeWorker.enable', { waitForDebuggerOnStart: false })
  onTestFinished(() => session.disconnect())
  const of = (index: number) => sessions.filter((one) => one.index === index)
  return {
    run(index, expression) {
      const newest = of(index).at(-1)
      if (newest === undefined) throw new Error(`there is no worker ${index}`)
      const message = JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression } })
      session.post('NodeWorker.sendMessageToWorker', { sessionId: newest.sessionId, message })
    },
    seen: (index) => of(index).length,
  }
}
