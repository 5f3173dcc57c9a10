/**
 * The README, tried: each command of its `sh` blocks is run in order against a real demo, as somebody would who pastes them, and
 * each of its config snippets loads. What is not run is listed here, each with its reason; a command that is neither run nor
 * listed cannot be. The defaults that SECURITY.md tells are those of the schema.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'
import { parseSpec, printFault } from '../../src/config/load.ts'
import { MAIN } from '../helpers/built.ts'
import { startHook } from '../helpers/hook.ts'
import { temporaryFolder } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { closedPort } from '../helpers/upstream.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const README = readFileSync(join(ROOT, 'README.md'), 'utf8')

interface Block {
  /** What stands behind the fence. */
  readonly info: string
  readonly text: string
}

const blocks: readonly Block[] = [...README.matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)].map(([, info, text]) => ({
  info,
  text,
}))
const commands = blocks.filter(({ info }) => info === 'sh').flatMap(({ text }) => text.trim().split('\n'))

const NOT_RUN: Readonly<Record<string, string>> = {
  'npm ci': 'needs the network; .ci/run does it',
  'npm start': 'is what this test starts, without npm',
  "alias turnout='npm run -s turnout --'": 'a function of that name stands for it, since scripts know no aliases',
  'npm run build': 'writes dist while other tests run; .ci/run does it',
  'docker build -t turnout .': 'needs docker and the network',
  'docker run --network host -v ./turnout.yaml:/etc/turnout/turnout.yaml:ro -v turnout:/data turnout':
    'needs the image',
}

/** Commands that go on until Ctrl-C, and what tells that they do what they should. */
const GO_ON: Readonly<Record<string, RegExp>> = {
  'turnout serve --config config/canary.yaml': /"msg":"serving"/,
  'turnout status --watch': /demo: release[\s\S]*demo: release/,
  'turnout events --follow': /config file applied/,
}

