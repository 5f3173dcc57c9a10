/** What the targets of attackers do with a connection. */
import type { Socket } from 'node:net'

const LARGE_BYTES = 8 * 1024 * 1024
const PIECE = Buffer.alloc(65_536, 'x')
const INTERIM = 'HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n'.repeat(50)
const TRICKLE_MS = 50

/** As many fields as a head may have, and a list of names that begin as each of theirs: naively compared, a millisecond. */
export const LISTS = `Connection: ${'aa,'.repeat(340)}\r\n${'a:\r\n'.repeat(125)}`

/** Reads and says nothing. */
export function neverAnswers(socket: Socket): void {
  socket.resume()
  closesWithClient(socket)
}

/** Answers every GET with nothing, at once. */
export function answersEmpty(socket: Socket): void {
  socket.on('data', (bytes: Buffer) => {
    if (isGet(bytes)) socket.write('HTTP/1.1 204 No Content\r\n\r\n')
  })
  closesWithClient(socket)
}

/** Answers every GET with nothing, and says so at length. */
export function answersLists(socket: Socket): void {
  socket.on('data', (bytes: Buffer) => {
    if (isGet(bytes)) socket.write(`HTTP/1.1 204 No Content\r\n${LISTS}\r\n`)
  })
  closesWithClient(socket)
}

/** Answers every GET with 8 MB, as fast as they are taken. */
export function largeAnswers(socket: Socket): void {
  let owed = 0
  const more = () => {
    while (owed > 0 && socket.writable) {
      owed -= PIECE.length
      if (!socket.write(PIECE)) return
    }
  }
  socket.on('drain', more)
  socket.on('data', (bytes: Buffer) => {
    if (!isGet(bytes)) return
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${LARGE_BYTES}\r\n\r\n`)
    owed += LARGE_BYTES
    more()
  })
  closesWithClient(socket)
}

/** Sends interim responses as fast as they are taken. */
export function endless1xx(socket: Socket): void {
  const more = () => {
    while (socket.writable && socket.write(INTERIM));
  }
  socket.once('data', more)
  socket.on('drain', more)
  closesWithClient(socket)
}

let turn = 0

/** Answers a byte at a time: every other connection even in the head. */
export function trickles(socket: Socket): void {
  const head = 'HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n'
  const text = turn++ % 2 === 0 ? head : ''
  let sent = 0
  socket.once('data', () => {
    if (text !== '') socket.write(text)
    const timer = setInterval(
      () => socket.writable && socket.write(text === '' ? (head[sent++] ?? 'x') : 'x'),
      TRICKLE_MS,
    )
    socket.on('close', () => clearInterval(timer))
  })
  closesWithClient(socket)
}

/** Accepts, and closes at the first byte. */
export function acceptsAndCloses(socket: Socket): void {
  socket.once('data', () => socket.destroy())
}

/** Accepts every upgrade, and says something first. */
export function switches(socket: Socket): void {
  socket.once('data', () =>
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello'),
  )
  closesWithClient(socket)
}

function closesWithClient(socket: Socket): void {
  socket.on('end', () => socket.destroy())
}

/** The proxy asks one request at a time, and the body of one that has any is the attack itself: it gets no answer. */
const isGet = (bytes: Buffer): boolean => bytes[0] === 71
