/**
 * What of the reference page no schema knows: its opening, and an example for the sections where one says more than the table.
 * Each example is loaded by a test, at its place in a config. Pure.
 */

/** How the page begins. */
export const OPENING = `# Every key of the config file

Made from the schema by \`npm run schema\`: change the schema, not this page. What the keys are for is told in [README.md](../README.md).

- A heading is the path of the keys below it: \`NAME\` is a name of your choice, \`[]\` each entry of a list. Keys of small maps are written
  with a dot: \`queue.for\` is \`for\` in the map \`queue\`.
- *needed* stands where a key may not be left out once the map around it is there. Any other key may: the default says what is so then.
- A duration is a number and a unit: \`500ms\`, \`2s\`, \`5m\`, \`1h\`, \`7d\`; of at least 1 ms and at most 24 days, where the key does not say otherwise.
- A name has letters, digits, \`.\`, \`_\` and \`-\`, at most 63, and begins with a letter or digit.
- An unknown key is a fault, and so is one that stands twice. \`turnout serve --config FILE --check\` tells every fault with its line.
- \`\${NAME}\` and \`\${NAME:-default}\` in a value stand for a variable of the environment.
- \`services\` is applied while Turnout runs, by \`apply\`, SIGHUP, the API or the command line. Whatever else is in the file is read at the start;
  \`turnout upgrade\` takes it over without losing a connection.`

/** Without the line break that it begins with. */
const block = (text: string): string => text.trimStart()

/** Examples by section, each as it stands in a file at that place: with the name of the section's own key. */
export const EXAMPLES: Readonly<Record<string, string>> = {
  '': block(`
listeners: [{ address: ":8080" }, { address: ":8443", tls: { cert: fullchain.pem, key: privkey.pem } }]
trustedProxies: [10.0.0.0/8]
store: sqlite:/var/lib/turnout/turnout.db
services:
  shop:
    routes: [{ host: shop.example.com }]
    pools:
      blue: { version: "1.0", targets: ["http://10.0.0.11:3000", "http://10.0.0.12:3000"] }
      green: { version: "1.1", targets: ["http://10.0.0.21:3000"] }
    split: { blue: 90, green: 10 }
`),
  'admin.tokens[]': block(`
admin:
  address: 0.0.0.0:9900
  tokens: [{ name: ci, token: "\${CI_TOKEN}", role: operator }]
`),
  'store.redis': block(`
store:
  redis: { url: "rediss://redis.internal:6379", username: turnout, password: "\${REDIS_PASSWORD}" }
`),
  jwt: block(`
jwt: { jwks: "https://id.example.com/.well-known/jwks.json", issuer: "https://id.example.com", audience: shop }
`),
  limits: block(`
limits: { bodyBytesMax: 10485760, connectionsPerAddressMax: 500 }
`),
  timeouts: block(`
timeouts: { keepAlive: 30s, shutdown: 60s }
`),
  log: block(`
log: { level: warn, sample: 0.1 }
`),
  'services.NAME.routes[]': block(`
routes: [{ host: shop.example.com }, { host: "*.example.com", path: /api, method: GET, header: { x-api: "2" } }]
`),
  'services.NAME.pools.NAME': block(`
pools:
  blue: { version: "1.0", targets: ["http://127.0.0.1:3001", "http://127.0.0.1:3002"], weights: { "http://127.0.0.1:3002": 3 } }
  green: { version: "1.1", targets: ["https://green.internal:8443"] }
`),
  'services.NAME.rules[]': block(`
rules:
  - { name: staff, when: { header: { x-internal: "1" } }, to: green, pin: true }
  - { name: no-bots, when: { header: { user-agent: { pattern: "(?i)bot" } } }, deny: green }
`),
  'services.NAME.rules[].when': block(`
rules:
  - name: testers
    when: { cidr: [10.0.0.0/8], any: [{ cookie: { beta: "*" } }, { query: { beta: "1" } }], not: { path: { prefix: /admin } } }
    to: green
`),
  'services.NAME.rules[].when.time': block(`
rules:
  - { name: office, when: { time: { days: [mon, fri], from: "08:00", until: "18:00", timezone: Europe/Berlin } }, to: green }
`),
  'services.NAME.sticky': block(`
sticky: { target: true, maxAge: 1d, secure: true }
`),
  'services.NAME.health': block(`
health: { path: /health, interval: 2s, status: "200-299", json: { "db.ok": true }, expectVersion: version }
`),
  'services.NAME.drain': block(`
drain: { timeout: 60s, tunnels: { over: 2m, message: reconnect }, rebalance: true }
`),
  'services.NAME.timeouts': block(`
timeouts: { connect: 1s, response: 30s, idle: 10m }
`),
  'services.NAME.mirror': block(`
mirror: { pool: green, share: 10, compare: true }
`),
  'services.NAME.capacity': block(`
capacity: { requestsPerTarget: 200, queue: { requests: 500, for: 2s } }
`),
  'services.NAME.maintenance': block(`
maintenance: { body: "<h1>Back at noon</h1>", retryAfter: 10m, allow: { header: { x-staff: "1" } } }
`),
  'services.NAME.rollout': block(`
rollout: { strategy: canary, steps: [5, 25, 50], step: { for: 2m }, bake: 10m, standby: 1h }
`),
  'services.NAME.rollout.steps[]': block(`
rollout: { steps: [5, { weight: 25, for: 10m, requests: 1000 }, { weight: 50, until: promoted }] }
`),
  'services.NAME.rollout.warmup': block(`
rollout: { warmup: { requests: [{ path: / }, { path: /search?q=a }], rate: 50, for: 20s, success: 0.99, p95: 500ms } }
`),
  'services.NAME.rollout.smoke[]': block(`
rollout: { smoke: [{ path: /health, json: { ok: true } }, { path: /, body: Welcome, within: 1s }] }
`),
  'services.NAME.rollout.schedule': block(`
rollout: { schedule: { window: [{ days: [mon, tue, wed, thu], from: "09:00", to: "16:00" }], timezone: Europe/Berlin } }
`),
  'services.NAME.rollout.hooks[]': block(`
rollout: { hooks: [{ at: BeforeAllowTraffic, url: "http://127.0.0.1:9000/check", timeout: 1m }] }
`),
  'services.NAME.rollout.rolling': block(`
rollout: { strategy: rolling, rolling: { batchSize: 25%, within: 2m } }
`),
  'services.NAME.rollout.verdict': block(`
rollout: { verdict: { failing: "404,500-599", harm: 50 } }
`),
  'services.NAME.rollout.verdict.metrics[]': block(`
rollout:
  verdict:
    metrics:
      - { name: conversion, margin: 0.01 }
      - { name: slow-checkout, prometheus: "http://127.0.0.1:9090", query: "checkout_p99{pool=\\"{pool}\\"}", above: 0.5, for: 3 }
`),
}
