/**
 * Back-pressure: whoever reads slowly stops the one who sends, and what lies in between stays small. The proxy is a process
 * of its own, and its resident memory is looked at all the time while one side is far ahead of the other.
 */
import { readFileSync } from 'node:fs'
import net from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { readPattern, sendPattern } from '../helpers/pattern.ts'
import { service, startProcess, startProxy, temporaryFolder } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { startTcp } from '../helpers/upstream.ts'

const MIB = 2 ** 20
const TOTAL = 2 ** 31
/** Bytes that the slow side takes before the test has seen enough. */
const TAKEN = 16 * MIB
/** What the kernel may hold for four sockets, and the proxy in between. */
const AHEAD_MAX = 48 * MIB
const GROWTH_MAX = 64 * MIB

/** Resident memory of a process in bytes. */
function residentBytes(pid: number): number {
  const line = /^VmRSS:\s*(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(line?.[1]) * 1024
}

function connect(port: number): net.Socket {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
  socket.on('error', () => {})
  onTestFinished(() => {
    socket.destroy()
  })
  return socket
}

/** Reads at most 128 kB every few ms; `taken()` tells how much so far. */
function readSlowly(socket: net.Socket): () => number {
  let taken = 0
  socket.on('data', (bytes) => {
    taken += bytes.length
    socket.pause()
    setTimeout(() => socket.resume(), 5)
  })
  return () => taken
}

interface Side {
  /** Bytes that the sender could write. */
  readonly sent: () => number
  /** Bytes that the slow reader has taken. */
  readonly taken: () => number
  /** A request has begun and its sides are known. */
  readonly begin: (port: number) => void
  readonly target: string
}

/** A target that gives 2 GB as fast as they are taken, to a client that reads slowly. */
async function download(framing: string): Promise<Side> {
  let sent = 0
  let taken = () => 0
  const { url } = await startTcp(async (socket) => {
    await readPattern(socket)
    socket.write(`HTTP/1.1 200 OK\r\n${framing}\r\n`)
    await sendPattern(socket, TOTAL, framing.includes('chunked'), (bytes) => {
      sent = bytes
    })
  })
  const begin = (port: number) => {
    const socket = connect(port)
    socket.write('GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n')
    taken = readSlowly(socket)
  }
  return { sent: () => sent, taken: () => taken(), begin, target: url }
}

/** A client that sends 2 GB as fast as they are taken, to a target that reads slowly. */
async function upload(framing: string): Promise<Side> {
  let sent = 0
  let taken = () => 0
  const { url } = await startTcp((socket) => {
    taken = readSlowly(socket)
  })
  const begin = (port: number) => {
    const socket = connect(port)
    socket.write(`POST / HTTP/1.1\r\nHost: a\r\n${framing}\r\n`)
    void sendPattern(socket, TOTAL, framing.includes('chunked'), (bytes) => {
      sent = bytes
    })
  }
  return { sent: () => sent, taken: () => taken(), begin, target: url }
}

/** A tunnel in which the target sends as fast as it can to a client that reads slowly. */
async function tunnel(): Promise<Side> {
  let sent = 0
  let taken = () => 0
  const { url } = await startTcp((socket) => {
    socket.once('data', () => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n')
      void sendPattern(socket, TOTAL, false, (bytes) => {
        sent = bytes
      })
    })
  })
  const begin = (port: number) => {
    const socket = connect(port)
    socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n')
    taken = readSlowly(socket)
  }
  return { sent: () => sent, taken: () => taken(), begin, target: url }
}

const cases = [
  { name: 'a 2 GB download to a slow reader', side: () => download(`Content-Length: ${TOTAL}\r\n`) },
  { name: 'an endless download in chunks to a slow reader', side: () => download('Transfer-Encoding: chunked\r\n') },
  { name: 'a 2 GB upload to a slow target', side: () => upload(`Content-Length: ${TOTAL}\r\n`) },
  { name: 'an endless upload in chunks to a slow target', side: () => upload('Transfer-Encoding: chunked\r\n') },
  { name: 'a tunnel to a slow reader', side: () => tunnel() },
]

describe.skipIf(process.platform !== 'linux')('memory of the process', () => {
  test.each(cases)('$name grows it by less than 64 MB', async ({ side }) => {
    const { sent, taken, begin, target } = await side()
    const proxy = await startProcess({ services: { shop: service({ blue: [target] }) } }, temporaryFolder())
    const before = residentBytes(proxy.child.pid!)
    let most = before
    begin(proxy.port)
    await until('the slow side has taken enough', () => {
      most = Math.max(most, residentBytes(proxy.child.pid!))
      return taken() > TAKEN
    })
    expect(most - before).toBeLessThan(GROWTH_MAX)
    expect(sent() - taken()).toBeLessThan(AHEAD_MAX)
    // The sender was held back, so it is not done: this was no race.
    expect(sent()).toBeLessThan(TOTAL)
  })
})

test.each(cases.filter(({ name }) => !name.includes('endless')))(
  '$name stays a few buffers behind the sender when sockets are read by events',
  async ({ side }) => {
    const { sent, taken, begin, target } = await side()
    const proxy = await startProxy({ services: { shop: service({ blue: [target] }) } }, { sharedReads: false })
    begin(proxy.port)
    let most = 0
    await until('the slow side has taken enough', () => {
      most = Math.max(most, sent() - taken())
      return taken() > TAKEN
    })
    expect(most).toBeLessThan(AHEAD_MAX)
  },
)
