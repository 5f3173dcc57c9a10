import { resolve } from 'node:path'

/** The setting of the store, with its path from the folder of the state on. */
export function storeUrl(
  url: string,
  folders: { readonly directory?: string; readonly stateDirectory?: string },
): string {
  if (!url.startsWith('sqlite:')) return url
  return 'sqlite:' + resolve(folders.stateDirectory ?? folders.directory ?? process.cwd(), url.slice('sqlite:'.length))
}
