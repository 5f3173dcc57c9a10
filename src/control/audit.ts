/**
 * A change as it stands in the audit and in events: who reads a thousand of them needs the gist, not whole documents.
 *
 * Bounded, whatever was sent; who has insisted on what would have been refused is told too.
 */
import type { Change, ChangeOptions, ChangeResult, ClockLine, RolloutLine, Snapshot } from '../change.ts'
import { equalJson } from '../config/record.ts'
import type { AuditEntry, Store } from '../store/store.ts'
import type { NewEvent } from './events.ts'

const CHANGE_BYTES_MAX = 65_536

/** What a revision may be of. */
export type Audited = Change | ClockLine

type Insistence = Pick<ChangeOptions, 'force' | 'prune'>

/** The change as data for the audit; `services` are the names of those that really changed. Bounded to 64 KiB. */
export function auditOf(change: Audited, services: readonly string[], options: Insistence = {}): AuditEntry['change'] {
  return { ...gistOf(change, services), ...insistenceOf(change, options) }
}

function gistOf(change: Audited, services: readonly string[]): AuditEntry['change'] {
  if (change.kind === 'restore') return { kind: change.kind, from: change.from, services }
  if (change.kind === 'file') return { kind: change.kind, services }
  // Some may be of several services; that of one is found by its name like every other change.
  if (isOfSeveral(change) && services.length === 1) return { ...change, service: services[0] }
  if (JSON.stringify(change).length <= CHANGE_BYTES_MAX) return change
  return { kind: change.kind, ...('service' in change ? { service: change.service } : {}), shortened: true }
}

const isOfSeveral = ({ kind }: Audited): boolean => kind === 'switch' || kind === 'hold' || kind === 'release'

/** What somebody has insisted on; a rollout that goes back and a file at the start always do, which says nothing. */
function insistenceOf(change: Audited, { force, prune }: Insistence): { force?: true; prune?: true } {
  if (change.kind === 'shift' || (change.kind === 'file' && change.atStart === true)) return {}
  return { ...(force === true && { force }), ...(prune === true && { prune }) }
}

/** Whether the line is the last one already: the commit that was reported as failed had happened after all. */
export async function isWritten(store: Pick<Store, 'revisions'>, line: RolloutLine): Promise<boolean> {
  const [last] = await store.revisions(1)
  return last !== undefined && equalJson(last.change, line)
}

/** The event of a change that was made of these services. */
export function eventOf(
  change: Audited,
  services: readonly string[],
  options: ChangeOptions,
  made: Pick<ChangeResult, 'revision' | 'epoch' | 'appliedInMs'>,
): NewEvent {
  const { actor } = options
  const { revision, epoch, appliedInMs } = made
  const forced = insistenceOf(change, options).force === true ? ', forced' : ''
  return {
    type: 'change',
    service: services.length === 1 ? services[0] : null,
    message: `${wordsOf(change, services)} by ${actor}${forced}`,
    data: { revision, epoch, actor, kind: change.kind, services, appliedInMs },
  }
}

/** The event of what another process has changed, whatever it was. */
export const takenOver = ({ revision, epoch }: Pick<Snapshot, 'revision' | 'epoch'>): NewEvent => ({
  type: 'change',
  service: null,
  message: `revision ${revision} of another process was taken over from the store`,
  data: { revision, epoch, kind: 'reload' },
})

function wordsOf(change: Audited, services: readonly string[]): string {
  switch (change.kind) {
    case 'service.put':
      return `service ${change.service} set`
    case 'service.patch':
      return `service ${change.service} changed`
    case 'service.delete':
      return `service ${change.service} removed`
    case 'split':
      return `${change.service} split ${listed(change.weights, '=')}`
    case 'shift':
      return `${change.service} shifted to ${listed(change.weights, '=')}`
    case 'rollout':
      return `rollout ${change.rollout} of ${change.service} is ${change.state}`
    case 'switch':
      return `switched ${listed(change.to, ' to ')}${change.hook === undefined ? '' : `, after hook ${change.hook}`}`
    case 'hold':
      return `${change.services.join(', ')} held for ${change.hold.forMs / 1000} s${change.hold.only === 'writes' ? ', writes only,' : ''}${change.to === undefined ? '' : ` to switch ${listed(change.to, ' to ')}`}`
    case 'release':
      return `${change.services.join(', ')} released${change.why === undefined ? '' : `, since ${change.why},`}`
    case 'maintenance':
      return `maintenance of ${change.service} ${change.on ? 'on' : 'off'}`
    case 'back':
      return `${change.service} back to the split before`
    case 'rules':
      return `${change.rules.length} rules of ${change.service} set`
    case 'pool.put':
      return `pool ${change.pool} of ${change.service} set`
    case 'pool.delete':
      return `pool ${change.pool} of ${change.service} removed`
    case 'pool.state':
      return `pool ${change.pool} of ${change.service} set to ${change.state}`
    case 'target.state':
      return `${change.target} in pool ${change.pool} of ${change.service} set to ${change.state}`
    case 'restore':
      return `revision ${change.from} restored`
    case 'clock':
      return `deadlines of ${services.join(', ')} stored anew, since the clock was set by ${change.movedMs / 1000} s,`
    case 'file':
      return `config file applied (${services.join(', ')})`
  }
}

function listed(record: Readonly<Record<string, unknown>>, sign: string): string {
  return Object.entries(record)
    .map(([name, value]) => `${name}${sign}${value}`)
    .join(', ')
}
