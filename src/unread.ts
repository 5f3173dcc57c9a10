/** Why a file cannot be read or written, for people: the codes of the system, which tell it to nobody else. */
const WORDS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of its path is no folder',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'its disk is read-only',
  ELOOP: 'its links lead nowhere',
  ENAMETOOLONG: 'its path is too long',
  EIO: 'the disk has an error',
  EPIPE: 'its reader has gone',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the quota of the disk is used up',
  EFBIG: 'it would be larger than a file may be (ulimit -f)',
  EMFILE: 'this process has as many files open as it may (ulimit -n, LimitNOFILE)',
  ENFILE: 'the system has as many files open as it may (fs.file-max)',
}

/** What kept a file from being read; of an error that is not known, its own message. */
export function unreadInWords(error: unknown): string {
  const { code, message } = error as { readonly code?: string; readonly message?: string }
  return WORDS[code ?? ''] ?? message ?? String(error)
}

/** What kept a file from being written: where there is none, one would be made in a folder that is there. */
export function unwrittenInWords(error: unknown): string {
  return (error as { readonly code?: string }).code === 'ENOENT' ? 'there is no such folder' : unreadInWords(error)
}
