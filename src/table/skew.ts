/** Version skew: a page of one version asks for what only that version has, while its visitor is sent to another. */
import { withUpperEscapes } from './path.ts'

/** A path of the config, `/assets/*` or `/favicon.ico`: whether all that begins with it is meant, and without the star. */
export interface SkewPath {
  readonly path: string
  readonly isPrefix: boolean
}

/** Whether what is under the path, without its query and as it came, may be of another version. */
export function isSkewed(skew: readonly SkewPath[], given: string): boolean {
  const path = withUpperEscapes(given)
  for (const { path: wanted, isPrefix } of skew) if (isPrefix ? path.startsWith(wanted) : path === wanted) return true
  return false
}
