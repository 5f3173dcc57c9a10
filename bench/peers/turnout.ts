/**
 * Turnout itself, from this checkout, with one worker and everything on that people leave on: split, rule, visitor key,
 * sticky cookie, counters, active health checks. Only the access log is off, as with the peers.
 *
 * Other benches start it with more workers, with many routes or rules that the requests of the bench do not match, with the
 * access log on, or with more options of Node.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '../ports.ts'
import type { StartOptions } from '../process.ts'
import { installedVersion } from '../versions.ts'
import { GREEN_PERCENT, type Peer, type PeerConfig, startPeer } from './peer.ts'

/** The program of this checkout. */
export const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const SETUP =
  'split, header rule, visitor key and sticky cookie, request id (also to the client), X-Forwarded-*, Forwarded, Via, counters and two histograms per target, health checks every 5 s, passive ejection, one worker; the access log is off.'

/** Beside the config file. */
const VISITORS = 'visitors.txt'
const TESTERS = { name: 'testers', when: { visitor: { file: VISITORS } }, to: 'green' }

export const turnout: Peer = turnoutPeer('Turnout', {})

export interface TurnoutOptions {
  /** Default 1. */
  readonly workers?: number
  /** Weights of the pools. Default: the split of the job. */
  readonly weights?: { readonly blue: number; readonly green: number }
  /** Routes in all, one of which is what the requests of the bench take. Default 1. */
  readonly routes?: number
  /** Rules in all; the last is the rule of the job. Default 1. */
  readonly rules?: number
  /** Visitors in a file that a rule before the last names. Default: no such rule. */
  readonly visitors?: number
  /** Whether the access log is on. Default false. */
  readonly accessLog?: boolean
  /** More settings of the service, and of the process. Default none. */
  readonly service?: object
  readonly process?: object
  /** Options of Node. Default none. */
  readonly nodeOptions?: readonly string[]
  /** Another checkout to run. Default: this one. */
  readonly checkout?: string
  /** What of it is run. Default: its sources. */
  readonly main?: string
}

/** Turnout as a peer of this name, with these options. */
export function turnoutPeer(name: string, options: TurnoutOptions, start?: Partial<StartOptions>): Peer {
  return {
    name,
    ours: true,
    always: true,
    setup: SETUP,
    version: () => installedVersion('turnout'),
    start: (config) => startTurnout(config, options, start),
  }
}

/** Starts Turnout with one service, `shop`; `adminPort` is where its admin API listens. */
export async function startTurnout(config: PeerConfig, options: TurnoutOptions, start: Partial<StartOptions> = {}) {
  const port = await freePort()
  const adminPort = await freePort()
  const file = `${config.folder}/turnout.yaml`
  writeFileSync(file, turnoutConfiguration(config, options, port, adminPort))
  if (options.visitors !== undefined) writeFileSync(`${config.folder}/${VISITORS}`, otherVisitors(options.visitors))
  const main = options.main ?? (options.checkout === undefined ? MAIN : join(options.checkout, 'src/main.ts'))
  const command = [process.execPath, ...(options.nodeOptions ?? []), main, 'serve', '--config', file]
  // An instance on Redis has its snapshot where it is started.
  const { core, folder } = config
  return { ...(await startPeer(command, port, { core, folder, ...start })), adminPort }
}

/** The config file: JSON, which is YAML. */
export function turnoutConfiguration(
  config: PeerConfig,
  options: TurnoutOptions,
  port: number,
  adminPort: number,
): string {
  const { workers = 1, weights = { blue: 100 - GREEN_PERCENT, green: GREEN_PERCENT }, accessLog = false } = options
  return JSON.stringify({
    listeners: [{ address: `127.0.0.1:${port}` }],
    admin: { address: `127.0.0.1:${adminPort}` },
    workers,
    store: 'memory:',
    log: { level: 'warn', access: accessLog },
    limits: { requestsPerConnectionMax: 1_000_000_000 },
    ...options.process,
    services: {
      shop: {
        routes: [...otherRoutes((options.routes ?? 1) - 1), { host: '*', path: '/' }],
        pools: {
          blue: { version: '1.0', targets: [`http://127.0.0.1:${config.blue}`] },
          green: { version: '1.1', targets: [`http://127.0.0.1:${config.green}`] },
        },
        split: weights,
        rules: [
          ...otherRules((options.rules ?? 1) - 1),
          ...(options.visitors === undefined ? [] : [TESTERS]),
          { name: 'staff', when: { header: { 'x-internal': '1' } }, to: 'green' },
        ],
        visitor: ['header:x-user-id', 'cookie'],
        health: { path: '/health', interval: '5s' },
        ...options.service,
      },
    },
  })
}

/** Exact hosts, wildcard hosts and paths, a third each, none of them for the requests of the bench. */
function otherRoutes(count: number): object[] {
  return Array.from({ length: count }, (_, i) => {
    if (i % 3 === 0) return { host: `shop-${i}.example.com` }
    if (i % 3 === 1) return { host: `*.region-${i}.example.com`, path: `/v${i % 5}` }
    return { path: `/${i % 97}/catalogue-${i}` }
  })
}

/** Rules by header, cookie, visitor and network, a quarter each, of a few names with many values, none of which is sent. */
function otherRules(count: number): object[] {
  return Array.from({ length: count }, (_, i) => {
    const when = [
      { header: { [`x-tenant-${i % 5}`]: `tenant-${i}` } },
      { cookie: { [`group-${i % 5}`]: `group-${i}` } },
      { visitor: [`user-${i}`, `user-${i}-b`] },
      { cidr: [`10.${i % 256}.${(i >> 8) % 256}.0/24`] },
    ]
    return { name: `other-${i}`, when: when[i % 4], to: i % 2 === 0 ? 'green' : 'blue' }
  })
}

/** A key in each line, none of which is sent. */
const otherVisitors = (count: number): string =>
  Array.from({ length: count }, (_, i) => `user-${i}@example.com\n`).join('')
