/**
 * Which Redis is the primary: what its sentinels say, asked of all of them, and again and again while there is a connection.
 *
 *   no connection ── asked ──► where the last fail-over led ──► connection ── asked again ──┬─ the same ──► stays
 *         ▲                                                                              └─ another one ──► cut ─┐
 *         └──────────────────────────────────────────────────────────────────────────────────────────────────────┘
 *
 * - One sentinel knows of a fail-over first, the others up to seconds later. So no single one is believed: of all answers that of the highest
 *   epoch counts, which grows with each fail-over.
 * - A primary that was cut off, or was killed and started again, takes writes until the sentinels tell it otherwise, which takes them ten seconds
 *   and more; all that was written to it is lost then. Nothing on a connection to it says so. ioredis, left to itself, believes the first
 *   sentinel that answers and begins to listen for fail-overs a moment later; one that comes to be known in between is never heard of.
 * - Sentinels that cannot be reached change nothing: a connection that is there stays.
 */
import net from 'node:net'
import tls from 'node:tls'
import type { AbstractConnector, Redis } from 'ioredis'
import { type Clock, sleep } from '../clock.ts'

/** How often they are asked while there is a connection. */
const ASK_MS = 500
/** From the first answer on the others have so long. */
const OTHERS_MS = 200
/** A fail-over that is known counts so long after the last sentinel has told of it; by then the others know it too. */
const KNOWN_MS = 10_000
/** Sentinels that are asked: those of the setting, and of the others that they name as many as there may be. */
const SENTINELS_MAX = 10
/** Longest pause between two tries to learn of the primary. */
const RETRY_MS_MAX = 500
/** A connection that is given up ends in order, or by force after so long. */
const DISCONNECT_MS = 2_000

export interface Address {
  readonly host: string
  readonly port: number
}

export interface SentinelsSetting {
  /** Those that are known from the start. */
  readonly nodes: readonly Address[]
  /** What they call it. */
  readonly name: string
  readonly clock: Clock
  /** A client of one of them. */
  client(node: Address): Redis
  /** Where an address that they tell is for us. */
  reachable(told: Address): Address
}

/** What a sentinel says. */
interface Said {
  readonly primary: Address
  /** Of the fail-over that has led there. */
  readonly epoch: number
  /** The others that it knows. */
  readonly others: readonly Address[]
}

export class Sentinels {
  readonly #setting: SentinelsSetting
  readonly #clients = new Map<string, Redis>()
  readonly #connections = new Map<net.Socket, string>()
  #asking: Promise<Address> | null = null
  #known: { readonly said: Said; readonly atMs: number } | null = null
  #end: (() => void) | null = null
  #isEnded = false

  constructor(setting: SentinelsSetting) {
    this.#setting = setting
  }

