/**
 * Where a fault stands in what was sent. The checks of the whole tell faults by pointers into the services, such as
 * `/shop/pools/blue/targets/0`; who sent one pool, one list of rules or a file looks for `/targets/0` in his own text. Pure.
 */
import type { Change } from '../change.ts'
import { child } from '../config/pointer.ts'
import { type Fault, TurnoutError } from '../errors.ts'

/** `invalid`, with every fault at its place in the body of the change; one of what was there before keeps its pointer. */
export function refusedAt(change: Change, faults: readonly Fault[]): TurnoutError {
  const [from, to] = placeOf(change)
  const placed = faults.map((fault) => {
    const isWithin = fault.pointer === from || fault.pointer.startsWith(`${from}/`)
    return isWithin ? { ...fault, pointer: to + fault.pointer.slice(from.length) } : fault
  })
  return new TurnoutError('invalid', placed[0].message, placed)
}

/** What of the services the change holds, and where that stands in its body. */
function placeOf(change: Change): readonly [from: string, to: string] {
  switch (change.kind) {
    case 'file':
      return ['', '/services']
    case 'service.put':
    case 'service.patch':
      return [child('', change.service), '']
    case 'split':
      return [child(child('', change.service), 'split'), '/weights']
    case 'rules':
      return [child(child('', change.service), 'rules'), '']
    case 'pool.put':
      return [child(child(child('', change.service), 'pools'), change.pool), '']
    default:
      return ['', '']
  }
}
