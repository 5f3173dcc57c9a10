/**
 * A raw keep-alive client that checks every answer: one request at a time on one connection, timed by the caller.
 *
 * wrk and autocannon count requests; here it matters which request got which answer. A connection that breaks while an
 * answer is owed is a failed request; one that was announced to close (`Connection: close`) or breaks between requests is
 * opened again without a word; where nobody listens, after a moment.
 */
import { connect, type Socket } from 'node:net'

export interface ClientAnswer {
  readonly status: number
  readonly body: string
}

export interface ClientEvents {
  /** The connection is open, or free again: the place to call `send`. */
  ready(client: Client): void
  answer(client: Client, answer: ClientAnswer): void
  /** The answer that was owed will not come. */
  failed(client: Client, reason: string): void
}

/** Pause before the next try to connect, where nobody listens. */
const RETRY_MS = 20

export class Client {
  private socket: Socket
  private owed = false
  private closing = false
  private ended = false
  private pending = ''
  private readonly port: number
  private readonly request: string
  private readonly events: ClientEvents

  constructor(port: number, path: string, events: ClientEvents) {
    this.port = port
    this.request = `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`
    this.events = events
    this.socket = this.open()
  }

  /** Sends the request, with these further header lines. Only when ready. */
  send(lines = ''): void {
    this.owed = true
    this.socket.write(lines === '' ? this.request : `${this.request.slice(0, -2)}${lines}\r\n`, 'latin1')
  }

  end(): void {
    this.ended = true
    this.socket.destroy()
  }

  private open(): Socket {
    const socket = connect({ port: this.port, host: '127.0.0.1', noDelay: true })
    this.pending = ''
    this.closing = false
    socket.setEncoding('latin1')
    let wasOpen = false
    socket.on('connect', () => {
      wasOpen = true
      this.events.ready(this)
    })
    socket.on('data', (text: string) => this.read(text))
    socket.on('error', (error: Error) => this.fail(error.message))
    socket.on('close', () => {
      this.fail('closed before the answer')
      if (this.ended) return
      if (wasOpen) this.socket = this.open()
      else setTimeout(() => this.reopen(), RETRY_MS)
    })
    return socket
  }

  private reopen(): void {
    if (!this.ended) this.socket = this.open()
  }

  private fail(reason: string): void {
    if (!this.owed || this.ended) return
    this.owed = false
    this.events.failed(this, reason)
  }

  private read(text: string): void {
    this.pending += text
    const headEnd = this.pending.indexOf('\r\n\r\n')
    if (headEnd < 0) return
    const head = this.pending.slice(0, headEnd)
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0)
    if (this.pending.length < headEnd + 4 + length) return
    const body = this.pending.slice(headEnd + 4, headEnd + 4 + length)
    const surplus = this.pending.length > headEnd + 4 + length
    this.pending = ''
    this.closing = /\r\nconnection: *close/i.test(head)
    this.owed = false
    if (surplus) this.events.failed(this, 'more bytes than the answer has')
    else this.events.answer(this, { status: Number(head.slice(9, 12)), body })
    if (!this.closing && !this.ended) this.events.ready(this)
  }
}