  /** Where the primary is; whoever asks while they are being asked gets the same answer. Rejects when none of them says so. */
  primary(): Promise<Address> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = null
    })
    return this.#asking
  }

  /** Cuts this connection as soon as the primary is elsewhere than there. */
  watch(socket: net.Socket, there: Address): void {
    if (this.#isEnded) return
    this.#connections.set(socket, textOf(there))
    socket.once('close', () => this.#connections.delete(socket))
    this.#end ??= this.#setting.clock.every(ASK_MS, () => void this.#look().catch(() => {}))
  }

  end(): void {
    this.#isEnded = true
    this.#end?.()
    for (const client of this.#clients.values()) client.disconnect()
    this.#clients.clear()
  }

  async #look(): Promise<void> {
    if (this.#connections.size === 0) return
    const primary = textOf(await this.primary())
    for (const [socket, there] of this.#connections) if (there !== primary) socket.destroy()
  }

  async #ask(): Promise<Address> {
    const { clock, reachable } = this.#setting
    const said = await latestOf(
      this.#nodes().map((node) => this.#askOne(node)),
      clock,
    )
    const nowMs = clock.monotonicMs()
    const isOld = this.#known !== null && said.epoch < this.#known.said.epoch
    if (!isOld || nowMs - this.#known!.atMs > KNOWN_MS) this.#known = { said, atMs: nowMs }
    return reachable(this.#known!.said.primary)
  }

  /** Those that are to be asked now; no other has a client from here on. */
  #nodes(): Address[] {
    const { nodes, reachable } = this.#setting
    const others = this.#known?.said.others.map(reachable) ?? []
    const all = new Map([...nodes, ...others].map((node) => [textOf(node), node]))
    const asked = [...all].slice(0, Math.max(SENTINELS_MAX, nodes.length))
    const names = new Set(asked.map(([name]) => name))
    for (const [name, client] of this.#clients) {
      if (names.has(name)) continue
      client.disconnect()
      this.#clients.delete(name)
    }
    return asked.map(([, node]) => node)
  }

  async #askOne(node: Address): Promise<Said> {
    if (this.#isEnded) throw new Error(CLOSED)
    const { name, client: make } = this.#setting
    let client = this.#clients.get(textOf(node))
    if (client === undefined) {
      client = make(node)
      // It is told by the command.
      client.on('error', () => {})
      this.#clients.set(textOf(node), client)
    }
    // While a fail-over is under way the first has its epoch already, and only the second its address.
    const [state, told, others] = await Promise.all([
      client.call('SENTINEL', 'MASTER', name).catch(() => []),
      client.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name),
      client.call('SENTINEL', 'SENTINELS', name).catch(() => []),
    ])
    if (!Array.isArray(told)) throw new UnknownName(`No sentinel knows the name ${name}.`)
    return {
      primary: addressOf(told[0], told[1]),
      epoch: Number(fieldsOf(state).get('config-epoch') ?? 0),
      others: (others as unknown[]).map(fieldsOf).map((each) => addressOf(each.get('ip'), each.get('port'))),
    }
  }
}

class UnknownName extends Error {}

const CLOSED = 'Connection is closed.'

const textOf = ({ host, port }: Address): string => `${host}:${port}`
const addressOf = (host: unknown, port: unknown): Address => ({ host: String(host), port: Number(port) })

/** Names and values that stand one after the other. */
function fieldsOf(flat: unknown): Map<unknown, unknown> {
  const list = flat as readonly unknown[]
  return new Map(list.flatMap((name, at) => (at % 2 === 0 ? [[name, list[at + 1]] as const] : [])))
}

/** Of several answers the one of the latest fail-over, once all are there, or `OTHERS_MS` after the first. Rejects when there is none. */
function latestOf(answers: readonly Promise<Said>[], clock: Clock): Promise<Said> {
  const { promise, resolve, reject } = Promise.withResolvers<Said>()
  let [best, left, cancel]: [Said | null, number, () => void] = [null, answers.length, () => {}]
  let why: Error | null = null
  const decide = () => {
    cancel()
    if (best === null) reject(why instanceof UnknownName ? why : new Error(`No sentinel answers: ${why?.message}`))
    else resolve(best)
  }
  const counted = () => {
    left--
    if (left === 0) decide()
  }
  for (const answer of answers) {
    const heard = (said: Said) => {
      if (best === null) cancel = clock.after(OTHERS_MS, decide)
      if (best === null || said.epoch > best.epoch) best = said
      counted()
    }
    answer.then(heard, (error: Error) => {
      why = why instanceof UnknownName ? why : error
      counted()
    })
  }
  return promise
}

/** How ioredis connects to the primary of these sentinels, with TLS where options of it are given. */
export const connectorTo = (
  Base: typeof AbstractConnector,
  sentinels: Sentinels,
  secure: tls.ConnectionOptions | undefined,
  clock: Clock,
) =>
  class extends Base {
    constructor() {
      super(DISCONNECT_MS)
    }

    /** Of a server that takes no writes the connection is given up for another one. */
    override check({ role }: { readonly role?: string }): boolean {
      return role === undefined || role === 'master'
    }

    override async connect(tell: (type: string, error: Error) => void): Promise<net.Socket> {
      this.connecting = true
      const primary = await this.#primary(tell)
      const socket = secure ? tls.connect({ ...primary, ...secure }) : net.connect(primary)
      socket.once('error', (error) => {
        this.firstError = error
      })
      this.stream = socket
      sentinels.watch(socket, primary)
      return socket
    }

    async #primary(tell: (type: string, error: Error) => void): Promise<Address> {
      for (let tries = 1; ; tries++) {
        const primary = await sentinels.primary().catch((error: Error) => error)
        if (!this.connecting) throw new Error(CLOSED)
        if (!(primary instanceof Error)) return primary
        tell('error', primary)
        await sleep(clock, Math.min(tries * 50, RETRY_MS_MAX))
      }
    }
  }
