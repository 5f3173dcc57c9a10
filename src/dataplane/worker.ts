/**
 * Entry of a worker thread: opens the listeners, follows the tables, sweeps time-outs, drains when told to.
 *
 * One timer serves all deadlines (sweep.ts).
 */
import type { Server } from 'node:net'
import { parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '../clock.ts'
import { WORKER_FIELD } from '../metrics/layout.ts'
import { checkFree, openListener } from './downstream/listener.ts'
import { endWhenFull, heapBytes } from './heap.ts'
import { loadFor } from './lookups/lookups.ts'
import type { FromWorker, ToWorker, WorkerStart } from './messages.ts'
import { Plane } from './plane.ts'
import { descriptorOfServer } from './socket/handle.ts'
import { sweep } from './sweep.ts'

const SWEEP_MS = 100
/** Time that idle keep-alive connections get for one last request when the worker drains. */
const LAST_REQUEST_MS = 1_000
/** Time before the end of a drain at which requests that are still held are refused. */
const REFUSED_MS = 500

const start = workerData as WorkerStart
const port = parentPort
if (port === null) throw new Error('worker.ts runs in a worker thread only')
const send = (message: FromWorker) => port.postMessage(message)
await loadFor(start.lookups)
const plane = new Plane(
  start,
  (memory, length) => send({ type: 'log', memory, length }),
  (difference) => send({ type: 'difference', difference }),
)
/** Of each listener. */
const servers: Server[][] = []
let drainUntilMs = Infinity

port.on('message', (message: ToWorker) => {
  if (message.type === 'prepare') {
    plane.prepare(message.delta)
    send({ type: 'prepared', epoch: message.delta.epoch })
  } else if (message.type === 'lookup') plane.lookups.take(message.lookup)
  else if (message.type === 'forget') plane.lookups.forget(message.lookup)
  else if (message.type === 'sample') {
    send({ type: 'sampled', id: message.id, samples: plane.samples.lend() })
  } else if (message.type === 'drain') drain(message.deadlineMs, message.isShared)
  else open(message).catch(({ code = '', message }: NodeJS.ErrnoException) => send({ type: 'fault', code, message }))
})

function drain(deadlineMs: number, isShared: readonly boolean[]): void {
  plane.time.tick()
  plane.draining = true
  drainUntilMs = plane.time.nowMs + deadlineMs
  const idleUntilMs = plane.time.nowMs + Math.min(LAST_REQUEST_MS, deadlineMs)
  plane.idleUntilMs = idleUntilMs
  servers.forEach((opened, at) => {
    for (const server of opened) {
      if (isShared[at]) server.close()
      else closeWhenQuiet(server, idleUntilMs)
    }
  })
  for (const client of plane.clients) client.retire(idleUntilMs)
  plane.departures.leaveAll(deadlineMs)
}

/** Ends a socket once nothing waits to be accepted from it any more, which would be reset; or at that time. */
function closeWhenQuiet(server: Server, untilMs: number): void {
  let accepted = 0
  let seen = -1
  server.on('connection', () => accepted++)
  const look = (): void => {
    plane.time.tick()
    // Each turn of the event loop accepts one at least, if there is one.
    if (accepted === seen || plane.time.nowMs >= untilMs) return void server.close()
    seen = accepted
    setImmediate(look)
  }
  look()
}

function onSweep(): void {
  const { time, counters } = plane
  time.tick()
  time.syncWallClock()
  // Whoever waits gets an answer before it is cut off.
  if (time.nowMs >= drainUntilMs - REFUSED_MS) breakOff()
  if (plane.trials.isWatched) noteSlow()
  sweepExchanges()
  sweepClients()
  plane.departures.sweep()
  plane.targets.sweep()
  plane.log.sweep()
  plane.samples.sweep()
  counters.setLane(WORKER_FIELD.heapBytes, heapBytes())
  counters.setLane(WORKER_FIELD.loopBusyMs, time.busyMs())
  // Whoever is in a handshake was let in, and is about to ask for something.
  const isAwaited = plane.handshakes > 0 && time.nowMs < plane.idleUntilMs
  if (plane.draining && plane.clients.size === 0 && !isAwaited) {
    plane.log.flush()
    send({ type: 'drained', cuts: plane.cuts.byService })
    port?.close()
    stopSweep()
  }
}

/** Ends what has not ended in time, which is counted. */
function breakOff(): void {
  plane.isBreakingOff = true
  plane.holds.end()
  plane.queues.end()
  if (plane.time.nowMs >= drainUntilMs) for (const client of plane.clients) client.destroy()
  plane.isBreakingOff = false
}

/** What has passed is seen to in several turns when it is much, so that others have theirs. */
function sweepExchanges(): void {
  if (sweep(plane.exchanges, plane.time.nowMs)) setImmediate(sweepExchanges)
}

/** Until no exchange is judged any more; the next that is begins it again. */
function noteSlow(): void {
  let isWatched = false
  for (const exchange of plane.exchanges) if (exchange.noteSlow()) isWatched = true
  plane.trials.isWatched = isWatched
}

function sweepClients(): void {
  if (sweep(plane.clients, plane.time.nowMs)) setImmediate(sweepClients)
}

async function open({ ports: known, inherited }: Extract<ToWorker, { readonly type: 'listen' }>): Promise<void> {
  const socketsOf = (at: number) => inherited[at] ?? []
  const listeners = start.listeners.map((plan, at) => ({ ...plan, port: known?.[at] ?? plan.port }))
  if (known === null && start.reusePort) {
    for (const [at, plan] of listeners.entries()) if (socketsOf(at).length === 0) await checkFree(plan)
  }
  const ports: number[] = []
  const descriptors: number[][] = []
  for (const [at, plan] of listeners.entries()) {
    const opened = await openListener(plane, plan, socketsOf(at), start.reusePort)
    // `drain` has closed those that were there.
    if (plane.draining) return opened.forEach((server) => void server.close())
    servers.push(opened)
    const address = opened[0].address()
    ports.push(typeof address === 'object' && address !== null ? address.port : plan.port)
    descriptors.push(opened.map(descriptorOfServer))
  }
  send({ type: 'listening', ports, descriptors })
}

endWhenFull()
const stopSweep = systemClock.every(SWEEP_MS, onSweep)
send({ type: 'started' })
