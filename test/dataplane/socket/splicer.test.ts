/** Bodies that the kernel moves: nothing lost, doubled, reordered or left for somebody else. */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import net from 'node:net'
import { TLSSocket } from 'node:tls'
import { Worker } from 'node:worker_threads'
import { afterEach, describe, expect, test } from 'vitest'
import { descriptorOf, pauseForTurn } from '../../../src/dataplane/socket/handle.ts'
import { libc, type Moving } from '../../../src/dataplane/socket/libc.ts'
import { Outgoing } from '../../../src/dataplane/socket/outgoing.ts'
import { SMALL_BYTES, Splicer } from '../../../src/dataplane/socket/splicer.ts'
import { patternOf } from '../../helpers/pattern.ts'
import { until } from '../../helpers/raw.ts'

const MIB = 2 ** 20
const open: (() => void)[] = []
afterEach(() => {
  for (const close of open.splice(0)) close()
})

/** Two ends of a connection; neither reads until told. */
async function startPair(): Promise<readonly [near: net.Socket, far: net.Socket]> {
  const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const accepted = new Promise<net.Socket>((resolve) => server.once('connection', resolve))
  const { port } = server.address() as net.AddressInfo
  const far = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  const near = await accepted
  server.close()
  for (const socket of [near, far]) {
    socket.on('error', () => {})
    open.push(() => socket.destroy())
  }
  return [near, far]
}

/** A sender, what it sends to, and a receiver: `move` takes from the one to the other. */
async function startRelay(splicer: Splicer) {
  const [from, sender] = await startPair()
  const [to, receiver] = await startPair()
  const told = { drained: 0, failed: 0 }
  const out = new Outgoing(
    to,
    true,
    () => void told.drained++,
    () => void told.failed++,
  )
  const move = (max: number) => splicer.move(descriptorOf(from), out, max)
  const moveAll = async (bytes: number) => {
    let moved = 0
    await until('all is moved', () => {
      moved += move(bytes - moved)
      return moved === bytes
    })
  }
  return { from, sender, out, to, receiver, told, move, moveAll }
}

function newSplicer(): Splicer {
  const splicer = Splicer.open()!
  open.push(() => splicer.close())
  return splicer
}

/** What a socket reads from now on. */
function collect(socket: net.Socket): { bytes: () => Buffer } {
  const pieces: Buffer[] = []
  socket.on('data', (piece: Buffer) => pieces.push(piece))
  return { bytes: () => Buffer.concat(pieces) }
}

