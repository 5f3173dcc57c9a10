/**
 * What share of bad answers would have been noticed by now.
 *
 * Wald: a test needs at least log(1/α) ÷ information answers of the canary, where the information of one is how far the truth is
 * from the nearest story in which both versions are equal: Kullback–Leibler, of the canary's answer and of those of the control beside
 * it. Ours needs a fifth more (VERDICT 1, measured), which is taken into account.
 */

/** What our test needs beyond the bound. */
const OVERHEAD = 1.2

/** Information of one answer of a canary that goes bad with `canary`, beside `ratio` answers of a control at `control`. */
export function information(canary: number, control: number, ratio: number): number {
  const common = (canary + ratio * control) / (1 + ratio)
  return divergence(canary, common) + ratio * divergence(control, common)
}

/** Smallest share that `answers` of the canary would have shown, or null when not even failing always would. */
export function wouldNotice(answers: number, control: number, share: number, alpha: number): number | null {
  if (!(answers > 0) || !(share > 0 && share < 1)) return null
  const needed = (OVERHEAD * Math.log(1 / alpha)) / answers
  const ratio = (1 - share) / share
  if (information(1, control, ratio) < needed) return null
  let low = control
  let high = 1
  for (let i = 0; i < 40; i++) {
    const middle = (low + high) / 2
    if (information(middle, control, ratio) < needed) low = middle
    else high = middle
  }
  return high
}

/** Answers of a canary that fails with `failing` until that is noticed, about. */
export function answersToNotice(failing: number, control: number, share: number, alpha: number): number {
  return Math.ceil((OVERHEAD * Math.log(1 / alpha)) / information(failing, control, (1 - share) / share))
}

/**
 * Answers of a canary that is as good as its control, at the rate `control`, until it is shown not to be worse by `margin`, about: it is
 * compared with a control of which so many good answers are taken for bad ones (VERDICT 7).
 */
export function answersToPass(control: number, margin: number, share: number, beta: number): number {
  const thinned = control + (1 - control) * margin
  return Math.ceil(Math.log(1 / beta) / information(control, thinned, (1 - share) / share))
}

function divergence(p: number, q: number): number {
  const part = (a: number, b: number) => (a === 0 ? 0 : a * Math.log(a / b))
  return part(p, q) + part(1 - p, 1 - q)
}
