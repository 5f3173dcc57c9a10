/**
 * The house rules (DESIGN §7) as a test: limits of size, who may import what, words that have one owner, no dead files, and
 * that what the documents say is so. Each rule is a function from facts to sentences of fault; the first block of tests
 * runs the rules on made-up files that break them, so that a rule that sees nothing is seen.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { posix } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseSpec, printFault } from '../src/config/load.ts'
import { ERRORS } from '../src/errors.ts'
import { type FileFacts, readFacts } from './helpers/source.ts'

const ROOT = new URL('..', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, ROOT), 'utf8')
const exists = (path: string) => existsSync(new URL(path, ROOT))

const FILE_LINES_MAX = 300
const FUNCTION_LINES_MAX = 70
/** Files longer than this open with a comment on what they are. */
const LINES_WITHOUT_OPENING = 60
const OPENING_LINES_MAX = 24

/** Where programs begin; a file that none of them reaches is dead. */
const ENTRIES = ['src/main.ts', 'src/demo/main.ts', 'src/config/schema-file.ts', 'src/dataplane/worker.ts']

/** No I/O, no clock, no chance: these import only each other and types. */
const PURE =
  /^src\/(table\/.*|config\/(?!load|schema-file)[a-z-]+|names\/(address|hosts-file|resolv-conf|srv|state|target-hosts|words)|dataplane\/http1\/.*|dataplane\/websocket\/.*|dataplane\/departures\/(open-place|pace|rebalance)|dataplane\/exchange\/attempt-outcome|dataplane\/waiting\/(queue|release-pace)|health\/(state|fault|outlier)|rollout\/(alpha-parts|asked|audit-line|clump|control-health|gates\/(gate-log|shortened)|given\/(ask|bounded|counted|fill|increments|keys|plan|poll|posted|steady|tally|told)|kept|ledger|limits|margin-test|notice|older-forms|origin-test|over-settings|pooled|refusals|rolling|rollout|runbook|schedule-asked|shape|shares|shift|slow-edge|sound|state|stored|strata|told|unsettled|verdict|window|wish|words)|control\/(allotments|apply|busy-elsewhere|carried|condition|delta|ended|fallback|fault-place|guards|holding|leaves-nobody|loaded|maintaining|merged-file|observe|part|patched|reconcile|releases|restored|standby-guard|stored|switch-guard|touched|trial-guard|warming|what-changed|written)|upgrade\/(match|messages|state)|store\/(old-status|parts|redis-answers|store)|cli\/same-version|change|cuts|if-match|limiter|errors|metrics\/(bins|departures|layout|maintenance|work))\.ts$/
/** Packages that compute and do nothing else, for the files that may use them at all (`OWNERS`). */
const PURE_PACKAGES = new Set(['typebox', 'yaml'])
const IMPURE_WORDS =
  /^(Date|new Date\(\)|Math\.random|process|performance|setTimeout|setInterval|setImmediate|queueMicrotask|AbortSignal\.timeout|crypto|fetch|console|Atomics)(\.|$)/
const CLOCK_WORDS =
  /^(globalThis\.)?(Date\.now|new Date\(\)|setTimeout|setInterval|AbortSignal\.timeout|performance\.now|process\.hrtime(\.bigint)?)$/
/** Deadlines of calls to other machines may be Node's own: such a signal needs nobody to cancel it once the answer is there. */
const DEADLINES = /^src\/(rollout\/(dry-run|gates\/(asker|hook-caller|hooks))|lookups\/watched-url)\.ts$/