/** Whether a descriptor of this process is the end of a pipe; the one that lists them is gone by now. */
function isPipe(name: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${name}`).startsWith('pipe:')
  } catch {
    return false
  }
}

const write = (socket: net.Socket, bytes: Buffer) => new Promise<void>((done) => socket.write(bytes, () => done()))

describe.skipIf(process.platform !== 'linux')('with the C library of Linux', () => {
  test('it is found, and finding it prints nothing', () => {
    expect(libc).not.toBeNull()
    const script = "import('./src/dataplane/socket/libc.ts').then(({ libc }) => console.log(libc === null))"
    const run = (...options: string[]) =>
      execFileSync('sh', ['-c', '"$0" "$@" 2>&1', process.execPath, ...options, '-e', script], { encoding: 'utf8' })
    expect(run()).toBe('false\n')
    expect(run('--no-experimental-ffi')).toBe('true\n')
  })

  test('without descriptors left there is no pipe, and none is lost for the try', () => {
    const script = `import('./src/dataplane/socket/libc.ts').then(({ libc }) => {
      const fs = require('node:fs')
      const taken = []
      const fill = () => { try { for (;;) taken.push(fs.openSync('/dev/null')) } catch {} }
      const found = []
      for (const free of [0, 1, 2, 3, 4]) {
        fill()
        for (const descriptor of taken.splice(taken.length - free)) fs.closeSync(descriptor)
        found.push(libc.pipe()?.map((end) => fs.closeSync(end)).length ?? null)
        const before = taken.length
        fill()
        found.push(taken.length - before)
      }
      console.log(JSON.stringify(found))
    })`
    const limited = ['-c', 'ulimit -n 200; exec "$0" -e "$1"', process.execPath, script]
    const found = execFileSync('sh', limited, { encoding: 'utf8' })
    expect(JSON.parse(found)).toEqual([null, 0, null, 1, null, 2, null, 3, 2, 4])
  })

  test('what is there goes over in order, between what is written', async () => {
    const { sender, out, receiver, moveAll } = await startRelay(newSplicer())
    const received = collect(receiver)
    const sent = patternOf(300_000)
    out.text('first ')
    void write(sender, sent)
    await moveAll(sent.length)
    out.bytes(Buffer.from(' last'))
    await until('all has come', () => received.bytes().length >= sent.length + 11)
    expect(received.bytes().equals(Buffer.concat([Buffer.from('first '), sent, Buffer.from(' last')]))).toBe(true)
  })

  test('never more is taken than asked for, and what is behind it can be read', async () => {
    const { from, sender, receiver, move } = await startRelay(newSplicer())
    const received = collect(receiver)
    await write(sender, patternOf(10_000))
    await until('it is there', () => move(7_000) === 7_000)
    const rest = collect(from)
    from.resume()
    await until('the rest is there', () => rest.bytes().length === 3_000)
    await until('all has come', () => received.bytes().length >= 7_000)
    expect(received.bytes().equals(patternOf(7_000))).toBe(true)
    expect(rest.bytes().equals(patternOf(3_000, 7_000))).toBe(true)
  })

  test('what a receiver does not take waits, fills it up, and is in nobody else’s way', async () => {
    const splicer = newSplicer()
    const slow = await startRelay(splicer)
    const other = await startRelay(splicer)
    const sent = patternOf(32 * MIB)
    void write(slow.sender, sent)
    let moved = 0
    await until('the receiver is full', () => {
      moved += slow.move(sent.length - moved)
      return slow.out.unsentBytes > 0
    })
    expect(moved).toBeLessThan(sent.length)
    expect(slow.out.descriptor).toBe(-1)
    expect(slow.move(sent.length)).toBe(0)

    const word = Buffer.from('meanwhile')
    const received = collect(other.receiver)
    await write(other.sender, word)
    await until('the other is moved', () => other.move(100) === word.length)
    await until('the other has it', () => received.bytes().length >= word.length)
    expect(received.bytes().toString()).toBe('meanwhile')

    const all = collect(slow.receiver)
    await until('the slow one has all', () => {
      if (slow.out.unsentBytes === 0) moved += slow.move(sent.length - moved)
      return all.bytes().length >= sent.length
    })
    expect(all.bytes().equals(sent)).toBe(true)
    expect(slow.told.drained).toBeGreaterThan(0)
    expect(slow.told.failed).toBe(0)
  })

  test('progress is seen', async () => {
    const { sender, out, move } = await startRelay(newSplicer())
    out.mark()
    expect(out.hasMoved).toBe(false)
    await write(sender, patternOf(5_000))
    await until('it is moved', () => move(5_000) === 5_000)
    expect(out.hasMoved).toBe(true)
  })

  test('a receiver that is gone fails once, and leaves nothing in the pipe', async () => {
    const splicer = newSplicer()
    const gone = await startRelay(splicer)
    const next = await startRelay(splicer)
    gone.receiver.resetAndDestroy()
    await write(gone.sender, patternOf(100_000))
    await until('the failure is told', () => {
      gone.move(100_000)
      return gone.told.failed > 0
    })
    expect(gone.out.descriptor).toBe(-1)
    const received = collect(next.receiver)
    await write(next.sender, patternOf(50_000))
    await next.moveAll(50_000)
    await until('all has come', () => received.bytes().length >= 50_000)
    expect(received.bytes().equals(patternOf(50_000))).toBe(true)
    expect(gone.told.failed).toBe(1)
  })

  test('a sender with nothing to say, at its end, reset or closed gives nothing', async () => {
    const { from, sender, out, move } = await startRelay(newSplicer())
    expect(move(1_000)).toBe(0)
    sender.end()
    await new Promise((resolve) => sender.once('finish', resolve))
    expect(move(1_000)).toBe(0)
    sender.resetAndDestroy()
    expect(move(1_000)).toBe(0)
    from.destroy()
    expect(move(1_000)).toBe(0)
    expect(out.unsentBytes).toBe(0)
  })

  test('a worker thread that is stopped leaves no pipe behind', async () => {
    const descriptors = () => readdirSync('/proc/self/fd').filter((name) => isPipe(name)).length
    const before = descriptors()
    const url = new URL('../../../src/dataplane/socket/splicer.ts', import.meta.url).href
    const script = `import(${JSON.stringify(url)}).then(({ Splicer }) => {
      Splicer.open()
      require('node:worker_threads').parentPort.postMessage('open')
      for (;;);
    })`
    const worker = new Worker(script, { eval: true })
    await new Promise((resolve) => worker.once('message', resolve))
    expect(descriptors()).toBeGreaterThanOrEqual(before + 2)
    await worker.terminate()
    await until('they are closed', () => descriptors() <= before)
  })

  test('it is known whether a socket has more to say', async () => {
    const splicer = newSplicer()
    const [near, far] = await startPair()
    expect(splicer.isQuiet(descriptorOf(near))).toBe(true)
    await write(far, Buffer.from('x'))
    await until('the byte is there', () => !splicer.isQuiet(descriptorOf(near)))
    const [left, right] = await startPair()
    right.end()
    await until('the end is there', () => !splicer.isQuiet(descriptorOf(left)))
  })

  test('a reset is something to say, also when it is asked about for the first time', async () => {
    const [near, far] = await startPair()
    far.resetAndDestroy()
    await new Promise((resolve) => far.once('close', resolve))
    const state = () => readFileSync('/proc/net/tcp', 'utf8')
    const { localPort, remotePort } = near
    const hex = (port = 0) => `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`
    await until('the reset has come', () => !state().includes(`${hex(localPort)} ${hex(remotePort)} 01`))
    expect(newSplicer().isQuiet(descriptorOf(near))).toBe(false)
  })
})

test('over TLS there is no descriptor that carries the bytes of a body', () => {
  const below = new net.Socket()
  const socket = new TLSSocket(below)
  open.push(() => socket.destroy())
  const { _handle: handle } = socket as unknown as { _handle: object }
  Object.defineProperty(handle, 'fd', { value: 7 })
  expect(descriptorOf(socket)).toBe(-1)
})

test('a pipe that gives back less than was put in is given up, so that nobody else meets its bytes', () => {
  const closed: number[] = []
  const broken: Moving = {
    pipe: () => [90, 91],
    resizePipe: () => -1,
    splice: (_from, to) => (to === 91 ? 1_000 : -1),
    read: () => 0,
    isQuiet: () => true,
    hasEnded: () => false,
    unacknowledged: () => -1,
    close: (descriptor) => void closed.push(descriptor),
  }
  const splicer = Splicer.open(broken)!
  const out = { descriptor: 7, flush: () => {}, countMoved: () => {} } as unknown as Outgoing
  expect(() => splicer.move(6, out, 5_000)).toThrow('the pipe has lost 1000 of 1000 bytes')
  expect(closed).toEqual([90, 91])
})

test('a source has had its turn after a megabyte in a row, and another one begins anew', () => {
  const endless: Moving = {
    pipe: () => [90, 91],
    resizePipe: () => -1,
    splice: (_from, _to, bytes) => bytes,
    read: () => 0,
    isQuiet: () => true,
    hasEnded: () => false,
    unacknowledged: () => -1,
    close: () => {},
  }
  const splicer = Splicer.open(endless)!
  const out = { descriptor: 7, flush: () => {}, countMoved: () => {} } as unknown as Outgoing
  const turns = (from: number) => {
    splicer.move(from, out, MIB / 2)
    return splicer.hasHadTurn()
  }
  expect([turns(5), turns(5), turns(5), turns(5)]).toEqual([false, true, false, true])
  expect([turns(5), turns(6), turns(5), turns(6), turns(6)]).toEqual([false, false, false, false, true])
})

test('a socket that pauses for a turn is read again in the next, unless it was paused meanwhile', async () => {
  const [near, far] = await startPair()
  const received = collect(near)
  near.resume()
  pauseForTurn(near)
  await write(far, Buffer.from('one'))
  await until('it is read again', () => received.bytes().toString() === 'one')
  pauseForTurn(near)
  near.pause()
  await write(far, Buffer.from('two'))
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
  await startPair()
  expect(received.bytes().toString()).toBe('one')
  near.resume()
  await until('it is read when it is resumed', () => received.bytes().toString() === 'onetwo')
  pauseForTurn(near)
  near.destroy()
  await new Promise((resolve) => setImmediate(resolve))
  pauseForTurn(near)
})

test('without a C library, or without a pipe, there is no splicer', () => {
  expect(Splicer.open(null)).toBeNull()
  expect(Splicer.open({ pipe: () => null } as unknown as Moving)).toBeNull()
  expect(SMALL_BYTES).toBeLessThan(65_536)
})
