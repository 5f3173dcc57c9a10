/**
 * What was probably meant: the nearest of the known words by edit distance, where swapping two neighbours is one edit
 * (optimal string alignment). Case, `-` and `_` are looked through first, so `healthy_after` finds `healthyAfter`.
 * Words that differ in more than a third of their letters are no suggestion: a wrong guess is worse than none.
 */

const WORD_LENGTH_MAX = 128

const loosely = (word: string): string => word.toLowerCase().replaceAll(/[-_\s]/g, '')

/** Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`. */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1]
      let edits = Math.min(last[column] + 1, current[column - 1] + 1, last[column - 1] + (same ? 0 : 1))
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      if (swapped) edits = Math.min(edits, beforeLast[column - 2] + 1)
      current.push(edits)
    }
    beforeLast = last
    last = current
  }
  return last[b.length]
}

/** The known word nearest to `word`, or null when none is near; the first of equals wins. */
export function nearest(word: string, known: readonly string[]): string | null {
  if (word.length > WORD_LENGTH_MAX) return null
  const wanted = loosely(word)
  let best: string | null = null
  let bestEdits = Number.POSITIVE_INFINITY
  for (const candidate of known) {
    const letters = loosely(candidate)
    const longer = Math.max(wanted.length, letters.length)
    const editsMax = Math.min(longer - 1, Math.max(1, Math.floor(longer / 3)))
    if (Math.abs(wanted.length - letters.length) > editsMax) continue
    const edits = editDistance(wanted, letters)
    if (edits > editsMax || edits >= bestEdits) continue
    best = candidate
    bestEdits = edits
  }
  return best
}

/** ` (did you mean "targets"?)`, or nothing. */
export const didYouMean = (meant: string | null): string =>
  meant === null ? '' : ` (did you mean ${JSON.stringify(meant)}?)`
