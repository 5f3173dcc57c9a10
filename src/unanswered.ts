/** Why no answer of HTTP came, for people: the codes of the system and of the HTTP client, which tell it to nobody else. */
const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'network unreachable',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'the name server does not answer',
  EPIPE: 'the connection was closed',
  UND_ERR_SOCKET: 'the connection was closed before an answer',
  UND_ERR_CONNECT_TIMEOUT: 'no connection in time',
  UND_ERR_HEADERS_TIMEOUT: 'no answer in time',
  UND_ERR_HEADERS_OVERFLOW: 'the head of the answer is too large',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'the body was cut short',
}

/** What kept an answer from coming; of an error that is not known, its own message. */
export function unansweredInWords(error: unknown): string {
  const { name, message, code = '' } = error as Partial<Error> & { readonly code?: string }
  if (name === 'HTTPParserError') return 'what came is no answer of HTTP/1.1'
  if (name === 'TimeoutError') return 'no answer in time'
  return WORDS[code] ?? (message || code || String(error))
}
