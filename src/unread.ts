/** Why a file cannot be read, for people: the codes of the system, which tell it to nobody else. */
const WORDS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of its path is no folder',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  ELOOP: 'its links lead nowhere',
  EIO: 'the disk does not give it',
}

/** What kept a file from being read; of an error that is not known, its own message. */
export function unreadInWords(error: unknown): string {
  const { code, message } = error as { readonly code?: string; readonly message?: string }
  return WORDS[code ?? ''] ?? message ?? String(error)
}
