/** Numbers for people. */

// To make one costs more than to use it a hundred times.
const FORMAT = new Intl.NumberFormat('en')

/** `12,345`, and at most three digits after the point. */
export const inDigits = (value: number): string => FORMAT.format(value)
