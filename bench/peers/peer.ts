/**
 * What a peer is, and the one job that all of them are set up to do.
 *
 * The job: two pools, blue and green, split 95 to 5 by weight; requests with `X-Internal: 1` to green; an X-Request-Id made
 * where none came; X-Forwarded-For, -Proto and -Host; keep-alive to the targets; no access log; one worker with one thread.
 * A peer is configured as its own documentation would have it, with what is known to make it fast. What it does beyond or
 * short of the job is said in `setup`, which the report prints; what it cannot do at all is in `cannot`, and not checked.
 */
import { randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { CheckName } from '../check.ts'
import { freePort } from '../ports.ts'
import { type Child, type StartOptions, startChild, waitForPort } from '../process.ts'

/** Shares of the split, in percent. */
export const GREEN_PERCENT = 5
/** Connections that the load keeps open, and that each proxy may keep open to each pool. */
export const CONNECTIONS = 64

export interface PeerConfig {
  /** Where the targets of each pool listen on loopback. */
  readonly blue: number
  readonly green: number
  /** A folder of its own, for configuration files. */
  readonly folder: string
  /** Core to run on; null for no pinning. */
  readonly core: number | null
  /** Client connections that it must be able to hold. Default: a few thousand. */
  readonly clients?: number
  /** File that the access log goes to, a line a request. Default: there is none. Turnout has it as an option of its own. */
  readonly accessLog?: string
}

export interface Running {
  readonly pid: number
  readonly port: number
  stop(): Promise<void>
}

export interface Peer {
  readonly name: string
  /** True when failing is our fault: then the bench fails too. */
  readonly ours: boolean
  /** True when it is measured without `--peers`. */
  readonly always: boolean
  /** How it does the job, in a sentence for the report: what is used, what is more or less than what the others do. */
  readonly setup: string
  /** Checks that it cannot pass, being made for something else: not checked, but named in the report. */
  readonly cannot?: readonly CheckName[]
  /** Version for the report, or null when the peer is not installed here. */
  version(): string | null
  start(config: PeerConfig): Promise<Running>
}

/** Starts a program that will listen on `port`, and waits until it does. */
export async function startPeer(
  command: readonly string[],
  port: number,
  options: StartOptions,
): Promise<Running & { child: Child }> {
  const child: Child = startChild(command, options)
  try {
    await waitForPort(port, child)
  } catch (error) {
    await child.stop()
    throw error
  }
  return { pid: child.pid, port, child, stop: () => child.stop() }
}

/**
 * Starts a program that a file configures: on a free port, with the file that `configuration` makes for it in the folder of the
 * peer. `command` gets the path of the file.
 */
export async function startConfigured(
  config: PeerConfig,
  name: string,
  configuration: (config: PeerConfig, port: number) => string,
  command: (file: string) => readonly string[],
  env?: StartOptions['env'],
): Promise<Running> {
  const port = await freePort()
  const file = `${config.folder}/${name}`
  writeFileSync(file, configuration(config, port))
  const stdout = config.accessLog
  return startPeer(command(file), port, { core: config.core, ...(env && { env }), ...(stdout && { stdout }) })
}

/** The same peer with its access log in a file. */
export const logged = (peer: Peer, file: string): Peer => ({
  ...peer,
  name: `${peer.name}, access log on`,
  start: (config) => peer.start({ ...config, accessLog: file }),
})

/** Starts one of the proxies written in this folder: the file runs itself as a process with three ports as arguments. */
export async function startScript(url: string, config: PeerConfig): Promise<Running> {
  const port = await freePort()
  const ports = [port, config.blue, config.green].map(String)
  return startPeer([process.execPath, fileURLToPath(url), ...ports], port, { core: config.core })
}

/** The ports that `startScript` gave to this process. */
export function scriptPorts(): { port: number; blue: number; green: number } {
  const [port, blue, green] = process.argv.slice(2).map(Number)
  return { port, blue, green }
}

/** The choice that the proxies in this folder make: the header rule first, then the split. */
export function pickGreen(internal: string | string[] | undefined): boolean {
  return internal === '1' || Math.random() * 100 < GREEN_PERCENT
}

/** A request id as the proxies in this folder make it. */
export function requestId(given: string | string[] | undefined): string {
  return typeof given === 'string' && given !== '' ? given : randomUUID()
}
