/** Caddy: a route for the header rule, weighted round robin for the split, active health checks on. */
import { CADDY, GO_ENVIRONMENT, goProgramPath, goProgramVersion } from './go-program.ts'
import { CONNECTIONS, GREEN_PERCENT, type Peer, type PeerConfig, startConfigured } from './peer.ts'

export const caddy: Peer = {
  name: 'Caddy',
  ours: false,
  always: false,
  setup:
    'weighted_round_robin for the weights, a matcher for the rule, {http.request.uuid} as request id (also to the client), its own X-Forwarded-* and Via, Forwarded, health checks every 5 s, GOMAXPROCS=1.',
  version: () => goProgramVersion(CADDY),
  start(config) {
    const command = (file: string) => [goProgramPath(CADDY), 'run', '--config', file, '--adapter', 'caddyfile']
    // It keeps what it learns in the folders of its user.
    const env = { ...GO_ENVIRONMENT, HOME: config.folder, XDG_DATA_HOME: config.folder, XDG_CONFIG_HOME: config.folder }
    return startConfigured(config, 'Caddyfile', configuration, command, env)
  },
}

const configuration = ({ blue, green }: PeerConfig, port: number) => `
{
  admin off
  auto_https off
  persist_config off
  log {
    level ERROR
  }
}
(proxied) {
  health_uri /health
  health_interval 5s
  header_up Forwarded "for={remote_host};host=\\"{hostport}\\";proto={scheme}"
  header_down X-Request-Id {http.request.header.X-Request-Id}
  transport http {
    keepalive 60s
    keepalive_idle_conns_per_host ${CONNECTIONS}
    compression off
  }
}
http://:${port} {
  bind 127.0.0.1
  @unnamed not header X-Request-Id *
  request_header @unnamed X-Request-Id {http.request.uuid}
  @staff header X-Internal 1
  reverse_proxy @staff 127.0.0.1:${green} {
    import proxied
  }
  reverse_proxy 127.0.0.1:${blue} 127.0.0.1:${green} {
    lb_policy weighted_round_robin ${100 - GREEN_PERCENT} ${GREEN_PERCENT}
    import proxied
  }
}
`