/** Packages and modules with owners: nobody else imports them at run time. */
const OWNERS: readonly (readonly [module: RegExp, owner: RegExp])[] = [
  [/^(fastify|@fastify\/.*)$/, /^src\/admin\//],
  [/^prom-client$/, /^src\/metrics\//],
  [/^ioredis$/, /^src\/store\/redis/],
  [/^node:sqlite$/, /^src\/store\/sqlite/],
  [/^pino$/, /^src\/log\/log\.ts$/],
  [/^undici$/, /^src\/(health|rollout|demo|lookups)\//],
  // The demo is a program of its own, beside the proxy.
  [
    /^node:(net|tls|http2)$/,
    /^src\/(dataplane\/(socket\/|downstream\/listener\.ts$)|store\/redis-sentinels\.ts$|upgrade\/earlier\.ts$|demo\/)/,
  ],
  [/^node:ffi$/, /^src\/dataplane\/socket\/libc\.ts$/],
  [/^node:(http|https)$/, /^src\/(cli\/exchange\.ts$|demo\/)/],
  [/^node:worker_threads$/, /^src\/(dataplane\/(worker|heap)\.ts$|workers\/worker-slot\.ts$)/],
  [/^yaml$/, /^src\/config\//],
  [/^jose$/, /^src\/lookups\/content\.ts$/],
  [/^maxmind$/, /^src\/dataplane\/lookups\/countries\.ts$/],
  // Tests hold src/config/judge.ts against it.
  [/^ajv$/, /^$/],
  // Its types only: src/config/type.ts builds what it would.
  [/^typebox/, /^$/],
  [/^(node:)?dns(\/promises)?$/, /^src\/names\/resolvers\.ts$/],
  [/^(node:)?timers(\/promises)?$/, /^src\/clock\.ts$/],
]
/** These say why they take a module of Node in another way than by an import, which the owners above would tell of. */
const BUILTIN_TAKERS =
  /^src\/(admin\/connection|cli\/exchange|dataplane\/socket\/(libc|secure)|store\/sqlite-driver)\.ts$/
/** Parts of an owned module that open no socket and start no thread, so that anyone may use them. */
const HARMLESS: Readonly<Record<string, ReadonlySet<string>>> = {
  'node:net': new Set(['isIP', 'isIPv4', 'isIPv6']),
  'node:tls': new Set(['createSecureContext']),
  'node:worker_threads': new Set(['getEnvironmentData', 'setEnvironmentData']),
}

/** What every room may use of others at run time: the pure vocabulary, words of failures, the schema, addresses of targets, time, and the counters in shared memory. */
const COMMON_GROUND =
  /^src\/(errors|unanswered|unread|pem|clock|busy|change|cuts|if-match|limiter|table\/.*|config\/.*|metrics\/(alarm|batches|bins|counters|departures|gauges|layout|load|maintenance|news|visitors|work)|names\/(address|connect|target-hosts))\.ts$/
/** Uses between rooms beyond it, each with its reason. */
const DOORS: readonly (readonly [from: RegExp, to: RegExp, because: string])[] = [
  [/^src\/(workers|dataplane)\//, /^src\/log\/page\.ts$/, 'how lines of a worker reach the main thread'],
  [
    /^src\/lookups\//,
    /^src\/dataplane\/lookups\/(countries|lookups|tokens)\.ts$/,
    'what threads are given is made there, and looked up there for explain',
  ],
  [/^src\/workers\//, /^src\/dataplane\/heap\.ts$/, 'one limit of the heap for who gives it and who keeps it'],
  [/^src\/admin\//, /^src\/metrics\/[a-z-]+\.ts$/, 'status and /metrics show the same sums'],
  [
    /^src\/(admin|metrics|cli)\//,
    /^src\/rollout\/(rollout|verdict)\.ts$/,
    'one list of the states and outcomes of a rollout',
  ],
]

type Facts = ReadonlyMap<string, FileFacts>
type Rule = (facts: Facts) => string[]

/** The room of a file; none for the vocabulary and for what puts the rooms together, which knows all of them. */
const room = (path: string) => {
  const parts = path.split('/')
  return parts.length > 2 && parts[1] !== 'serve' ? parts[1] : null
}

/** A rule that looks at one file at a time. */
const each =
  (look: (file: FileFacts) => Iterable<string>): Rule =>
  (facts) =>
    [...facts.values()].flatMap((file) => [...look(file)])

const sizes = each(function* (file) {
  if (file.lines > FILE_LINES_MAX) yield `${file.path} has ${file.lines} lines`
  for (const { name, line, lines } of file.functions) {
    if (lines > FUNCTION_LINES_MAX) yield `${file.path}:${line} ${name} has ${lines} lines`
  }
})

const names = each(function* ({ path, classes, barrel }) {
  const parts = path.replace(/\.ts$/, '').split('/').slice(1)
  for (const part of parts) {
    if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(part)) yield `${path}: file names are lower-case`
    if (/(^|-)(utils?|common|helpers?|managers?|misc)(-|$)/.test(part)) yield `${path}: "${part}" says nothing`
  }
  for (const name of classes) if (/^I[A-Z]|Impl$/.test(name)) yield `${path}: class ${name}`
  if (barrel) yield `${path} only passes on what others export`
})

const comments = each(function* ({ path, text, lines, undocumented, classes }) {
  if (/\b(TODO|FIXME|XXX)\b/.test(text)) yield `${path} leaves something to do`
  const opening = /^(?:#!.*\n)?\/\*\*[\s\S]*?\*\//.exec(text)?.[0].split('\n').length ?? 0
  if (lines > LINES_WITHOUT_OPENING && (opening < 3 || opening > OPENING_LINES_MAX)) {
    yield `${path} opens with ${opening} lines of comment`
  }
  // A class is the noun of its file, so the opening may be the sentence on it.
  for (const name of opening > 0 ? undocumented.filter((name) => !classes.includes(name)) : undocumented)
    yield `${path} exports ${name} without a sentence on it`
})

const purity = each(function* ({ path, imports, words }) {
  if (!PURE.test(path)) return
  for (const { from, file, typeOnly, names: taken, line } of imports) {
    const package_ = from.split('/')[0]
    if (file === null && (PURE_PACKAGES.has(package_) || taken.every((name) => HARMLESS[from]?.has(name)))) continue
    if (file === null || (!typeOnly && !PURE.test(file))) yield `${path}:${line} is pure but imports ${from}`
  }
  for (const { word, line } of words) if (IMPURE_WORDS.test(word)) yield `${path}:${line} is pure but uses ${word}`
})

const owners = each(function* ({ path, imports, words }) {
  for (const { from, file, typeOnly, names: taken, line } of imports) {
    if (file !== null || typeOnly || taken.every((name) => HARMLESS[from]?.has(name))) continue
    const fault = OWNERS.some(([module, owner]) => module.test(from) && !owner.test(path))
    if (fault) yield `${path}:${line} imports ${from}, which it does not own`
  }
  for (const { word, line } of words)
    if (/\bgetBuiltinModule$/.test(word) && !BUILTIN_TAKERS.test(path))
      yield `${path}:${line} uses ${word}; import the module`
  if (path === 'src/clock.ts') return
  for (const { word, line } of words) {
    const isDeadline = word === 'AbortSignal.timeout' && DEADLINES.test(path)
    if (CLOCK_WORDS.test(word) && !isDeadline) yield `${path}:${line} uses ${word}; ask the clock`
  }
})

const claims = each(function* ({ path, text }) {
  const opening = /^(?:#!.*\n)?\/\*\*[\s\S]*?\*\//.exec(text)?.[0] ?? ''
  if (/(^|[.*] )Pure\b/.test(opening) && !PURE.test(path))
    yield `${path} says that it is pure, and nothing holds it to that`
})

const sideways = each(function* ({ path, imports }) {
  const own = room(path)
  // What every room uses may not lead into one.
  if ((own === null && !COMMON_GROUND.test(path)) || own === 'demo') return
  for (const { file, typeOnly, line } of imports) {
    if (file === null || typeOnly || room(file) === own || COMMON_GROUND.test(file)) continue
    if (!DOORS.some(([from, to]) => from.test(path) && to.test(file))) yield `${path}:${line} reaches over to ${file}`
  }
})

/** Files of this project that the file needs, types included. */
const needs = (file: FileFacts) => [...file.imports.flatMap((entry) => entry.file ?? []), ...file.urls]

const unbuilt = each(function* ({ path, urls }) {
  // The compiler rewrites imports, not URLs: in dist the file is called .js.
  for (const url of urls) if (url.endsWith('.ts')) yield `${path} names ${url} by a URL, which dist does not have`
})

const missing: Rule = (facts) =>
  [...facts.values()].flatMap((file) =>
    needs(file)
      .filter((path) => path.endsWith('.ts') && !facts.has(path))
      .map((path) => `${file.path} imports ${path}, which is not there`),
  )

/** Files that comments send their reader to, by the end of their path; those outside `src` by all of it. */
const astray: Rule = (facts) => {
  const ends = new Set(
    [...facts.keys()].flatMap((path) => path.split('/').map((_, at, all) => all.slice(at).join('/'))),
  )
  return [...facts.values()].flatMap(({ path, text }) =>
    [...text.matchAll(/^\s*(?:\/?\*|\/\/).*$/gm)]
      .flatMap(([comment]) => comment.match(/[\w/.-]+\.ts\b/g) ?? [])
      .filter((name) => !ends.has(name) && !exists(name))
      .map((name) => `${path} tells of ${name}, which is not there`),
  )
}

const dead: Rule = (facts) => {
  const alive = new Set(ENTRIES.filter((path) => facts.has(path)))
  for (const path of alive) {
    const file = facts.get(path)
    if (file !== undefined) for (const next of needs(file)) alive.add(next)
  }
  return [...facts.keys()].filter((path) => !alive.has(path)).map((path) => `nothing reaches ${path}`)
}

/** What each room of the data plane may know of the others, types included: the seams of DESIGN 6b. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  http1: [],
  socket: ['http1'],
  upstream: ['http1', 'socket'],
  websocket: [],
  departures: ['http1', 'websocket'],
  waiting: [],
  lookups: ['http1'],
  exchange: ['http1', 'socket', 'upstream', 'websocket', 'departures', 'waiting'],
  downstream: ['http1', 'socket', 'exchange'],
}

const layers = each(function* ({ path, imports }) {
  const inner = (file: string) => /^src\/dataplane\/([a-z0-9]+)\//.exec(file)?.[1]
  const own = inner(path)
  if (own === undefined) return
  for (const { file, line } of imports) {
    const other = file === null ? undefined : inner(file)
    if (other === undefined || other === own || LAYERS[own]?.includes(other)) continue
    yield `${path}:${line} knows ${file}`
  }
})

/** Cycles of imports at run time; each is told once. In the data plane types count, too: nobody there knows who uses him. */
const cycles: Rule = (facts) => {
  const done = new Set<string>()
  const found: string[] = []
  const walk = (path: string, trail: readonly string[]) => {
    const start = trail.indexOf(path)
    if (start >= 0) found.push([...trail.slice(start), path].join(' → '))
    if (start >= 0 || done.has(path)) return
    for (const { file, typeOnly } of facts.get(path)?.imports ?? []) {
      const counts = !typeOnly || (path.startsWith('src/dataplane/') && file?.startsWith('src/dataplane/'))
      if (file !== null && counts) walk(file, [...trail, path])
    }
    done.add(path)
  }
  for (const path of facts.keys()) walk(path, [])
  return found
}

/** The table of error codes, and the list of those that are counted: to stand there is no use. */
const CODE_TABLES = ['src/errors.ts', 'src/metrics/counters.ts']

/** Error codes that no file but the tables of them names. */
function unusedCodes(facts: Facts, codes: readonly string[]): string[] {
  const used = new Set<string>()
  for (const file of facts.values()) {
    if (CODE_TABLES.includes(file.path)) continue
    for (const text of file.strings) used.add(text)
    for (const { word } of file.words) if (word.startsWith('ERRORS.')) used.add(word.slice('ERRORS.'.length))
  }
  return codes.filter((code) => !used.has(code))
}

/** Code → status of the table under the heading on error codes; rows are `| \`code\` | status | … |`. */
function errorTable(markdown: string): Record<string, number> {
  const section = /^#+ .*error codes?.*$([\s\S]*?)(?=^#+ |$(?![\s\S]))/im.exec(markdown)?.[1] ?? ''
  const rows = section.matchAll(/^\|\s*`([a-z0-9_]+)`\s*\|\s*(\d{3})\s*\|/gm)
  return Object.fromEntries([...rows].map(([, code, status]) => [code, Number(status)]))
}

/** Paths of this repository that a document names: link targets, and words in backticks that look like one. */
function namedPaths(markdown: string): string[] {
  const prose = markdown.replace(/^```[\s\S]*?^```/gm, '')
  const links = [...prose.matchAll(/\]\(([^)\s#]+)[^)]*\)/g)].map(([, path]) => path)
  const words = [...prose.matchAll(/`([^`\s]+)`/g)].map(([, word]) => word)
  const looksLikeOne = (word: string) =>
    /^(src|test|bench|config|\.ci)\/[\w./-]*$/.test(word) || /^[A-Z][\w]*(\.md|file)$/.test(word)
  return [...links.filter((path) => !/^[a-z]+:/.test(path)), ...words.filter(looksLikeOne)]
}

/** What a Dockerfile copies from the checkout. */
function copiedPaths(dockerfile: string): string[] {
  return dockerfile
    .split('\n')
    .filter((line) => /^(COPY|ADD)\s/.test(line) && !line.includes('--from='))
    .flatMap((line) => line.split(/\s+/).slice(1, -1))
    .filter((word) => !word.startsWith('--'))
}

function sourceFiles(): Record<string, string> {
  const paths = readdirSync(new URL('src', ROOT), { recursive: true }).map(String)
  const sources = paths.filter((path) => path.endsWith('.ts')).map((path) => posix.join('src', path))
  return Object.fromEntries(sources.map((path) => [path, read(path)]))
}

describe('the rules see what breaks them', () => {
  const look = (rule: Rule, files: Record<string, string>) => rule(readFacts(files))
  const lines = (count: number) => 'void 0\n'.repeat(count)

  test('a file or function over the limit is found, and one at the limit is not', () => {
    const body = (count: number) => `function f() {\n${lines(count - 2)}}\n`
    expect(look(sizes, { 'src/a.ts': lines(300) })).toEqual([])
    expect(look(sizes, { 'src/a.ts': lines(301) })).toEqual(['src/a.ts has 301 lines'])
    expect(look(sizes, { 'src/a.ts': body(70) })).toEqual([])
    expect(look(sizes, { 'src/a.ts': body(71) })).toEqual(['src/a.ts:1 f has 71 lines'])
    expect(look(sizes, { 'src/a.ts': `const o = {\n  m() {\n${lines(80)}}}` })).toEqual(['src/a.ts:2 m has 82 lines'])
  })

  test('names that say nothing, barrels and prefixed classes are found', () => {
    expect(look(names, { 'src/a/string-utils.ts': '' })).toHaveLength(1)
    expect(look(names, { 'src/a/B.ts': '' })).toHaveLength(1)
    expect(look(names, { 'src/a.ts': 'class IThing {}\nclass ThingImpl {}\nclass Item {}' })).toHaveLength(2)
    expect(look(names, { 'src/a.ts': "export { b } from './b.ts'\nexport * from './c.ts'" })).toHaveLength(1)
    expect(look(names, { 'src/a.ts': "export { b } from './b.ts'\nexport const c = 1" })).toEqual([])
  })

  test('open ends, missing openings and undocumented exports are found', () => {
    expect(look(comments, { 'src/a.ts': '// TODO: more' })).toHaveLength(1)
    expect(look(comments, { 'src/a.ts': lines(61) })).toHaveLength(1)
    expect(look(comments, { 'src/a.ts': `/**\n * What.\n */\n${lines(61)}` })).toEqual([])
    expect(look(comments, { 'src/a.ts': 'export function f() {}' })).toHaveLength(1)
    expect(look(comments, { 'src/a.ts': '/** F. */\nexport function f() {}\nfunction g() {}' })).toEqual([])
  })

  test('a pure file may import types of anything here and values of pure files, nothing else', () => {
    const pure = (text: string) => look(purity, { 'src/table/a.ts': text })
    expect(pure("import type { A } from '../config/load.ts'\nimport { b } from './b.ts'")).toEqual([])
    expect(pure("import { a } from '../config/load.ts'")).toHaveLength(1)
    expect(pure("import { type A } from '../config/load.ts'")).toHaveLength(1)
    expect(pure("import type { A } from 'fastify'")).toHaveLength(1)
    expect(pure("import { createHash } from 'node:crypto'")).toHaveLength(1)
  })

  test('a file that says it is pure and is not looked at is found', () => {
    expect(look(claims, { 'src/store/a.ts': '/** What. Pure. */' })).toHaveLength(1)
    expect(look(claims, { 'src/store/a.ts': '/**\n * Pure, and small.\n */' })).toHaveLength(1)
    expect(look(claims, { 'src/store/a.ts': '/** What. */\n/** Pure. */', 'src/table/a.ts': '/** Pure. */' })).toEqual(
      [],
    )
  })

  test('a pure file may not ask for time, chance or the process, and comments and types are not taken for it', () => {
    const pure = (text: string) => look(purity, { 'src/change.ts': text })
    expect(pure('const a = Date.now() + Math.random()\nprocess.exit()\nsetTimeout(() => {}, 1)')).toHaveLength(4)
    expect(pure('const f = setTimeout')).toHaveLength(1)
    expect(pure('// Date.now()\nconst s = "Math.random()"\nlet d: Date\nconst o = { process: 1 }\no.process')).toEqual(
      [],
    )
  })

  test('an import or a timer outside its owner is found', () => {
    expect(look(owners, { 'src/store/a.ts': "import Fastify from 'fastify'" })).toHaveLength(1)
    expect(look(owners, { 'src/admin/a.ts': "import Fastify from 'fastify'" })).toEqual([])
    expect(look(owners, { 'src/store/a.ts': "import type { FastifyInstance } from 'fastify'" })).toEqual([])
    expect(look(owners, { 'src/config/a.ts': "import { isIP } from 'node:net'" })).toEqual([])
    expect(look(owners, { 'src/config/a.ts': "import { isIP, connect } from 'node:net'" })).toHaveLength(1)
    expect(
      look(owners, { 'src/a.ts': 'setInterval(f, 1)\nDate.now()\nnew Date()\nsocket.setTimeout(1)' }),
    ).toHaveLength(3)
    expect(look(owners, { 'src/a.ts': 'performance.now()\nprocess.hrtime.bigint()\nprocess.hrtime()' })).toHaveLength(3)
    expect(look(owners, { 'src/a.ts': "const { connect } = process.getBuiltinModule('node:net')" })).toHaveLength(1)
    expect(look(owners, { 'src/clock.ts': 'setInterval(f, 1)', 'src/b.ts': 'new Date(1)' })).toEqual([])
    expect(look(owners, { 'src/a.ts': 'AbortSignal.timeout(1)' })).toHaveLength(1)
    expect(look(owners, { 'src/rollout/dry-run.ts': 'AbortSignal.timeout(1)' })).toEqual([])
  })

  test('a value taken from another room is found, a type is not', () => {
    expect(look(sideways, { 'src/admin/a.ts': "import { x } from '../store/open.ts'" })).toHaveLength(1)
    expect(look(sideways, { 'src/admin/a.ts': "import type { X } from '../store/open.ts'" })).toEqual([])
    expect(look(sideways, { 'src/admin/a.ts': "import { x } from '../table/decide.ts'" })).toEqual([])
    expect(look(sideways, { 'src/main.ts': "import { x } from './store/open.ts'" })).toEqual([])
    expect(look(sideways, { 'src/clock.ts': "import { x } from './store/open.ts'" })).toHaveLength(1)
  })

  test('a room of the data plane that knows one above it is found, types included', () => {
    const exchange = (text: string) => look(layers, { 'src/dataplane/exchange/a.ts': text })
    expect(exchange("import type { C } from '../downstream/client.ts'")).toHaveLength(1)
    expect(exchange("import type { U } from '../upstream/upstream.ts'\nimport type { P } from '../plane.ts'")).toEqual(
      [],
    )
    const types = {
      'src/dataplane/a.ts': "import type { B } from './b.ts'",
      'src/dataplane/b.ts': "import type { A } from './a.ts'",
    }
    expect(look(cycles, types)).toHaveLength(1)
  })

  test('dead files, missing files and import cycles are found', () => {
    const files = {
      'src/main.ts': "import './a.ts'\nnew Worker(new URL('./w.ts', import.meta.url))",
      'src/a.ts': "import { b } from './b.ts'",
      'src/b.ts': "import type { A } from './a.ts'",
      'src/w.ts': "await import('./gone.ts')",
      'src/d.ts': "import './e.ts'",
      'src/e.ts': "import './d.ts'",
    }
    expect(look(dead, files)).toEqual(['nothing reaches src/d.ts', 'nothing reaches src/e.ts'])
    expect(look(missing, files)).toEqual(['src/w.ts imports src/gone.ts, which is not there'])
    expect(look(unbuilt, files)).toHaveLength(1)
    expect(look(cycles, files)).toEqual(['src/d.ts → src/e.ts → src/d.ts'])
  })

  test('a comment that names a file which is not there is found', () => {
    const files = { 'src/a/b.ts': '/** See c.ts, a/b.ts, b.ts and test/tidy.test.ts. */\nconst s = "d.ts"\n// a/d.ts' }
    expect(look(astray, files)).toEqual([
      'src/a/b.ts tells of c.ts, which is not there',
      'src/a/b.ts tells of a/d.ts, which is not there',
    ])
  })

  test('an error code that nothing uses is found', () => {
    const facts = readFacts({
      'src/errors.ts': "const a = 'x'",
      'src/metrics/counters.ts': "const codes = ['w', 'y']",
      'src/b.ts': "fail('y')\nERRORS.z",
    })
    expect(unusedCodes(facts, ['w', 'x', 'y', 'z'])).toEqual(['w', 'x'])
  })

  test('the table of error codes, named paths and copied paths are read from the documents', () => {
    const markdown =
      '# A\n| `no` | 1 |\n## Error codes\n| code | status |\n|---|---|\n| `a_b` | 404 | x |\n## B\n| `no` | 400 |\n'
    expect(errorTable(markdown)).toEqual({ a_b: 404 })
    expect(errorTable(markdown.slice(0, markdown.indexOf('## B')))).toEqual({ a_b: 404 })
    const prose =
      'See `src/a.ts`, [b](config/b.yaml#x), `npm test`, `LICENSEfile`, [web](https://x.y)\n```\n`src/no.ts`\n```\n'
    expect(namedPaths(prose)).toEqual(['config/b.yaml', 'src/a.ts', 'LICENSEfile'])
    expect(copiedPaths('FROM x\nCOPY a.json b ./\nCOPY --from=build /d ./d\nCOPY --chown=n:n c ./\n')).toEqual([
      'a.json',
      'b',
      'c',
    ])
  })
})

describe('the source keeps the house rules', () => {
  const facts = readFacts(sourceFiles())
  const rules: Readonly<Record<string, Rule>> = {
    [`files have at most ${FILE_LINES_MAX} lines, functions ${FUNCTION_LINES_MAX}`]: sizes,
    'names are lower-case nouns that say something, and nothing only passes on exports': names,
    'long files open with what they are, exports have a sentence, nothing is left to do': comments,
    'pure files know no clock, no chance and no system': purity,
    'what says that it is pure is looked at': claims,
    'packages, sockets and timers are used by their owners only': owners,
    'rooms do not reach over to each other': sideways,
    'rooms of the data plane know only those below them': layers,
    'every imported file is there': missing,
    'what a file names by URL is there once built': unbuilt,
    'every file that a comment names is there': astray,
    'every file is reached by a program': dead,
    'imports do not go in circles': cycles,
    'every error code is used': (all) => unusedCodes(all, Object.keys(ERRORS)),
  }
  for (const [sentence, rule] of Object.entries(rules)) test(sentence, () => expect(rule(facts)).toEqual([]))
})

describe('what the documents say is so', () => {
  test('the README lists every error code with its status, and no other', () => {
    expect(exists('README.md'), 'README.md with a section "Error codes" is still to be written').toBe(true)
    const codes = Object.fromEntries(Object.entries(ERRORS).map(([code, { status }]) => [code, status]))
    expect(errorTable(read('README.md'))).toEqual(codes)
  })

  test.each(['README.md', 'CONTRIBUTING.md'])('every path that %s names exists', (document) => {
    const paths = exists(document) ? namedPaths(read(document)) : [document]
    expect(paths.filter((path) => !exists(path))).toEqual([])
  })

  test('CONTRIBUTING.md names every room, and no other', () => {
    const folders = (path: string) =>
      readdirSync(new URL(path, ROOT), { withFileTypes: true }).flatMap((entry) =>
        entry.isDirectory() ? `${entry.name}/` : [],
      )
    const named = [...read('CONTRIBUTING.md').matchAll(/^ *- `(?:src\/)?([a-z0-9]+\/)`/gm)].map(([, name]) => name)
    // What puts the rooms together is no room.
    const rooms = [...folders('src'), ...folders('src/dataplane')].filter((name) => name !== 'serve/')
    expect(named.toSorted()).toEqual(rooms.toSorted())
  })

  test.each(readdirSync(new URL('config', ROOT)).filter((name) => name.endsWith('.yaml')))(
    'config/%s loads',
    (name) => {
      const text = read(`config/${name}`)
      // Examples may name secrets; any value of some length will do.
      const env = Object.fromEntries([...text.matchAll(/\$\{(\w+)/g)].map(([, variable]) => [variable, 'x'.repeat(32)]))
      const loaded = parseSpec(text, { env, source: name })
      expect('faults' in loaded ? loaded.faults.map(printFault) : []).toEqual([])
    },
  )

  test('every path that the Dockerfile copies exists', () => {
    const paths = copiedPaths(read('Dockerfile'))
    expect(paths).toContain('package.json')
    expect(paths.filter((path) => !exists(path))).toEqual([])
  })

  test('every file that a script of package.json or the Dockerfile runs exists', () => {
    const { scripts, bin } = JSON.parse(read('package.json'))
    const run = [
      ...Object.values<string>(scripts)
        .join('\n')
        .matchAll(/\b(?:node|-p) (\S+\.(?:ts|json))/g),
    ].map(([, path]) => path)
    // What the package and the image run is built from src by the same path.
    const built = [...Object.values<string>(bin), ...(read('Dockerfile').match(/dist\/[\w/]+\.js/g) ?? [])]
    const sources = built.map((path) => path.replace(/^dist/, 'src').replace(/\.js$/, '.ts'))
    expect(run.length).toBeGreaterThan(3)
    expect([...run, ...sources].filter((path) => !exists(path))).toEqual([])
  })

  test('.ci/run may be executed', () => {
    expect(statSync(new URL('.ci/run', ROOT)).mode & 0o111).toBe(0o111)
  })
})
