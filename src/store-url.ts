/** Where the store is, and the local copy of one that stands elsewhere. */
import { resolve } from 'node:path'

/** Folders that relative paths start from. */
interface Folders {
  readonly directory?: string
  readonly stateDirectory?: string
}

/** Where the local copy of a store elsewhere is kept, in the folder of the state. */
const SNAPSHOT = 'turnout.snapshot'

const inState = ({ stateDirectory, directory }: Folders, path: string): string =>
  resolve(stateDirectory ?? directory ?? process.cwd(), path)

/** The setting of the store, with its path from the folder of the state on. */
export function storeUrl(url: string, folders: Folders): string {
  return url.startsWith('sqlite:') ? 'sqlite:' + inState(folders, url.slice('sqlite:'.length)) : url
}

/** The file for the local copy of the store, if that stands elsewhere. */
export const snapshotPath = (folders: Folders): string => inState(folders, SNAPSHOT)
