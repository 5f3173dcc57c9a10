/**
 * Starts the process that replaces this one: the same command again, by the files that are there now, with our sockets as descriptors.
 *
 * The list of descriptors that a child is given makes a duplicate of each, so both processes have every socket, and one that ends takes none
 * along. Standard output and error are the same. What the new process gets beside: a channel for messages, the pipe to the process that
 * others take for ours, where there is one (lifeline.ts), and one to each that is not over, this one among them (earlier.ts).
 */
import { type ChildProcess, spawn } from 'node:child_process'
import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { unreadInWords } from '../unread.ts'
import { lineOf } from './earlier.ts'
import {
  type EarlierProcess,
  type Identity,
  OFFER_VARIABLE,
  type OfferedListener,
  SOCKET_VARIABLES,
  sealed,
} from './messages.ts'
import type { Present, Successor, SuccessorNews } from './sides.ts'

/** Descriptors of a child: the standard ones, the channel, the lifeline, then the sockets, and pipes to those that are not over. */
const LIFELINE = 4
const FIRST_SOCKET = 5

/** What service managers tell their own child only. */
const NOT_INHERITED = [...SOCKET_VARIABLES, 'NODE_CHANNEL_FD'] as const

export interface StartOptions {
  readonly self: Identity
  /** Our own end of the pipe to the first process; null when we are that, or there is none. */
  readonly lifeline: number | null
  /** Where there is none: whether this process stays as the first one. */
  readonly stays: boolean
  /** Those before this one that are not over. */
  readonly earlier: readonly EarlierProcess[]
  readonly news: SuccessorNews
}

/** The process that was started, with our end of the pipe where this process is the first one. */
export interface Started extends Successor {
  readonly pipe: Readable | null
}

/** Starts it; it is told of what becomes of it later. Throws when it cannot be started. */
export function startSuccessor(offer: ReturnType<Present['offer']>, options: StartOptions): Started {
  const { self, lifeline, stays, earlier, news } = options
  const sockets: number[] = []
  const passed = ({ descriptors, ...listener }: OfferedListener): OfferedListener => ({
    ...listener,
    descriptors: descriptors.map((descriptor) => FIRST_SOCKET + sockets.push(descriptor) - 1),
  })
  const hasLifeline = lifeline !== null || stays
  const [listeners, admin] = [offer.listeners.map(passed), passed(offer.admin)]
  const firstEarlier = FIRST_SOCKET + sockets.length
  const sent = sealed({
    ...offer,
    listeners,
    admin,
    from: self,
    lifeline: hasLifeline ? LIFELINE : null,
    earlier: [...earlier, self].map(({ pid, version }, at) => ({ pid, version, descriptor: firstEarlier + at })),
  })
  const env: Record<string, string | undefined> = { ...process.env, [OFFER_VARIABLE]: JSON.stringify(sent) }
  for (const name of NOT_INHERITED) delete env[name]
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    stdio: [
      ...(['inherit', 'inherit', 'inherit', 'ipc', lifeline ?? (stays ? 'pipe' : 'ignore')] as const),
      ...sockets,
      ...earlier.map(({ descriptor }) => descriptor),
      'pipe',
    ],
    env,
  })
  // There are none where the system has no descriptor left; that is told as an error.
  const pipes = (child.stdio as ChildProcess['stdio'] | undefined) ?? []
  const ownEnd = (pipes[firstEarlier + earlier.length] ?? null) as Socket | null
  // Nobody writes to it.
  ownEnd
    ?.on('error', () => {})
    .resume()
    .unref()
  follow(child, news)
  let unread = 0
  const gone = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  })
  return {
    pid: child.pid ?? 0,
    pipe: lifeline === null && stays ? ((pipes[LIFELINE] as Readable | null | undefined) ?? null) : null,
    get isBehind() {
      return unread > 0 || (ownEnd?.writableLength ?? 0) > 0
    },
    send(message) {
      // One that has just ended is told of as such, and those after it hear of the rest.
      if (!child.connected && (message.type === 'letGo' || message.type === 'drained')) ownEnd?.write(lineOf(message))
      if (message.type === 'drained') ownEnd?.end()
      if (!child.connected) return
      unread++
      child.send(sealed(message), () => unread--)
    },
    async kill() {
      child.kill('SIGKILL')
      await gone
    },
  }
}

function follow(child: ChildProcess, news: SuccessorNews): void {
  let how = ''
  // What it said last arrives before the channel ends, which may be after its exit.
  const tell = () => {
    if (how !== '' && !child.connected) news.gone(how)
  }
  child.on('message', news.message)
  child.once('error', (error) => news.gone(`cannot be started: ${unreadInWords(error)}`))
  child.once('disconnect', tell)
  child.once('exit', (code, signal) => {
    how = signal === null ? `has ended with exit code ${code}; its log says why` : `was ended by ${signal}`
    tell()
  })
}
