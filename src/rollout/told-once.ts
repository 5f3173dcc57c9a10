import type { Logger } from 'pino'

/** Tells what is kept of rollouts and cannot be read, of each thing once: where they run elsewhere it is read every two seconds. */
export function unreadOnce(log: Pick<Logger, 'error'>): (what: string, err: unknown) => void {
  const told = new Set<string>()
  return (what, err) => {
    const text = `${what}: ${err}`
    if (!told.has(text)) log.error({ err, what }, 'what is kept of rollouts cannot be read, and counts as lost')
    told.add(text)
  }
}
