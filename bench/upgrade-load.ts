/**
 * The load of `bench/upgrade.ts`, as a process of its own: half of the connections are kept, the others are opened for each request, all
 * ask without pause, and what becomes of every single one is counted.
 *
 * Argument: port of the proxy. Each message asks for what was counted since the last one (`UpgradeLoad`).
 */
import { connect } from 'node:net'
import { CONNECTIONS } from './peers/peer.ts'
import { smallBody } from './upstream.ts'

export interface UpgradeLoad {
  readonly requests: number
  readonly connections: number
  /** Connections that nobody accepted. */
  readonly refused: number
  /** Connections that were reset before a request was sent on them. */
  readonly reset: number
  /** Requests whose answer did not come whole. */
  readonly cut: number
  /** Answers other than the right one. */
  readonly wrong: number
  /** Longest time for an answer, with its connection where that was new. */
  readonly slowestMs: number
  readonly reasons: readonly string[]
}

const NOTHING = { requests: 0, connections: 0, refused: 0, reset: 0, cut: 0, wrong: 0, slowestMs: 0 }
const REASONS_MAX = 5
const counts = { ...NOTHING }
let reasons: string[] = []

function fail(what: 'refused' | 'reset' | 'cut' | 'wrong', why: string): void {
  counts[what]++
  if (reasons.length < REASONS_MAX) reasons.push(`${what}: ${why}`)
}

/** One connection after the other; `isKept` asks again on it for as long as the proxy lets it. */
function run(port: number, isKept: boolean): void {
  const request = `GET /small HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${isKept ? '' : 'Connection: close\r\n'}\r\n`
  let startedMs = performance.now()
  let isOwed = false
  let isConnected = false
  let text = ''
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  const ask = () => {
    isOwed = true
    text = ''
    socket.write(request, 'latin1')
  }
  socket.setEncoding('latin1')
  socket.on('connect', () => {
    isConnected = true
    counts.connections++
    ask()
  })
  socket.on('data', (piece: string) => {
    text += piece
    const headEnd = text.indexOf('\r\n\r\n')
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(text)?.[1] ?? 0)
    if (headEnd < 0 || text.length < headEnd + 4 + length) return
    isOwed = false
    counts.requests++
    counts.slowestMs = Math.max(counts.slowestMs, performance.now() - startedMs)
    if (!text.startsWith('HTTP/1.1 200') || text.slice(headEnd + 4) !== smallBody('blue'))
      fail('wrong', text.slice(0, 40))
    startedMs = performance.now()
    if (/\r\nconnection: *close/i.test(text.slice(0, headEnd))) socket.end()
    else ask()
  })
  socket.on('error', ({ message }) => {
    if (!isConnected) fail(/REFUSED/.test(message) ? 'refused' : 'reset', message)
    else if (isOwed) fail('cut', message)
    isOwed = false
  })
  socket.on('close', () => {
    if (isOwed) fail('cut', 'closed before the answer')
    setImmediate(run, port, isKept)
  })
}

if (import.meta.main) {
  for (let n = 0; n < CONNECTIONS; n++) run(Number(process.argv[2]), n % 2 === 0)
  process.on('message', () => {
    process.send!({ ...counts, reasons } satisfies UpgradeLoad)
    Object.assign(counts, NOTHING)
    reasons = []
  })
}
