/**
 * `npm run bench`: Turnout beside a plain node:http proxy, load by autocannon; needs nothing that npm does not install.
 * `npm run bench:peers`: the same beside nginx and HAProxy of the system, what `npm run bench:build-peers` has built (both of
 * them newer, and those written in Go), and Node's proxies, load by wrk.
 *
 * What is done, and when it fails, is in bench/compare.ts; the job that all of them do is in bench/peers/peer.ts.
 */
import { bestLoad, type Compared, type Comparison, compare, methodOf } from './compare.ts'
import { autocannon } from './load.ts'
import { readOptions } from './options.ts'
import { caddy } from './peers/caddy.ts'
import { fastProxyPeer } from './peers/fast-proxy.ts'
import { fastifyProxy } from './peers/fastify.ts'
import { haproxy, haproxyFromSource } from './peers/haproxy.ts'
import { httpProxy3 } from './peers/http-proxy-3.ts'
import { kamalProxy } from './peers/kamal-proxy.ts'
import { nginx, nginxFromSource } from './peers/nginx.ts'
import { nodeHttp } from './peers/node-http.ts'
import { GREEN_PERCENT, type Peer } from './peers/peer.ts'
import { traefik } from './peers/traefik.ts'
import { turnout } from './peers/turnout.ts'
import { PROXY_CORE } from './process.ts'
import { renderReport, writeSection } from './report.ts'
import { SCENARIOS } from './scenario.ts'

const PEERS: readonly Peer[] = [
  turnout,
  nginx,
  nginxFromSource,
  haproxy,
  haproxyFromSource,
  caddy,
  traefik,
  kamalProxy,
  nodeHttp,
  fastProxyPeer,
  httpProxy3,
  fastifyProxy,
]

const USAGE = `usage: node bench/main.ts [options]
  --peers             beside all the peers that are installed here, load by wrk
  --only A,B          only proxies whose name contains one of these
  --scenario A,B      only these scenarios: ${SCENARIOS.map(({ name }) => name).join(', ')}`

const { values, ...options } = readOptions(
  USAGE,
  { rounds: 5, seconds: 2 },
  { peers: { type: 'boolean' }, only: { type: 'string' }, scenario: { type: 'string' } },
)
const withPeers = values['peers'] === true
const names = values['only']?.toString().toLowerCase().split(',')
const wanted = options.quick ? ['small'] : values['scenario']?.toString().split(',')

const comparison: Comparison = {
  peers: PEERS.filter(
    (peer) =>
      (withPeers || peer.always) &&
      (names === undefined || names.some((part) => peer.name.toLowerCase().includes(part))),
  ),
  scenarios: SCENARIOS.filter(({ name }) => wanted?.includes(name) ?? true),
  options,
  load: withPeers ? bestLoad : autocannon,
  core: PROXY_CORE,
}

function report(compared: Compared): string {
  return renderReport({
    title: withPeers ? 'Beside its peers' : 'Beside plain node:http',
    date: new Date(),
    versions: compared.peers.map((peer) => [peer.name, peer.version() ?? '?'] as const),
    results: compared.results,
    left: compared.left,
    method: methodOf(comparison),
    remarks: [
      `**What each does.** The job: two pools, ${100 - GREEN_PERCENT} : ${GREEN_PERCENT} by weight, requests with X-Internal: 1 to green, a request id,`,
      'X-Forwarded-For, -Proto and -Host, keep-alive to the targets, no access log, one worker with one thread. Small GETs carry',
      'no visitor; those of a browser send back the cookies that the proxy has set.',
      '',
      ...compared.peers.map((peer) => `- ${peer.name}: ${peer.setup}`),
    ].join('\n'),
    yardsticks: withPeers ? ['nginx', 'HAProxy'] : [nodeHttp.name],
  })
}

const compared = await compare(comparison)
if (options.json) {
  const plain = compared.results.map(([scenario, result]) => [scenario.name, Object.fromEntries(result)])
  console.log(JSON.stringify({ left: compared.left, results: Object.fromEntries(plain) }, null, 2))
} else {
  const text = report(compared)
  if (!options.quick) writeSection(withPeers ? 'peers' : 'own', text)
  console.log(text)
}
process.exitCode = compared.failed ? 1 : 0
