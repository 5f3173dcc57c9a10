/**
 * What is broken off at the end of a process, by service: for an event that is read after the restart. Pure.
 *
 * A worker counts while it ends what has not ended by itself, and says so with its last message; the main thread adds them up and puts
 * it in words. A request that waited, by a hold or for room, is answered 503, so it is told apart from those that got no answer, or half of one.
 */

/** What of one service was broken off. */
export interface CutOfService {
  /** Requests without an answer, or with half of one. */
  readonly requests: number
  readonly tunnels: number
  /** Requests that waited, by a hold or for room, and were refused. */
  readonly refused: number
}

/** By service; '' where none was chosen yet. */
export type Cuts = ReadonlyMap<string, CutOfService>

/** What of a service was broken off, by what it is. */
export type CutKind = keyof CutOfService

/** Services that are told with their numbers; all are named. */
const TOLD_MAX = 20

const NONE: CutOfService = Object.freeze({ requests: 0, tunnels: 0, refused: 0 })

const sum = (a: CutOfService, b: CutOfService): CutOfService => ({
  requests: a.requests + b.requests,
  tunnels: a.tunnels + b.tunnels,
  refused: a.refused + b.refused,
})

const sizeOf = ({ requests, tunnels, refused }: CutOfService): number => requests + tunnels + refused

/** Counts in one worker, or adds up what workers have counted. */
export class CutCount {
  readonly byService = new Map<string, CutOfService>()

  add(service: string, kind: CutKind): void {
    this.#add(service, { ...NONE, [kind]: 1 })
  }

  addAll(cuts: Cuts): void {
    for (const [service, cut] of cuts) this.#add(service, cut)
  }

  #add(service: string, cut: CutOfService): void {
    this.byService.set(service, sum(this.byService.get(service) ?? NONE, cut))
  }
}

/** The end of a process. */
export interface End {
  readonly cuts: Cuts
  /** Workers that did not say what they had under way. */
  readonly silent: number
  /** How long what was under way had. */
  readonly limitMs: number
}

const counted = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`

function inWords({ requests, tunnels, refused }: CutOfService): string {
  const parts = []
  if (requests > 0) parts.push(`${counted(requests, 'request')} cut`)
  if (tunnels > 0) parts.push(`${counted(tunnels, 'tunnel')} cut`)
  if (refused > 0) parts.push(`${counted(refused, 'waiting request')} refused`)
  return parts.join(', ')
}

/** The event of that: in words, and as data. */
export function endEvent({ cuts, silent, limitMs }: End): { message: string; data: Record<string, unknown> } {
  const all = [...cuts].toSorted(([, a], [, b]) => sizeOf(b) - sizeOf(a))
  const total = all.reduce((so, [, cut]) => sum(so, cut), NONE)
  const services = all.map(([name]) => name).filter((name) => name !== '')
  const told = Object.fromEntries(all.slice(0, TOLD_MAX).filter(([name]) => name !== ''))
  const which = services.length === 0 ? '' : ` (${services.slice(0, 3).join(', ')}${services.length > 3 ? ' …' : ''})`
  const what =
    sizeOf(total) > 0
      ? `${inWords(total)}${which}: not over within ${limitMs / 1_000} s (timeouts.shutdown)`
      : 'nothing was cut'
  const but =
    silent > 0 ? `; ${counted(silent, 'worker')} did not say what ${silent === 1 ? 'it' : 'they'} had under way` : ''
  return { message: `${what}${but}`, data: { ...total, silent, services, byService: told } }
}
