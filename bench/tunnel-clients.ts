/**
 * The clients of `bench/tunnels.ts`, as a process of their own: WebSockets (package `ws`) that send numbered messages, check what they are sent, and
 * come back at once when they are closed, or a while later when they are refused; and readers of event streams that do the same.
 *
 * Arguments: port, WebSockets, readers, ms between two messages. Answers each message of its parent (`ClientsAsked`) with a `ClientsReport`.
 */
import { get } from 'node:http'
import type { Socket } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { WebSocket } from 'ws'

/** `quiet`: nothing more is sent. */
export type ClientsAsked = 'report' | 'quiet'

export interface ClientsReport {
  /** WebSockets that are open, by the version that has opened them. */
  readonly blue: number
  readonly green: number
  /** Readers whose last event came from green. */
  readonly readersOnGreen: number
  /** Wall times in ms, once it is quiet: of every Close that was read from a socket, and of every WebSocket that was opened again. */
  readonly closedMs: readonly number[]
  readonly againMs: readonly number[]
  /** The longest time for which this process read nothing, since it was asked last. */
  readonly stallMs: number
  /** Handshakes that were refused. */
  readonly refused: number
  /** WebSockets that were closed otherwise than by 1012. */
  readonly otherCloses: number
  /** Messages and events that were broken, missing or out of order, and the first few of them. */
  readonly faults: number
  readonly reasons: readonly string[]
  readonly messages: number
  readonly events: number
  /** Messages that were sent. */
  readonly sent: number
}

/** Clients of one loopback address. */
const PER_ADDRESS = 500
/** Least and most that is waited after a refusal. */
const BACK_OFF_MS = [100, 1_000] as const
const CLOSE = 1_012
const CLOSE_FRAME = Buffer.from([0x88, 2, CLOSE >>> 8, CLOSE & 0xff])

/** What message `number` ends with: of many lengths, so that one that is broken is seen. */
export const paddingOf = (number: number): string => '.'.repeat((number * 97) % 700)

class Crowd {
  readonly versions: (string | null)[]
  readonly readers: string[]
  readonly closedMs: number[] = []
  readonly againMs: number[] = []
  readonly #delay = monitorEventLoopDelay({ resolution: 10 })
  refused = 0
  otherCloses = 0
  faults = 0
  messages = 0
  events = 0
  sent = 0
  isQuiet = false
  readonly reasons: string[] = []
  readonly #port: number
  readonly #everyMs: number

  constructor(port: number, everyMs: number, tunnels: number, readers: number) {
    this.#port = port
    this.#everyMs = everyMs
    this.#delay.enable()
    this.versions = Array.from({ length: tunnels }, () => null)
    this.readers = Array.from({ length: readers }, () => '')
    this.versions.forEach((_, i) => void setTimeout(() => this.#begin(i), (i * everyMs) / tunnels))
    this.readers.forEach((_, i) => void this.#read(i))
  }

  report(): ClientsReport {
    const on = (name: string) => this.versions.filter((version) => version === name).length
    const readersOnGreen = this.readers.filter((version) => version === 'green').length
    const { closedMs, againMs, refused, otherCloses, faults, reasons, messages, events, sent } = this
    const stallMs = this.#delay.max / 1e6
    this.#delay.reset()
    return {
      blue: on('blue'),
      green: on('green'),
      readersOnGreen,
      closedMs: this.isQuiet ? closedMs : [],
      againMs: this.isQuiet ? againMs : [],
      stallMs,
      refused,
      otherCloses,
      faults,
      reasons,
      messages,
      events,
      sent,
    }
  }

  #fault(reason: string): void {
    this.faults++
    if (this.reasons.length < 5) this.reasons.push(reason)
  }

  /** A visitor: one connection after another, and numbers that go on over all of them. */
  #begin(i: number): void {
    let number = 0
    let socket = this.#open(i, false)
    const come = (code: number) => {
      const [least, most] = BACK_OFF_MS
      if (code === CLOSE) again()
      else setTimeout(again, least + Math.random() * (most - least))
    }
    const again = () => {
      socket = this.#open(i, true)
      socket.once('close', come)
    }
    socket.once('close', come)
    setInterval(() => {
      if (this.isQuiet || socket.readyState !== WebSocket.OPEN) return
      socket.send(String(number++))
      this.sent++
    }, this.#everyMs)
  }

  #open(i: number, isAgain: boolean): WebSocket {
    const localAddress = `127.0.0.${2 + Math.floor(i / PER_ADDRESS)}`
    const headers = { 'x-user-id': `u${i}` }
    const socket = new WebSocket(`ws://127.0.0.1:${this.#port}/ws`, { headers, localAddress, perMessageDeflate: false })
    let expected = 0
    let isOpen = false
    let raw: Socket | null = null
    socket.on('upgrade', (response) => {
      this.versions[i] = String(response.headers['x-version'])
      raw = response.socket
    })
    socket.on('open', () => {
      isOpen = true
      // The package tells of a Close only once the target has closed the connection. It reads from now on, so this takes nothing away from it.
      raw!.on('data', (bytes: Buffer) => {
        if (bytes.subarray(-CLOSE_FRAME.length).equals(CLOSE_FRAME)) this.closedMs.push(Date.now())
      })
      if (isAgain) this.againMs.push(Date.now())
    })
    socket.on('message', (data) => {
      const [name, number, padding] = String(data).split(' ')
      this.messages++
      if (Number(number) !== expected || padding !== paddingOf(expected))
        this.#fault(`${name} ${number}: not ${expected}`)
      expected++
    })
    socket.on('error', (error) => {
      if (isOpen) this.#fault(error.message)
      else this.refused++
    })
    socket.on('close', (code) => {
      this.versions[i] = null
      if (isOpen && code !== CLOSE) this.otherCloses++
    })
    return socket
  }

  #read(i: number): void {
    const localAddress = '127.0.0.250'
    const headers = { 'x-user-id': `r${i}`, accept: 'text/event-stream' }
    const again = () => void setTimeout(() => this.#read(i), BACK_OFF_MS[0])
    const request = get({ port: this.#port, host: '127.0.0.1', path: '/events', headers, localAddress }, (response) => {
      let text = ''
      let expected = 0
      response.setEncoding('latin1')
      response.on('data', (piece: string) => {
        const events = (text + piece).split('\n\n')
        text = events.pop()!
        for (const event of events) {
          const [, number, name, padding] = /^id: (\d+)\ndata: (\w+) (\.*)\.$/.exec(event) ?? []
          if (Number(number) !== expected || padding !== paddingOf(expected))
            this.#fault(`event: ${event.slice(0, 60)}`)
          this.readers[i] = name
          this.events++
          expected++
        }
      })
      response.on('error', () => {})
      response.on('close', () => {
        if (text !== '' || !response.complete)
          this.#fault(`a stream that ends with ${JSON.stringify(text.slice(0, 60))}`)
        again()
      })
    })
    request.on('error', again)
  }
}

if (import.meta.main) {
  const [port, tunnels, readers, everyMs] = process.argv.slice(2).map(Number)
  const crowd = new Crowd(port, everyMs, tunnels, readers)
  process.on('message', (asked: ClientsAsked) => {
    if (asked === 'quiet') crowd.isQuiet = true
    process.send!(crowd.report())
  })
}
