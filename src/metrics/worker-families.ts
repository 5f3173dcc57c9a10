/**
 * The metrics that belong to workers and to no target: connections, refusals, losses, the event loop and the heap of each.
 *
 * What concerns the health of one worker has a series for each (`worker` is its index, which a successor takes over, so
 * counters go on growing); what tells of clients is summed over all, since the kernel spreads those as it likes.
 */
import { LOSS_REASONS, lossField, REJECT_CODES, rejectField, SHED_REASONS, shedField } from './counters.ts'
import type { Family, Sample, Scrape } from './family.ts'
import { type SharedMemory, WORKER_FIELD, WORKER_FIELDS } from './layout.ts'

/** A family with one series for each worker; `scale` turns the unit of the field into that of the name. */
function perWorker(name: string, type: 'counter' | 'gauge', help: string, field: number, scale = 1): Family {
  const read = ({ memory }: Scrape): Sample[] =>
    Array.from({ length: memory.workers }, (_, worker) => ({
      value: memory.lanes[worker * WORKER_FIELDS + field] * scale,
      labels: { worker: String(worker) },
    }))
  return { name, type, help, read }
}

function sumLanes(memory: SharedMemory, field: number): number {
  let sum = 0
  for (let worker = 0; worker < memory.workers; worker++) sum += memory.lanes[worker * WORKER_FIELDS + field]
  return sum
}

const logDropped: Family = {
  name: 'turnout_log_dropped_total',
  type: 'counter',
  help: 'Access log lines dropped: their reader was slow or has gone, or the disk was full.',
  read: ({ memory: { workers, lanes } }) =>
    Array.from({ length: workers }, (_, worker) => {
      const at = worker * WORKER_FIELDS
      return {
        value: lanes[at + WORKER_FIELD.logDropped] + lanes[at + WORKER_FIELD.logLost],
        labels: { worker: String(worker) },
      }
    }),
}

const rejected: Family = {
  name: 'turnout_rejected_total',
  type: 'counter',
  help: 'Requests, or connections, that Turnout refused, by error code; what a target failed is counted there.',
  read: ({ memory }) => REJECT_CODES.map((code) => ({ value: sumLanes(memory, rejectField(code)), labels: { code } })),
}

const shed: Family = {
  name: 'turnout_shed_total',
  type: 'counter',
  help: 'Requests and connections that a cap refused or ended, by cap.',
  read: ({ memory }) =>
    SHED_REASONS.map((reason) => ({ value: sumLanes(memory, shedField(reason)), labels: { reason } })),
}

const workerRestarts: Family = {
  name: 'turnout_worker_restarts_total',
  type: 'counter',
  help: 'Workers that were lost and replaced, by reason.',
  read: ({ memory }) =>
    Array.from({ length: memory.workers }, (_, worker) =>
      LOSS_REASONS.map((reason) => ({
        value: memory.lanes[worker * WORKER_FIELDS + lossField(reason)],
        labels: { worker: String(worker), reason },
      })),
    ).flat(),
}

/** In the order of the exposition. */
export const WORKER_FAMILIES: readonly Family[] = [
  rejected,
  shed,
  perWorker('turnout_client_connections', 'gauge', 'Open client connections.', WORKER_FIELD.clientConnections),
  perWorker(
    'turnout_accepted_connections_total',
    'counter',
    'Client connections accepted, those that a cap refused left out.',
    WORKER_FIELD.acceptedConnections,
  ),
  perWorker(
    'turnout_tied_connections',
    'gauge',
    'Connections to targets that are kept for one client, which has logged in on them (NTLM, Negotiate).',
    WORKER_FIELD.boundConnections,
  ),
  perWorker(
    'turnout_bodies_not_kept_total',
    'counter',
    'Request bodies that were not kept for another pool, because the worker kept as many bytes as it may.',
    WORKER_FIELD.bodiesNotKept,
  ),
  perWorker(
    'turnout_not_mirrored_total',
    'counter',
    'Requests that were to be copied and were not: too many copies under way, a body that was not at hand, or no room at the target.',
    WORKER_FIELD.notMirrored,
  ),
  perWorker('turnout_accept_errors_total', 'counter', 'Errors while accepting clients.', WORKER_FIELD.acceptErrors),
  perWorker(
    'turnout_worker_requests_total',
    'counter',
    'Requests read, whatever became of them.',
    WORKER_FIELD.requests,
  ),
  perWorker(
    'turnout_spliced_bytes_total',
    'counter',
    'Bytes of long bodies, up and down, that the kernel moved without a copy.',
    WORKER_FIELD.splicedBytes,
  ),
  logDropped,
  perWorker(
    'turnout_worker_busy_seconds_total',
    'counter',
    'Time in which the event loop was busy.',
    WORKER_FIELD.loopBusyMs,
    0.001,
  ),
  workerRestarts,
  perWorker('turnout_worker_heap_bytes', 'gauge', 'JavaScript heap in use.', WORKER_FIELD.heapBytes),
]
