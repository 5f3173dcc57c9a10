/** Numbers for people. */

// To make one costs more than to use it a hundred times; and the first one of a process loads tables, which a start need not wait for.
let format: Intl.NumberFormat | null = null

/** `12,345`, and at most three digits after the point. */
export function inDigits(value: number): string {
  format ??= new Intl.NumberFormat('en')
  return format.format(value)
}
