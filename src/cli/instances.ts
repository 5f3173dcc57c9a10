/** The instances that serve by one store, in words. */
import { inWords } from '../config/duration.ts'
import { plain } from './columns.ts'
import { wrapped } from './redraw.ts'

/** What the API tells of one. */
export interface InstanceView {
  readonly name: string
  readonly revision: number
  /** The one that answers. */
  readonly isSelf: boolean
  /** Rollouts are driven there; absent in what an older Turnout tells. */
  readonly leads?: boolean
  /** Of the clock of the store. Absent as above. */
  readonly clockAheadMs?: number
}

const clockOf = ({ clockAheadMs: ms = 0 }: InstanceView): string | false =>
  ms !== 0 && `its clock is ${inWords(Math.round(Math.abs(ms) / 1_000) * 1_000)} ${ms > 0 ? 'ahead' : 'behind'}`

/** Who serves by the same store, and who does not route by what this one does, with an empty line after it; nothing where there is no other. */
export function instanceLines(
  { revision, instances = [] }: { readonly revision: number; readonly instances?: readonly InstanceView[] },
  width: number,
): string {
  if (instances.length < 2) return ''
  const each = instances.map((it) => {
    const other = it.revision === revision ? '' : ` at revision ${it.revision}`
    const what = [it.isSelf && 'this one', it.leads === true && 'leads', clockOf(it)].filter((is) => is !== false)
    return `${it.name}${what.length === 0 ? '' : ` (${what.join(', ')})`}${other}`
  })
  const text = `${instances.length} instances at revision ${revision}: ${each.join(', ')}`
  return `${wrapped(plain(text), width).join('\n')}\n\n`
}

/** What the API tells of the store; an older Turnout does not. */
export interface StoreView {
  /** null where there is none. */
  readonly snapshot?: { readonly serves: boolean; readonly keptAtMs: number; readonly revision: number } | null
  readonly storeFault?: string | null
}

/** What hinders changes, with an empty line after it; nothing where nothing does. */
export function storeLines({ snapshot = null, storeFault = null }: StoreView, width: number): string {
  if (snapshot?.serves)
    return `The store is away: served by the local snapshot of revision ${snapshot.revision}, written at ${new Date(snapshot.keptAtMs).toISOString()}; nothing can be changed.\n\n`
  if (storeFault === null) return ''
  return `${wrapped(plain(`Nothing can be changed: ${storeFault}`), width).join('\n')}\n\n`
}
