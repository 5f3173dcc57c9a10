import type { HookSpec } from '../../config/schema-gates.ts'

/** Where a hook is, for people: without its query and whatever name and password stand in its URL. */
export function nameOf({ url }: HookSpec): string {
  const { origin, pathname } = new URL(url)
  return origin + pathname
}
