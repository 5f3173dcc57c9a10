/** Lists of HTTP statuses as people write them: `200-299`, `200,204`. */

/** Ranges of statuses, both ends included. */
export type StatusRanges = readonly (readonly [from: number, to: number])[]

/** The ranges of a list that the schema has passed. */
export function statusRanges(list: string): StatusRanges {
  return list.split(',').map((range) => {
    const [from, to = from] = range.split('-').map(Number)
    return [from, to]
  })
}

/** Whether a status is in one of the ranges. */
export function isAmong(status: number, ranges: StatusRanges): boolean {
  for (const range of ranges) if (status >= range[0] && status <= range[1]) return true
  return false
}
