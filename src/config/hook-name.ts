import type { HookSpec } from './schema-gates.ts'

/** Where a hook is, for people: without its query and whatever name and password stand in its URL, and without the arguments of a command. */
export function nameOf({ url, command }: Partial<Pick<HookSpec, 'url' | 'command'>>): string {
  if (url === undefined) return command?.[0] ?? ''
  const { origin, pathname } = new URL(url)
  return origin + pathname
}
