/**
 * A request that was posted to `explain`, or that was kept as it came (samples.ts), read as if its octets had come over the wire: the
 * same parser, the same limits, the same view. So what finds explain is what traffic finds, and so it is with what is refused.
 *
 * One object for one thread; its view is about the request that was read last.
 */
import type { ErrorCode } from '../errors.ts'
import { octetsOfText } from '../table/octets.ts'
import type { CookieSigner } from './cookie-signer.ts'
import { RequestHead } from './http1/request-head.ts'
import type { Lookups } from './lookups/lookups.ts'
import { HeadView } from './request-view.ts'

/** What a client would send, as text. */
export interface Posted {
  readonly method: string
  /** Host with port, in the place of Host headers; null to go by those. */
  readonly authority: string | null
  readonly path: string
  /** By lower-case name. */
  readonly headers: ReadonlyMap<string, readonly string[]>
  /** Client address after trusted proxies; what those add to a request is believed. */
  readonly ip: string
}

export class PostedRequest {
  readonly #head: RequestHead
  readonly view: HeadView

  /** Limits as for traffic. */
  constructor(bytesMax: number, fieldsMax: number, signer: CookieSigner, wallMs: () => number, lookups?: Lookups) {
    this.#head = new RequestHead(bytesMax, fieldsMax)
    this.view = new HeadView(this.#head, signer, wallMs, lookups)
  }

  /** Reads a request into the view; the code by which traffic refuses it, or null. */
  read({ method, authority, path, headers, ip }: Posted): ErrorCode | null {
    const hosts = authority === null ? (headers.get('host') ?? []) : [authority]
    // Only HTTP/1.0 knows requests without a Host.
    let text = `${method} ${path} HTTP/1.${hosts.length === 0 ? 0 : 1}\r\n`
    for (const host of hosts) text += `Host: ${host}\r\n`
    for (const [name, values] of headers) {
      if (name !== 'host') for (const value of values) text += `${name}: ${value}\r\n`
    }
    const octets = octetsOfText(`${text}\r\n`)
    // What ends before or behind its text has line ends in it.
    return this.readHead(octets, ip, true) === octets.length ? null : (this.#head.error ?? 'bad_request')
  }

  /** Reads a head as it came from a client of this address, by a trusted proxy or not; returns where it ends, or at most 0 when it is none. */
  readHead(octets: string, address: string, isTrusted: boolean): number {
    this.view.address = address
    this.view.isTrusted = isTrusted
    return this.#head.parse(octets)
  }
}
