/** The metrics of copied requests, by the target that gets them; a target that was never sent one has none. */
import type { Family } from './family.ts'
import { FIELD } from './layout.ts'
import { familiesOf } from './per-target.ts'

const { perTarget, perTargetAnd } = familiesOf(({ moved }) => moved.filter(({ tally }) => tally[FIELD.mirrors] > 0))

/** In the order of the exposition. */
export const MIRROR_FAMILIES: readonly Family[] = [
  perTarget(
    'turnout_mirrors_total',
    'counter',
    'Copies of requests (mirror) that were sent to the target.',
    FIELD.mirrors,
  ),
  perTarget('turnout_mirrors_failed_total', 'counter', 'Copies that got no whole answer in time.', FIELD.mirrorsFailed),
  perTarget(
    'turnout_mirrors_compared_total',
    'counter',
    'Copies whose answer was compared with the one that the client was given.',
    FIELD.mirrorsCompared,
  ),
  perTargetAnd(
    'turnout_mirrors_differing_total',
    'Copies that were answered by another status, by another body, or slower (twice as long, and 10 ms more).',
    'by',
    { status: FIELD.mirrorsOtherStatus, body: FIELD.mirrorsOtherBody, slower: FIELD.mirrorsSlower },
  ),
  perTargetAnd(
    'turnout_mirrors_ttfb_seconds_total',
    'From the request to the head of the answer, summed over those that were compared: of the copy, and of the answer of the client.',
    'of',
    { copy: FIELD.mirrorsSumMs, client: FIELD.mirroredSumMs },
    0.001,
  ),
]
