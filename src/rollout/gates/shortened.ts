/** What somebody else has said, as far as it is told: reasons are kept, logged and sent to people. Pure. */

const LENGTH_MAX = 80

/** The text, or its beginning. */
export const shortened = (text: string): string =>
  text.length > LENGTH_MAX ? `${text.slice(0, LENGTH_MAX - 1)}…` : text
