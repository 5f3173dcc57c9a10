/** What every check before a rollout is, and what it finds. */
import type { About, Means } from './gate.ts'

/** What a check has found, as a sentence with its numbers. */
export interface Found {
  readonly state: 'ok' | 'failed' | 'skipped'
  readonly sentence: string
  /** May become well by waiting. */
  readonly mayHeal?: boolean
}

export interface Check {
  readonly name: string
  /** What it asks, as a sentence. */
  readonly asks: string
  /** Says nothing while this one fails. */
  readonly after?: string
  run(about: About, means: Means, signal: AbortSignal): Found | Promise<Found>
}

export const ok = (sentence: string): Found => ({ state: 'ok', sentence })
export const failed = (sentence: string): Found => ({ state: 'failed', sentence })
export const skipped = (sentence: string): Found => ({ state: 'skipped', sentence })
/** Failed now; waiting may mend it. */
export const ill = (sentence: string): Found => ({ state: 'failed', sentence, mayHeal: true })