/** What more than a good end a command must show. */
const SHOWS: readonly (readonly [command: RegExp, shows: RegExp])[] = [
  [/^turnout split demo blue=95/, /^demo: blue 95 %, green 5 % \(revision /],
  [/^turnout switch demo green$/, /^demo: green 100 % /],
  [/^turnout back demo/, /^demo: blue 75 %, green 25 % /],
  [/^turnout deploy demo --to green --watch$/, /20 % {2}shifting[\s\S]*95 % {2}baking[\s\S]*█{20} 100 % {2}done/],
  [/^curl .*\/break/, /answers 30 % of its requests with 500/],
  [/^turnout deploy demo .* \|\| echo/, /rolled back.* answers of green failed, .*\nexit code 4\n$/],
  [/^turnout rollout list/, /^r-\w+ {2}demo blue → green .* rolled back.*\nr-\w+ {2}demo blue → green .* done/],
  [
    /^turnout deploy demo .*--strategy/,
    // It has that share already, from the split before.
    /^demo blue → green █{5}░{15} 25 % {2}preflight[\s\S]*to watch it: turnout rollout show/,
  ],
  [/^turnout rollout show/, /waits for/],
  [/^turnout rollout abort/, /rolled back|rolling back/],
  [/^turnout switch .*--hook/, /^demo: green 100 %; held 0 requests /],
  [/^turnout explain/, /^green 1\.1, .*\n +why +rule staff sends /],
  [/^curl .*x-internal/, /^green 1\.1 /],
  [/^curl .*\/split/, /"split":\{"blue":9,"green":1\}/],
  [/^curl .*\/readyz/, /"status":"ready"/],
  [/^curl .*\/metrics/, /^turnout_requests_total\{/m],
  [/^turnout history/, /config file applied/],
  [/^turnout serve .*--check/, /is valid: 1 service/],
]

/** What has to be there for one of them. */
const MIGRATION = 'http://127.0.0.1:9000/migrate'

describe('the commands of the README', () => {
  let demo: ChildProcess
  let welcome = ''
  const ports = { proxy: 0, admin: 0 }

  beforeAll(async () => {
    while (!(await begin()));
  })

  /** False when somebody else was quicker at one of its ports. */
  async function begin(): Promise<boolean> {
    ports.proxy = await closedPort()
    ports.admin = await closedPort()
    const env = {
      ...process.env,
      TURNOUT_DEMO_PORT: String(ports.proxy),
      TURNOUT_DEMO_ADMIN_PORT: String(ports.admin),
    }
    demo = spawn(process.execPath, ['src/demo/main.ts'], { cwd: ROOT, env })
    let [said, isOver] = ['', false]
    demo.once('close', () => (isOver = true))
    demo.stdout!.on('data', (chunk) => (welcome += chunk))
    demo.stderr!.on('data', (chunk) => (said += chunk))
    await until('the demo says what to try', () => welcome.includes('Ctrl-C ends it all.') || isOver)
    if (!isOver) return true
    expect(said).toMatch(/is taken by another program|somebody else was quicker/)
    return false
  }

  afterAll(async () => {
    const ended = once(demo, 'exit')
    demo.kill('SIGINT')
    // As at Ctrl-C of whoever has started it.
    expect(await ended).toEqual([0, null])
  })

  /** A command with the addresses of this demo, since others may have the ports that the README names. */
  function placed(command: string): string {
    const [, blue] = /blue +1\.0 +http:\/\/(\S+)/.exec(welcome)!
    const [, green] = /green +1\.1 +http:\/\/(\S+)/.exec(welcome)!
    return command
      .replaceAll('localhost:8080', `localhost:${ports.proxy}`)
      .replaceAll('127.0.0.1:9900', `127.0.0.1:${ports.admin}`)
      .replaceAll('127.0.0.1:3001', blue)
      .replaceAll('127.0.0.1:3003', green)
      .replaceAll('--config config/canary.yaml', `--config ${freely('config/canary.yaml')}`)
  }

  /** Starts a command as a shell would that knows `turnout`. */
  function paste(command: string, more: Readonly<Record<string, string>> = {}) {
    const turnout = `turnout() { ${GO_ON[command] === undefined ? '' : 'exec '}'${process.execPath}' '${MAIN}' "$@"; }\n`
    const path = [dirname(process.execPath), process.env['PATH']].join(delimiter)
    const env = { ...process.env, PATH: path, TURNOUT_ADMIN: `http://127.0.0.1:${ports.admin}`, ...more }
    const child = spawn('sh', ['-c', turnout + placed(command)], { cwd: ROOT, env })
    onTestFinished(() => void child.kill('SIGKILL'))
    const wrote = { out: '', err: '' }
    child.stdout.on('data', (chunk) => {
      wrote.out += chunk
    })
    child.stderr.on('data', (chunk) => {
      wrote.err += chunk
    })
    return { child, wrote, ended: once(child, 'close') as Promise<[number | null]> }
  }

  // A whole release is one of them.
  test.each(commands.filter((command) => NOT_RUN[command] === undefined))('%s', async (command) => {
    const hook = command.includes(MIGRATION) ? (await startHook()).url : MIGRATION
    const { child, wrote, ended } = paste(command.replace(MIGRATION, hook))
    const goesOn = GO_ON[command]
    if (goesOn !== undefined) {
      await until(`${command} shows ${goesOn}`, () => goesOn.test(wrote.out + wrote.err))
      child.kill('SIGINT')
    }
    const [code] = await ended
    expect(code, wrote.err).toBe(0)
    expect(wrote.out + wrote.err).not.toBe('')
    // Curl is content with any answer.
    expect(wrote.out).not.toMatch(/"code":"/)
    for (const [which, shows] of SHOWS) if (which.test(command)) expect(wrote.out).toMatch(shows)
  })

  test('the CI job finds the pool without traffic, fails with 4 when the release goes back, and aborts when cancelled', async () => {
    const [{ text }] = blocks.filter(({ info }) => info === 'yml')
    const { jobs } = parse(text) as { jobs: { release: { steps: { run: string; if?: string }[] } } }
    const { steps } = jobs.release
    expect(steps.map(({ run }) => /start|deploy|abort|turnout=|to=/.exec(run)?.[0])).toEqual([
      'turnout=',
      'to=',
      'start',
      'deploy',
      'abort',
    ])
    const file = join(temporaryFolder(), 'env')
    writeFileSync(file, '')
    /** Runs a step as GitHub does, with what the steps before have left in the file of variables. */
    const runStep = async (run: string) => {
      const left = readFileSync(file, 'utf8').matchAll(/^(\w+)=(.*)$/gm)
      const set = Object.fromEntries([...left].map(([, name, value]) => [name, value]))
      const here = run.replace('node /opt/turnout/dist/main.js', `${process.execPath} ${MAIN}`)
      const env = { GITHUB_ENV: file, GITHUB_REF_NAME: '1.1', ...set }
      const { ended, wrote } = paste(here.replaceAll(' shop ', ' demo ').replace(/ shop$/, ' demo'), env)
      return { code: (await ended)[0], ...wrote }
    }
    await paste('turnout switch demo blue').ended
    await paste("curl -s -X POST 'http://127.0.0.1:3003/break?share=1'").ended
    const ends = []
    for (const { run } of steps.filter((step) => !step.run.startsWith('/opt/shop/start'))) ends.push(await runStep(run))
    expect(readFileSync(file, 'utf8')).toMatch(/^to=green$/m)
    expect(ends.map(({ code, err }) => [code, err])).toEqual([
      [0, ''],
      [0, ''],
      [4, expect.stringMatching(/^turnout: rollout r-\w+ was rolled back: \d+ of \d+ answers of green failed/)],
      [0, ''],
    ])
  })

  test('what is listed here as special is in the README', () => {
    expect(commands).toEqual(expect.arrayContaining([...Object.keys(NOT_RUN), ...Object.keys(GO_ON)]))
    for (const [which] of SHOWS) expect(commands.filter((command) => which.test(command))).not.toEqual([])
  })
})

/** A copy of a config on free ports, and with a store that leaves nothing behind. */
function freely(path: string): string {
  const copy = join(temporaryFolder(), 'turnout.yaml')
  const text = readFileSync(join(ROOT, path), 'utf8')
  writeFileSync(copy, text.replace(/:8080/, ':0').replace(/:9900/, ':0').replace('sqlite:./turnout.db', '"memory:"'))
  return copy
}

describe('the snippets of the README', () => {
  const snippets = blocks.filter(({ info }) => info.startsWith('yaml'))
  /** Where a snippet of a service is put. */
  const SERVICE = `services:
  shop:
    routes: [{ path: / }]
    pools:
      blue: { targets: ["http://127.0.0.1:3001"] }
      green: { targets: ["http://127.0.0.1:3003"] }
`
  test.each(snippets)('$info: $text loads', ({ info, text }) => {
    const whole = info === 'yaml service' ? SERVICE + text.replace(/^/gm, '    ') : text
    const loaded = parseSpec(whole, { env: { CI_TOKEN: 'x'.repeat(32) }, source: 'README.md' })
    expect('faults' in loaded ? loaded.faults.map(printFault) : []).toEqual([])
  })

  test('there are some of both kinds', () => {
    expect(new Set(snippets.map(({ info }) => info))).toEqual(new Set(['yaml', 'yaml service']))
  })
})

/** Defaults of the schema by key, as the documents write them. */
function schemaDefaults(): Record<string, string> {
  const loaded = parseSpec('services: { s: { routes: [{}], pools: { p: { targets: [] } } } }', { env: {}, source: '' })
  if ('faults' in loaded) throw new Error(JSON.stringify(loaded.faults))
  const { limits, timeouts, services } = loaded.spec
  const all = Object.entries({ ...limits, ...timeouts, ...services.s.timeouts })
  return Object.fromEntries(all.map(([key, value]) => [key, `${value}`]))
}

test('every link within the README leads to a heading, and the contents have every heading behind them', () => {
  const prose = README.replace(/^```[\s\S]*?^```/gm, '')
  const anchorOf = (title: string) =>
    title
      .toLowerCase()
      .replace(/[^a-z0-9 _-]/g, '')
      .replaceAll(' ', '-')
  const anchors = (text: string) => [...text.matchAll(/^##+ (.*)$/gm)].map(([, title]) => anchorOf(title))
  const links = (text: string) => [...text.matchAll(/\]\(#([^)]*)\)/g)].map(([, anchor]) => anchor)
  expect(links(prose).filter((anchor) => !anchors(prose).includes(anchor))).toEqual([])
  const [, contents, behind] = /^## Contents$([\s\S]*?)(^## [\s\S]*)/m.exec(prose)!
  expect(links(contents)).toEqual(anchors(behind))
})

/** Rows of the table in SECURITY.md that can be set, with the key of each value; null for one that is fixed. */
const SECURITY_ROWS: readonly (readonly [row: string, ...keys: (string | null)[]])[] = [
  ['head of a request: bytes · fields', 'headBytesMax', 'headersMax'],
  ['head of an answer: bytes · fields', 'headBytesMax', 'headersMax'],
  ['body of a request', 'bodyBytesMax'],
  ['client connections · of an address (IPv6: of a /64)', 'connectionsMax', 'connectionsPerAddressMax'],
  ['requests on a connection', 'requestsPerConnectionMax'],
  ['connections to a target, of a worker', 'upstreamConnectionsMax'],
  ['time for a whole head, from its first byte', 'head'],
  ['without a byte of a request body', 'body'],
  ['client that does not read', 'send'],
  ['idle client connection', 'keepAlive'],
  ['to connect to a target · until it answers', 'connect', 'response'],
  ['without a byte of an answer', 'idle'],
  ['copies of requests (`mirror`) that a worker has under way', 'mirrorsMax'],
  ['bytes of request bodies that a worker keeps for a rescue', 'keptBytesMax'],
  ['bytes of heads that a worker keeps for dry runs', 'sampleBytesMax'],
  ['targets that a client is tied to by a login of its connection · without a request of it', null, 'keepAlive'],
  ['tunnel without a byte · once a side has ended · of which a side does not read', null, null, 'send'],
  ['target that does not take the last of a tunnel', 'send'],
]
/** Keys that bound nothing that others could use up. */
const NO_BOUNDS = ['upstreamIdleMax', 'upstreamKeepAlive', 'shutdown']

test('the limits that SECURITY.md tells are those of the schema, and none is left out', () => {
  const text = readFileSync(join(ROOT, 'SECURITY.md'), 'utf8')
  const table = /^## Limits and defaults$([\s\S]*)/m.exec(text)![1]
  const told = new Map([...table.matchAll(/^\| ([^|]*) \| ([^|]*) \|/gm)].map(([, row, values]) => [row, values]))
  const defaults = schemaDefaults()
  for (const [row, ...keys] of SECURITY_ROWS) {
    const values = told
      .get(row)
      ?.split(' · ')
      .map((value) => value.replace(/, .*/, '').replace('no limit', '0'))
    expect({ row, values }).toEqual({ row, values: keys.map((key, i) => (key === null ? values?.[i] : defaults[key])) })
  }
  const covered = new Set([...SECURITY_ROWS.flatMap(([, ...keys]) => keys), ...NO_BOUNDS])
  expect(Object.keys(defaults).filter((key) => !covered.has(key))).toEqual([])
})
