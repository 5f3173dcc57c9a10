/** A small name server on loopback, by UDP and TCP: it answers what a test says, or fails in the way that it wants. */
import dgram from 'node:dgram'
import net, { type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { NamesOptions } from '../../src/names/names.ts'
import { temporaryFolder } from './proxy.ts'

export type RecordType = 'A' | 'AAAA' | 'CNAME' | 'SRV'

export interface Answer {
  readonly type: RecordType
  /** Of an SRV record: `priority weight port host`, where the host `.` is the root, and `@` the name that was asked for, compressed. */
  readonly value: string
  readonly ttl?: number
  /** Default: the name that was asked for. */
  readonly owner?: string
}

/** What a name answers: its records, or how it fails. `silent` says nothing; `truncated` wants to be asked by TCP. */
export interface Zone {
  readonly answers?: readonly Answer[]
  readonly rcode?: 'servfail' | 'nxdomain' | 'refused'
  /** Record types that are never answered. */
  readonly silent?: readonly RecordType[] | true
  readonly truncated?: boolean
  readonly delayMs?: number
}

export interface NameServer {
  /** `127.0.0.1:port`, as `Resolver.setServers` takes it. */
  readonly address: string
  /** Says what a name answers from now on; null: there is no such name. */
  set(name: string, zone: Zone | null): void
  /** Names that were asked for, in order, as `name type`, with ` tcp` for those by TCP. */
  readonly asked: readonly string[]
  close(): Promise<void>
}

const TYPES: Readonly<Record<number, RecordType>> = { 1: 'A', 28: 'AAAA', 5: 'CNAME', 33: 'SRV' }
const CODES: Readonly<Record<RecordType, number>> = { A: 1, AAAA: 28, CNAME: 5, SRV: 33 }
const RCODES = { servfail: 2, nxdomain: 3, refused: 5 }

/** A and AAAA records for these addresses. */
export const addresses = (list: readonly string[], ttl = 30): Answer[] =>
  list.map((value) => ({ type: value.includes(':') ? 'AAAA' : 'A', value, ttl }))

/** SRV records, each as `priority weight port host`. */
export const services = (list: readonly string[]): Answer[] => list.map((value) => ({ type: 'SRV', value }))

/** Starts a name server with these names; it ends with the test. */
export async function startNameServer(zones: Readonly<Record<string, Zone>> = {}): Promise<NameServer> {
  const known = new Map(Object.entries(zones))
  const asked: string[] = []
  const timers = new Set<NodeJS.Timeout>()
  const answer = (question: Buffer, byTcp: boolean, send: (reply: Buffer) => void): void => {
    const { name, type, end } = readQuestion(question)
    asked.push(`${name} ${type}${byTcp ? ' tcp' : ''}`)
    const zone = known.get(name) ?? { rcode: 'nxdomain' as const }
    if (zone.silent === true || zone.silent?.includes(type)) return
    const reply = writeReply(question.subarray(0, end), name, type, zone, byTcp)
    if (zone.delayMs === undefined) return send(reply)
    const timer = setTimeout(() => send(reply), zone.delayMs)
    timers.add(timer)
  }
  const { tcp, udp, port } = await bind()
  udp.on('message', (question, { address, port }) =>
    answer(question, false, (reply) => udp.send(reply, port, address, () => {})),
  )
  tcp.on('connection', (socket) => serveTcp(socket, (question, send) => answer(question, true, send)))
  let closed = false
  const close = async () => {
    if (closed) return
    closed = true
    for (const timer of timers) clearTimeout(timer)
    await Promise.all([
      new Promise<void>((done) => tcp.close(() => done())),
      new Promise<void>((done) => udp.close(done)),
    ])
  }
  onTestFinished(close)
  const set = (name: string, zone: Zone | null) => void (zone === null ? known.delete(name) : known.set(name, zone))
  return { address: `127.0.0.1:${port}`, set, asked, close }
}

/** For a Turnout that asks this name server, and no file of the system. */
export function namesBy(server: NameServer): NamesOptions {
  const folder = temporaryFolder()
  return {
    servers: () => [server.address],
    files: { hosts: join(folder, 'hosts'), resolvConf: join(folder, 'resolv.conf') },
  }
}

/** The same free port by TCP and by UDP. */
async function bind(): Promise<{ tcp: net.Server; udp: dgram.Socket; port: number }> {
  for (;;) {
    const tcp = net.createServer()
    await new Promise<void>((done) => tcp.listen(0, '127.0.0.1', done))
    const { port } = tcp.address() as AddressInfo
    const udp = dgram.createSocket('udp4')
    const isFree = await new Promise<boolean>((done) => {
      udp.once('error', () => done(false))
      udp.bind(port, '127.0.0.1', () => done(true))
    })
    if (isFree) return { tcp, udp, port }
    tcp.close()
    udp.close()
  }
}

function serveTcp(socket: net.Socket, answer: (question: Buffer, send: (reply: Buffer) => void) => void): void {
  let received: Buffer = Buffer.alloc(0)
  socket.on('error', () => {})
  socket.on('data', (bytes: Buffer) => {
    received = Buffer.concat([received, bytes])
    while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
      const end = 2 + received.readUInt16BE(0)
      answer(Buffer.from(received.subarray(2, end)), (reply) => {
        const length = Buffer.alloc(2)
        length.writeUInt16BE(reply.length)
        socket.write(Buffer.concat([length, reply]))
      })
      received = received.subarray(end)
    }
  })
}

