/**
 * Standard output and error of a command: whoever reads them may go away, be slow, or have no room, and none of that is a crash.
 *
 * A reader of standard output that has gone (`| head`) has what it wanted: the rest is not written, verbs that go on end, and the
 * exit code stays what it is. Anything else that keeps the output from being written is a failure, told on standard error.
 */

import { unwrittenInWords } from './unread.ts'

/** The streams as a command writes to them. */
export interface StandardStreams {
  readonly stdout: NodeJS.WriteStream
  readonly stderr: NodeJS.WriteStream
  /** Aborts when standard output takes nothing any more. */
  readonly gone: AbortSignal
  /** Resolves when all that was written is out, however slow the reader is, with the exit code that comes of it. */
  finish(code: number): Promise<number>
}

/** The streams of this process; to be called once, before anything is written. */
export function openStandardStreams(): StandardStreams {
  const { stdout, stderr } = process
  const gone = new AbortController()
  stdout.on('error', () => gone.abort())
  // There is nowhere left to tell it.
  stderr.on('error', () => {})
  return {
    stdout,
    stderr,
    gone: gone.signal,
    async finish(code) {
      await written(stdout)
      const fault: NodeJS.ErrnoException | null = stdout.errored
      const isFault = fault !== null && fault.code !== 'EPIPE'
      if (isFault) stderr.write(`turnout: standard output cannot be written: ${unwrittenInWords(fault)}\n`)
      await written(stderr)
      return isFault && code === 0 ? 1 : code
    },
  }
}

/** Resolves when a stream has nothing left to write, or will write nothing more. */
function written(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed || stream.errored !== null || stream.writableLength === 0) return resolve()
    stream.once('close', resolve)
    stream.write('', () => resolve())
  })
}
