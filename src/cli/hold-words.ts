/** A hold in words, for `status`. */
import { countsByWhy, number, secondsLeft } from './columns.ts'

/** The hold of a service (admin/holds.ts). */
export interface HoldView {
  readonly only: string
  readonly untilMs: number
  readonly ofSwitch: boolean
}

/** What is held of it, and was. */
export interface HeldView {
  readonly waiting: number
  readonly longestMs: number
  readonly released: number
  readonly meanMs: number | null
  readonly shed: Readonly<Record<string, number>>
}

/** Of a service that is held, or was. */
export function holdLine(
  { hold, held }: { readonly hold?: HoldView | null; readonly held?: HeldView },
  nowMs: number,
): string[] {
  if (held === undefined) return []
  const what = hold?.only === 'writes' ? 'writes are held' : 'held'
  const state = hold
    ? [`${what} for ${secondsLeft(hold.untilMs, nowMs)} more${hold.ofSwitch ? ', by a switch' : ''}`]
    : []
  const wait = held.waiting === 0 ? [] : [`${held.waiting} wait, the first for ${number(held.longestMs / 1_000)} s`]
  const went = held.meanMs === null ? [] : [`${held.released} had waited ${number(held.meanMs)} ms on average`]
  const shed = countsByWhy(held.shed)
  const none = shed === '' ? [] : [`refused: ${shed}`]
  const words = [...state, ...wait, ...went, ...none]
  return words.length === 0 ? [] : [`hold: ${words.join('; ')}`]
}
