/** A client that says exactly these bytes and tells exactly what came back. */
import net from 'node:net'

export interface RawAnswer {
  /** Everything received, in latin1. */
  readonly text: string
  /** How the connection ended: the proxy closed it, reset it, or the client stopped waiting. */
  readonly end: 'closed' | 'reset' | 'open'
}

export interface RawOptions {
  /** Stop when this is true of the text so far; default: when the connection ends. */
  readonly until?: (text: string) => boolean
  /** Give up after this many ms (default 20,000) and tell what there is, as `open`. */
  readonly limitMs?: number
  /** Send our FIN behind the bytes. Default false. */
  readonly end?: boolean
}

/** Sends the pieces one by one, each in a write of its own once the one before has left, and collects the answer. */
export function rawRequest(
  port: number,
  pieces: string | readonly string[],
  options: RawOptions = {},
): Promise<RawAnswer> {
  const { until = () => false, limitMs = 20_000, end = false } = options
  return new Promise((resolve) => {
    let text = ''
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
    const finish = (how: RawAnswer['end']) => {
      clearTimeout(timer)
      socket.destroy()
      resolve({ text, end: how })
    }
    const timer = setTimeout(() => finish('open'), limitMs)
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1')
      if (until(text)) finish('open')
    })
    socket.on('end', () => finish('closed'))
    socket.on('error', () => finish('reset'))
    socket.on('connect', async () => {
      for (const piece of typeof pieces === 'string' ? [pieces] : pieces) {
        if (socket.destroyed) return
        await new Promise<void>((sent) => socket.write(Buffer.from(piece, 'latin1'), () => setImmediate(sent)))
      }
      if (end && !socket.destroyed) socket.end()
    })
  })
}

/** Share of the time so far that is waited before the next look, when a look asks somebody. */
const PAUSE_SHARE = 0.2
const PAUSE_MS = 5
const PAUSE_MS_MAX = 150
/** Pauses as long as so many looks: what is dear to look at, as all the outcomes of a long load are, is not all that is done. */
const PAUSE_LOOKS = 8

/**
 * Waits until a condition holds; rejects with `what` after `limitMs` (default 60,000: a machine that does other things may take its time). It looks every few ms; a condition that
 * asks somebody, who would do little else, is looked at less often the longer it takes.
 */
export function until(what: string, holds: () => boolean | Promise<boolean>, limitMs = 60_000): Promise<void> {
  return look(what, holds, limitMs, PAUSE_MS_MAX)
}

/** As `until`, for a condition that brings about what is waited for, as one that moves a clock does: it always comes soon again. */
export function drivenUntil(what: string, holds: () => Promise<boolean>, limitMs = 60_000): Promise<void> {
  return look(what, holds, limitMs, PAUSE_MS)
}

async function look(
  what: string,
  holds: () => boolean | Promise<boolean>,
  limitMs: number,
  pauseMsMax: number,
): Promise<void> {
  const startedMs = performance.now()
  for (;;) {
    const lookedAtMs = performance.now()
    const looked = holds()
    const lookMs = performance.now() - lookedAtMs
    if (await looked) return
    const forMs = performance.now() - startedMs
    if (forMs > limitMs) throw new Error(`waited ${limitMs} ms in vain: ${what}`)
    const share = typeof looked === 'boolean' ? 0 : PAUSE_SHARE
    const pauseMs = Math.min(pauseMsMax, Math.max(PAUSE_MS, forMs * share, lookMs * PAUSE_LOOKS))
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
}
