/**
 * Changes as events: what was done by whom, at which revision, and where the traffic of a service went before and goes now.
 */
import type { ChangeOptions, ChangeResult, Snapshot } from '../change.ts'
import { equalJson, own } from '../config/record.ts'
import type { Weights } from '../config/schema.ts'
import { type Audited, insistenceOf } from './audit.ts'
import type { NewEvent } from './events.ts'
import { listed, type Moved, whatChanged } from './what-changed.ts'

/** Splits that an event tells of. */
const SPLITS_MAX = 10

/** The event of what another process has changed, whatever it was. */
export const takenOver = ({ revision, epoch }: Pick<Snapshot, 'revision' | 'epoch'>): NewEvent => ({
  type: 'change',
  service: null,
  message: `revision ${revision} of another process was taken over from the store`,
  data: { revision, epoch, kind: 'reload' },
})

/** The event of a change that was made of these services. */
export function eventOf(change: Audited, options: ChangeOptions, made: Made): NewEvent {
  const { actor } = options
  const { revision, epoch, appliedInMs, names: services } = made
  const what = whatChanged(change, made)
  const forced = insistenceOf(change, options).force === true ? ', forced' : ''
  const splits = splitsOf(made)
  const moved = Object.entries(splits).map(([name, { before, after }]) => {
    return `; split of ${name}: ${listed(before)} -> ${listed(after)}`
  })
  return {
    type: 'change',
    service: services.length === 1 ? services[0] : null,
    message: `${wordsOf(change, services)}${what === '' ? '' : ` (${what})`} by ${actor}${askedInWords(change)}${forced}${moved.join('')}`,
    data: {
      ...{ revision, epoch, actor, kind: change.kind, services, appliedInMs },
      ...(change.kind === 'shift' && { askedBy: change.askedBy }),
      ...(moved.length > 0 && { splits }),
    },
  }
}

/** A rollout makes it, and somebody may have asked for that. */
const askedInWords = (change: Audited): string =>
  change.kind === 'shift' && change.askedBy !== undefined ? `, asked for by ${change.askedBy}` : ''

/** What has come of a change. */
interface Made extends Moved, Pick<ChangeResult, 'revision' | 'epoch' | 'appliedInMs'> {}

/** Where the traffic of those services went that go on elsewhere now, and where it goes: of the first few. */
function splitsOf(made: Made): Record<string, { before: Weights; after: Weights }> {
  const found: [string, { before: Weights; after: Weights }][] = []
  for (const name of made.names) {
    if (found.length === SPLITS_MAX) break
    const before = own(made.before.services, name)?.split
    const after = own(made.after.services, name)?.split
    if (before !== undefined && after !== undefined && !equalJson(before, after)) found.push([name, { before, after }])
  }
  return Object.fromEntries(found)
}

function wordsOf(change: Audited, services: readonly string[]): string {
  switch (change.kind) {
    case 'service.put':
      return `service ${change.service} set`
    case 'service.patch':
      return `service ${change.service} changed`
    case 'service.delete':
      return `service ${change.service} removed`
    case 'split':
      return `${change.service} split ${listed(change.weights)}`
    case 'shift':
      return `${change.service} shifted to ${listed(change.weights)}`
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
      return `config file applied${services.length === 0 ? ', which changes nothing,' : ''}`
  }
}
