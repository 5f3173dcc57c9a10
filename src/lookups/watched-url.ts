/**
 * What is fetched from a URL at the start and once a minute, beside the traffic: nobody waits for it, and nothing that fails ends
 * anything. What was there before stays in use, and the fault is told once. An answer is bounded in time and bytes; redirects are not
 * followed.
 */
import type { LookupFunction } from 'node:net'
import type { Agent } from 'undici'
import type { Clock } from '../clock.ts'
import { FileFault, type Watched, type WatchedOptions } from './watched-file.ts'

/** Between two fetches, while they are answered, and while they are not. */
const FETCH_MS = 60_000
const AGAIN_MS = 2_000
const WITHIN_MS = 10_000

interface WatchedUrlOptions extends WatchedOptions {
  readonly clock: Pick<Clock, 'after' | 'nowMs'>
  /** Where its host is. */
  readonly find: LookupFunction
}

export class WatchedUrl implements Watched {
  fault: string | null = 'was not fetched yet'
  readAtMs = 0
  readonly #options: WatchedUrlOptions
  #last: Buffer | null = null
  #isClosed = false
  #cancel = () => {}
  #agent: Agent | null = null

  constructor(options: WatchedUrlOptions) {
    this.#options = options
  }

  async open(): Promise<void> {
    void this.#fetch()
  }

  close(): void {
    this.#isClosed = true
    this.#cancel()
    void this.#agent?.destroy()
  }

  async #fetch(): Promise<void> {
    const before = this.fault
    const isFirst = this.readAtMs === 0
    let isNew = false
    try {
      isNew = await this.#read()
      this.fault = null
    } catch (error) {
      this.fault = error instanceof FileFault ? error.message : 'cannot be fetched'
    }
    if (this.#isClosed) return
    const isTold = this.fault !== null ? this.fault !== before : !isFirst && (isNew || before !== null)
    if (isTold) this.#options.tell(this.fault)
    this.#cancel = this.#options.clock.after(this.fault === null ? FETCH_MS : AGAIN_MS, () => void this.#fetch())
  }

  /** Whether it is another than before. */
  async #read(): Promise<boolean> {
    const { path, bytesMax, clock, find, take } = this.#options
    // Loaded only where there is a URL. The fetch of Node cannot be told how to look up a host.
    const { Agent, fetch } = await import('undici')
    this.#agent ??= new Agent({ connect: { lookup: find } })
    const signal = AbortSignal.timeout(WITHIN_MS)
    const response = await fetch(path, { redirect: 'manual', signal, dispatcher: this.#agent })
    if (response.status !== 200) {
      // Else its connection would stay until it is collected, and it is asked again in a moment.
      await response.body?.cancel()
      throw new FileFault(`answered ${response.status}`)
    }
    const pieces: Uint8Array[] = []
    let size = 0
    for await (const piece of response.body ?? []) {
      size += piece.length
      if (size > bytesMax) throw new FileFault(`has more than ${bytesMax} bytes`)
      pieces.push(piece)
    }
    const answer = Buffer.concat(pieces)
    const isNew = this.#last?.equals(answer) !== true
    if (isNew) {
      const bytes = new Uint8Array(new SharedArrayBuffer(size))
      bytes.set(answer)
      await take(bytes)
    }
    this.#last = answer
    this.readAtMs = clock.nowMs()
    return isNew
  }
}
