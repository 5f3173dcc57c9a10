/** The first few of many, for people: `a, b and 3 more`. */
export const firstFew = (words: readonly string[], max: number): string =>
  words.slice(0, max).join(', ') + (words.length > max ? ` and ${words.length - max} more` : '')
