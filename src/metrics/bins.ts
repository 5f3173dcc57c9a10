/** The bins of the histograms in shared memory, of durations in ms. Pure. */

/** Histogram bins: log-linear, four to each power of two, from 2^-4 ms (62.5 µs) to 2^17 ms (131 s); the last is above. */
export const BINS_PER_OCTAVE = 4
export const OCTAVE_FIRST = -4
export const OCTAVES = 21
export const BINS = OCTAVES * BINS_PER_OCTAVE + 2

/** Index of the histogram bin of a duration. Bin 0 holds everything below 62.5 µs. */
export function binOf(ms: number): number {
  if (!(ms >= 0.0625)) return 0
  if (ms >= 131_072) return BINS - 1
  // In units of 2^-6 ms, four to the first octave, the position of the highest bit is the octave and the next two bits are the
  // place within it; so no logarithm is taken for a request.
  const units = Math.floor(ms * 64)
  const octave = 31 - Math.clz32(units) - 2
  return octave * BINS_PER_OCTAVE + ((units >>> octave) & 3) + 1
}

/** Upper bound in ms of a histogram bin; Infinity for the last. */
export function binEndMs(index: number): number {
  if (index >= BINS - 1) return Infinity
  if (index === 0) return 2 ** OCTAVE_FIRST
  const octave = Math.floor((index - 1) / BINS_PER_OCTAVE) + OCTAVE_FIRST
  return 2 ** octave * (1 + (((index - 1) % BINS_PER_OCTAVE) + 1) / BINS_PER_OCTAVE)
}
