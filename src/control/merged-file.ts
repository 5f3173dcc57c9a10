/**
 * What comes of a config file: the merge of what it said last, what runs, and what it says now (config/merge.ts). Pure. What it
 * says is the base of the next one from then on, and part of the content, so it is written with the change that comes of it.
 *
 * Where several instances share a store, the names of the last files are kept with it: an instance that starts with a copy that others have
 * gone on from takes nothing back. Only a start is held back so: whoever applies a file means it.
 */
import type { Change } from '../change.ts'
import { mergeFile, overFile } from '../config/merge.ts'
import { equalJson, own } from '../config/record.ts'
import type { Services } from '../config/schema.ts'
import { refusedAt } from './fault-place.ts'
import { holdOfSwitch } from './holding.ts'
import type { Base, Content } from './reconcile.ts'

type FileChange = Extract<Change, { kind: 'file' }>

/** Files whose names are kept; one that is older counts as new. */
export const FILES_KEPT = 64

/** Whether another file was applied since this one was last. */
export const isEarlier = ({ files }: Pick<Base, 'files'>, name: string | undefined): boolean =>
  name !== undefined && files.includes(name) && files.at(-1) !== name

/** The content after a file; `replace` gives the content with other services. Throws `invalid` when it does not hold together. */
export function withMergedFile(
  content: Content,
  change: FileChange,
  nowMs: number,
  replace: (services: Services) => Content,
): Content {
  const { services: said, wins = false, prune = false, atStart = false, name, unlessEarlier = false } = change
  const { base } = content
  if (unlessEarlier && isEarlier(base, name)) return content
  // Kept by name only: what else the file says of them is nothing new.
  const services = atStart ? { ...base.services, ...besidesTaken(content, said, nowMs) } : said
  const before = base.services && knownOf(content, base.services, services)
  const merged = wins
    ? overFile(before, content.services, services, prune)
    : mergeFile(before, content.services, services)
  if (merged.faults.length > 0) throw refusedAt(change, merged.faults)
  const next = replace(merged.services)
  const isSame = before !== null && equalJson(base.services, services)
  if (isSame && (name === undefined || base.files.at(-1) === name)) return next
  return { ...next, base: { services, lost: [], files: name === undefined ? base.files : withName(base.files, name) } }
}

const withName = (files: Base['files'], name: string): Base['files'] =>
  [...files.filter((its) => its !== name), name].slice(-FILES_KEPT)

/** Services that no rollout or switch under a hold has set apart: what the file says of the others waits, where nobody is there to be refused. */
function besidesTaken({ intents }: Content, said: Services, nowMs: number): Services {
  const isFree = ([name]: [string, unknown]) => {
    const intent = own(intents, name)
    return intent === undefined || (intent.trial === undefined && holdOfSwitch(intent, nowMs) === null)
  }
  return Object.fromEntries(Object.entries(said).filter(isFree))
}

/**
 * What the file said last, as far as it counts: of a lost one it is not known any more, and counts as what it says now; of one
 * that is left out it counts as nothing, so that it comes back by the file.
 */
function knownOf({ services: live, leftOut, base }: Content, before: Services, said: Services): Services {
  const known = Object.entries(before).filter(([name]) => !leftOut.includes(name))
  const same = base.lost.filter((name) => Object.hasOwn(said, name) && Object.hasOwn(live, name))
  return Object.fromEntries([...known, ...same.map((name) => [name, said[name]] as const)])
}
