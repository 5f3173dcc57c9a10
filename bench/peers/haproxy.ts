/**
 * HAProxy, one thread: connections reused always, active checks on, as Turnout has them. Bodies are spliced: asked for by name,
 * since `splice-auto` leaves it out here, and a megabyte then costs three times as much.
 */
import { findProgram } from '../process.ts'
import { toldVersion } from '../versions.ts'
import { GREEN_PERCENT, type Peer, type PeerConfig, startConfigured } from './peer.ts'
import { findSourceProgram, HAPROXY } from './source-program.ts'

const peer = (name: string, program: string | null, setup: string): Peer => ({
  name,
  ours: false,
  always: false,
  setup,
  version: () => versionOf(program),
  start: (config) => startConfigured(config, 'haproxy.cfg', configuration, (file) => [program!, '-db', '-f', file]),
})

const versionOf = (program: string | null) => toldVersion(program, '-v', /version (\d+\.\d+\.\d+)/)

/** The one of the system, as Debian builds it. */
export const haproxy = peer(
  'HAProxy',
  findProgram('haproxy'),
  'rand() for the weights, an ACL for the rule, %[uuid] as request id, X-Forwarded-*, Forwarded and Via; the id and Via also to the client. http-reuse always, bodies spliced in the kernel, health checks every 5 s, counters per target as always.',
)

const built = findSourceProgram(HAPROXY)

/** The one that was built from source, named by its version. */
export const haproxyFromSource = peer(
  `HAProxy ${versionOf(built) ?? 'from source'}`,
  built,
  'configured as the other HAProxy, built by `npm run bench:build-peers` without PCRE and TLS.',
)

/** What a line of Turnout's tells, as far as it knows; on standard output, as containers have it. */
const ACCESS_LOG = `
  log global
  log-format '{"time":"%t","client":"%ci","method":"%HM","path":"%HPO","status":%ST,"bytes":%B,"duration":%Ta,"ttfb":%Tr,"pool":"%b","target":"%s","id":"%[unique-id]"}'`

const configuration = ({ blue, green, clients = 4096, accessLog }: PeerConfig, port: number) => `
global${accessLog === undefined ? '' : '\n  log stdout format raw local0 info'}
  nbthread 1
  maxconn ${clients}
  no strict-limits
defaults
  mode http
  timeout connect 3s
  timeout client 75s
  timeout server 60s
  timeout http-keep-alive 75s
  option http-keep-alive
  option splice-request
  option splice-response
  http-reuse always
  unique-id-format %[uuid]
frontend front
  bind 127.0.0.1:${port}${accessLog === undefined ? '' : ACCESS_LOG}
  option forwardfor
  http-request set-header X-Request-Id %[unique-id] unless { req.hdr(x-request-id) -m found }
  http-request set-var(txn.id) req.hdr(x-request-id)
  http-response set-header X-Request-Id %[var(txn.id)]
  http-response add-header Via "1.1 haproxy"
  http-request add-header Via "1.1 haproxy"
  http-request set-header Forwarded for=%[src];host=\\"%[req.hdr(host)]\\";proto=http
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  use_backend green if { req.hdr(x-internal) -m str 1 }
  use_backend green if { rand(100) lt ${GREEN_PERCENT} }
  default_backend blue
backend blue
  option httpchk GET /health
  server a 127.0.0.1:${blue} check inter 5s
backend green
  option httpchk GET /health
  server a 127.0.0.1:${green} check inter 5s
`
