/** Why no answer of HTTP came, for people: the codes of the system and of the HTTP clients (undici, Node), which tell it to nobody else. */
const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'network unreachable',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'the name server does not answer',
  EPIPE: 'the connection was closed',
  EPROTO: 'no TLS could be agreed on (perhaps it is http there, not https)',
  ERR_SSL_WRONG_VERSION_NUMBER: 'what came is no TLS (perhaps it is http there, not https)',
  UND_ERR_SOCKET: 'the connection was closed before an answer',
  UND_ERR_CONNECT_TIMEOUT: 'no connection in time',
  UND_ERR_HEADERS_TIMEOUT: 'no answer in time',
  UND_ERR_HEADERS_OVERFLOW: 'the head of the answer is too large',
  HPE_HEADER_OVERFLOW: 'the head of the answer is too large',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'the body was cut short',
}

/** What kept an answer from coming; of an error that is not known, its own message. */
export function unansweredInWords(error: unknown): string {
  const { name, message, code: given, syscall } = error as Partial<NodeJS.ErrnoException>
  // What was given up (AbortError) has a number.
  const code = typeof given === 'string' ? given : ''
  // Node has one code for a connection that is reset and for one that is closed; only the first is told by the system.
  if (code === 'ECONNRESET' && syscall === undefined) return WORDS['UND_ERR_SOCKET']
  if (name === 'TimeoutError') return 'no answer in time'
  if (WORDS[code] === undefined && (name === 'HTTPParserError' || code.startsWith('HPE_')))
    return 'what came is no answer of HTTP/1.1'
  return WORDS[code] ?? (message || code || String(error))
}
