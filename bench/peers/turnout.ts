/**
 * Turnout itself, from this checkout, with one worker and everything on that people leave on: split, rule, visitor key,
 * sticky cookie, counters, active health checks. Only the access log is off, as with the peers.
 */
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { freePort } from '../process.ts'
import { installedVersion } from '../versions.ts'
import { GREEN_PERCENT, type Peer, type PeerConfig, type Running, startPeer } from './peer.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

export const turnout: Peer = {
  name: 'Turnout',
  ours: true,
  always: true,
  version: () => installedVersion('turnout'),
  start: (config) => startTurnout(config, { workers: 1, blue: 100 - GREEN_PERCENT, green: GREEN_PERCENT }),
}

export interface TurnoutOptions {
  readonly workers: number
  /** Weights of the pools. */
  readonly blue: number
  readonly green: number
}

/** Starts Turnout with one service, `shop`; `adminPort` is where its admin API listens. */
export async function startTurnout(
  config: PeerConfig,
  options: TurnoutOptions,
): Promise<Running & { adminPort: number }> {
  const port = await freePort()
  const adminPort = await freePort()
  const file = `${config.folder}/turnout.yaml`
  writeFileSync(file, configuration(config, options, port, adminPort))
  const running = await startPeer([process.execPath, MAIN, 'serve', '--config', file], port, config.core)
  return { ...running, adminPort }
}

const configuration = (config: PeerConfig, options: TurnoutOptions, port: number, adminPort: number) => `
listeners: [{ address: "127.0.0.1:${port}" }]
admin: { address: "127.0.0.1:${adminPort}" }
workers: ${options.workers}
store: "memory:"
log: { level: warn, access: false }
limits: { requestsPerConnectionMax: 1000000000 }
services:
  shop:
    routes: [{ host: "*", path: / }]
    pools:
      blue: { version: "1.0", targets: ["http://127.0.0.1:${config.blue}"] }
      green: { version: "1.1", targets: ["http://127.0.0.1:${config.green}"] }
    split: { blue: ${options.blue}, green: ${options.green} }
    rules:
      - { name: staff, when: { header: { x-internal: "1" } }, to: green }
    visitor: [header:x-user-id, cookie]
    health: { path: /health, interval: 5s }
`
