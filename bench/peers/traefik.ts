/** Traefik: two routers by file, a weighted service for the split, active health checks on. */
import { writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../ports.ts'
import { GO_ENVIRONMENT, goProgramPath, goProgramVersion, TRAEFIK } from './go-program.ts'
import { CONNECTIONS, GREEN_PERCENT, type Peer, type PeerConfig, startPeer } from './peer.ts'

export const traefik: Peer = {
  name: 'Traefik',
  ours: false,
  always: false,
  setup:
    'a weighted service for the weights, a router for the rule, its own X-Forwarded-*, health checks every 5 s, GOMAXPROCS=1. It makes no request id (that takes a plugin), no Forwarded and no Via.',
  cannot: ['each request without an id gets one of its own'],
  version: () => goProgramVersion(TRAEFIK),
  async start(config) {
    const port = await freePort()
    // JSON is YAML, and by the name of the file it is told that it is.
    const file = `${config.folder}/traefik.yaml`
    const routing = `${config.folder}/routing.yaml`
    writeFileSync(file, JSON.stringify(processConfiguration(port, routing)))
    writeFileSync(routing, JSON.stringify(routingConfiguration(config)))
    const command = [goProgramPath(TRAEFIK), `--configFile=${file}`]
    const running = await startPeer(command, port, { core: config.core, env: GO_ENVIRONMENT })
    await waitForRoutes(port)
    return running
  },
}

/** It listens before it has read its routes, and says 404 until then. The checks tell of it when that never ends. */
async function waitForRoutes(port: number): Promise<void> {
  const endMs = performance.now() + 10_000
  while (performance.now() < endMs) {
    const answer = await fetch(`http://127.0.0.1:${port}/small`)
    await answer.text()
    if (answer.ok) return
    await sleep(50)
  }
}

const processConfiguration = (port: number, routing: string) => ({
  global: { checkNewVersion: false, sendAnonymousUsage: false },
  log: { level: 'ERROR' },
  entryPoints: { web: { address: `127.0.0.1:${port}` } },
  providers: { file: { filename: routing, watch: false } },
})

function routingConfiguration({ blue, green }: PeerConfig) {
  const pool = (port: number) => ({
    loadBalancer: {
      servers: [{ url: `http://127.0.0.1:${port}` }],
      serversTransport: 'kept',
      healthCheck: { path: '/health', interval: '5s' },
    },
  })
  const weights = [
    { name: 'blue', weight: 100 - GREEN_PERCENT },
    { name: 'green', weight: GREEN_PERCENT },
  ]
  return {
    http: {
      routers: {
        staff: { rule: 'Header(`X-Internal`, `1`)', service: 'green', priority: 2 },
        all: { rule: 'PathPrefix(`/`)', service: 'shop', priority: 1 },
      },
      services: { shop: { weighted: { services: weights } }, blue: pool(blue), green: pool(green) },
      serversTransports: { kept: { maxIdleConnsPerHost: CONNECTIONS } },
    },
  }
}