function readQuestion(message: Buffer): { name: string; type: RecordType; end: number } {
  const labels: string[] = []
  let at = 12
  for (let length = message[at]; length > 0; length = message[at]) {
    labels.push(message.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join('.').toLowerCase(), type: TYPES[message.readUInt16BE(at + 1)], end: at + 5 }
}

function writeReply(question: Buffer, name: string, type: RecordType, zone: Zone, byTcp: boolean): Buffer {
  const truncates = zone.truncated === true && !byTcp
  const records = truncates ? [] : (zone.answers ?? []).filter((answer) => [type, 'CNAME'].includes(answer.type))
  const head = Buffer.from(question)
  head.writeUInt16BE(0x8180 | (truncates ? 0x0200 : 0) | (zone.rcode === undefined ? 0 : RCODES[zone.rcode]), 2)
  head.writeUInt16BE(records.length, 6)
  head.writeUInt32BE(0, 8)
  return Buffer.concat([head, ...records.map((record) => writeRecord(record, record.owner ?? name))])
}

function writeRecord({ type, value, ttl = 30 }: Answer, owner: string): Buffer {
  const data = writeData(type, value)
  const fixed = Buffer.alloc(10)
  fixed.writeUInt16BE(CODES[type], 0)
  fixed.writeUInt16BE(1, 2)
  fixed.writeUInt32BE(ttl, 4)
  fixed.writeUInt16BE(data.length, 8)
  return Buffer.concat([writeName(owner), fixed, data])
}

function writeData(type: RecordType, value: string): Buffer {
  if (type === 'CNAME') return writeName(value)
  if (type !== 'SRV') return writeAddress(value)
  const [priority, weight, port, host] = value.split(' ')
  const numbers = Buffer.alloc(6)
  for (const [at, number] of [priority, weight, port].entries()) numbers.writeUInt16BE(Number(number), 2 * at)
  return Buffer.concat([numbers, writeName(host)])
}

function writeName(name: string): Buffer {
  if (name === '.') return Buffer.from([0])
  if (name === '@') return Buffer.from([0xc0, 12])
  const labels = name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]))
  return Buffer.concat([...labels, Buffer.from([0])])
}

function writeAddress(value: string): Buffer {
  if (!value.includes(':')) return Buffer.from(value.split('.').map(Number))
  const [left, right] = value.split('::').map((part) => (part === '' ? [] : part.split(':')))
  const zeros = right === undefined ? [] : Array(8 - left.length - right.length).fill('0')
  const words = [...left, ...zeros, ...(right ?? [])].map((word) => Number.parseInt(word, 16))
  return Buffer.from(words.flatMap((word) => [word >> 8, word & 255]))
}
