/** Keys that others have (nginx, HAProxy, Traefik, Envoy, Kubernetes) for what has another name here, so that somebody who guesses one is told ours. Pure. */
const CALLED: Readonly<Record<string, readonly string[]>> = {
  services: ['apps', 'applications', 'sites'],
  listeners: ['listen', 'bind', 'entrypoints', 'ports'],
  routes: ['match', 'hosts', 'domains', 'frontends', 'ingress'],
  pools: ['backends', 'upstreams', 'clusters', 'groups', 'versions', 'environments'],
  targets: ['servers', 'endpoints', 'nodes', 'hosts', 'addresses', 'upstreams', 'backends'],
  split: ['weights', 'weight', 'traffic'],
  balance: ['loadbalancer', 'lb', 'algorithm', 'lbpolicy'],
  sticky: ['affinity', 'session', 'sessionaffinity', 'stickiness'],
  health: ['healthcheck', 'healthchecks', 'check', 'probe', 'readinessprobe', 'livenessprobe'],
}

/** The key of these that is meant by the name that others have for it; null where nothing is known. */
export function keyCalledSo(name: string, known: readonly string[]): string | null {
  const plain = name.toLowerCase().replaceAll(/[-_]/g, '')
  return known.find((key) => Object.hasOwn(CALLED, key) && CALLED[key].includes(plain)) ?? null
}
