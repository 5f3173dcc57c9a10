/**
 * What a connection is answered where Node answers by itself, or not at all: bytes that are no HTTP, a head that is too large,
 * a client that is too slow, CONNECT, an expectation, a missing Host. All of them are problems like any other refusal.
 *
 * After such an answer the connection ends. It is closed a moment later only: closed at once, with bytes of the client still
 * unread, the system would reset it, and many a client would never see why. What comes in meanwhile changes nothing any more.
 * Nothing is written into an answer that is under way.
 */
import type { Duplex } from 'node:stream'
import type { ConnectionError, FastifyInstance } from 'fastify'
import type { Clock } from '../clock.ts'
import { ERRORS, type ErrorCode, TurnoutError } from '../errors.ts'
import { problem } from './problem.ts'

// By this way, since an import of the module reads all its exports, and Node loads its fetch and its WebSocket for that.
const { STATUS_CODES } = process.getBuiltinModule('node:http')

/** How long a client has to read why its connection ends. */
const LINGER_MS = 1_000

const CODES: Readonly<Record<string, ErrorCode>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
  HPE_HEADER_OVERFLOW: 'head_too_large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'too_large',
}
/** A request line that only its method makes unreadable: Node knows a fixed list of them. */
const UNKNOWN_METHOD = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+ \S+ HTTP\/1\.[01]\r?\n/
/** Of any path; 405 has to name some. */
const METHODS = 'DELETE, GET, HEAD, PATCH, POST, PUT'

export interface ConnectionAnswers {
  /** For what the parser refuses, and for time-outs; goes into fastify's options. */
  refuse(error: ConnectionError, socket: Duplex): void
  /** Adds the rest to an instance, before its routes. */
  attach(app: FastifyInstance): void
}

/** The answers of one server. */
export function createConnectionAnswers(clock: Pick<Clock, 'after'>): ConnectionAnswers {
  const underWay = new WeakMap<Duplex, { readonly headersSent: boolean; readonly writableFinished: boolean }>()
  const refused = new WeakSet<Duplex>()

  const end = (socket: Duplex, code: ErrorCode): void => {
    const answer = underWay.get(socket)
    if (!socket.writable || (answer?.headersSent === true && !answer.writableFinished)) {
      socket.destroy()
      return
    }
    refused.add(socket)
    socket.on('error', () => {})
    socket.end(answerText(code))
    const cancel = clock.after(LINGER_MS, () => socket.destroy())
    socket.once('close', cancel)
  }

  return {
    refuse(error, socket) {
      if (error.code === 'ECONNRESET') socket.destroy()
      else end(socket, codeOf(error))
    },
    attach(app) {
      app.server.on('connect', (_request, socket) => end(socket, 'method_not_allowed'))
      app.server.on('checkExpectation', (request) => end(request.socket, 'expectation_failed'))
      app.addHook('onRequest', async ({ raw }, reply) => {
        underWay.set(raw.socket, reply.raw)
        const hosts = hostsOf(raw.rawHeaders)
        if (hosts > 1 || (hosts === 0 && raw.httpVersion !== '1.0')) throw new TurnoutError('bad_host')
      })
      app.addHook('preHandler', async ({ raw }) => {
        if (refused.has(raw.socket)) throw new TurnoutError('request_timeout')
      })
    },
  }
}

function codeOf({ code, rawPacket }: ConnectionError): ErrorCode {
  if (Object.hasOwn(CODES, code)) return CODES[code]
  // Fastify's type says it is what JSON makes of a buffer.
  const bytes: unknown = rawPacket
  const isMethod =
    code === 'HPE_INVALID_METHOD' && bytes instanceof Buffer && UNKNOWN_METHOD.test(bytes.toString('latin1'))
  return isMethod ? 'method_not_allowed' : 'bad_request'
}

/** How many Host lines there are; Node shows only the first. */
function hostsOf(rawHeaders: readonly string[]): number {
  let count = 0
  for (let at = 0; at < rawHeaders.length; at += 2) if (rawHeaders[at].toLowerCase() === 'host') count++
  return count
}

function answerText(code: ErrorCode): string {
  const { status, message } = ERRORS[code]
  const body = JSON.stringify(problem(code, message, ''))
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Content-Type: application/problem+json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Cache-Control: no-store',
    ...(status === 405 ? [`Allow: ${METHODS}`] : []),
    'Connection: close',
  ]
  return `${head.join('\r\n')}\r\n\r\n${body}`
}
