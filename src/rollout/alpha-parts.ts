/**
 * How α is parted between the verdict that is pooled over all instances and those that each has by itself. Pure.
 *
 * Whatever finds a failure first counts, so the chances add up (union bound). Nine tenths are of the pooled one, which so
 * needs hardly more answers. Those alone are for a release that fails altogether, where a thousandth part costs an answer or two: of the last tenth whoever has
 * the seat k gets 1/k − 1/(k+1), which never is more than all of it, however many come, go and start anew in one rollout.
 */

/** The part of all who judge alone, together. */
const ALONE = 0.1

/** What of α the pooled verdict has. */
export const alphaPooled = (alpha: number): number => alpha * (1 - ALONE)

/** What of α the instance with this seat, counted from 1, has for itself. */
export const alphaAlone = (alpha: number, seat: number): number => (ALONE * alpha) / (seat * (seat + 1))
