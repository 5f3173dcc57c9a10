/**
 * The reference page says what is so: each key of the schema is in it and described, its examples load, and every default that it shows
 * is what the plan has: a config without the key and one with the default written out come to the same, and one with another value
 * does not.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { closedToBegin } from '../../src/config/calendar.ts'
import { hooksOf } from '../../src/config/hooks.ts'
import { parseSpec, printFault } from '../../src/config/load.ts'
import { planHealth, planLimits, planService, planTimeouts } from '../../src/config/plan.ts'
import { defaultOf, keysOfSchema, type ReferenceKey } from '../../src/config/reference.ts'
import { EXAMPLES } from '../../src/config/reference-words.ts'
import { SpecSchema } from '../../src/config/schema.ts'
import type { RolloutSpec } from '../../src/config/schema-rollout.ts'
import { attemptOutcome } from '../../src/dataplane/exchange/attempt-outcome.ts'
import { EARLY_CLOSE_MS } from '../../src/dataplane/exchange/judged.ts'
import { HEALTHY_WITHIN } from '../../src/rollout/gates/replace.ts'
import { type Wish, wishOf } from '../../src/rollout/wish.ts'
import { redisSetting } from '../../src/store/redis-setting.ts'

const keys = keysOfSchema(SpecSchema as unknown as Readonly<Record<string, unknown>>)
const page = readFileSync(new URL('../../config/REFERENCE.md', import.meta.url), 'utf8')
const env = { CI_TOKEN: 'x'.repeat(32), REDIS_PASSWORD: 'x' }

/** Paths of all keys that the page tells of, by its headings, what else has the same keys, and its tables. */
function toldPaths(): Set<string> {
  const told = new Set<string>()
  let sections: string[] = []
  for (const line of page.split('\n')) {
    const heading = /^##+ (.*)$/.exec(line)?.[1]
    if (heading !== undefined) sections = [heading === 'The whole file' ? '' : `${heading}.`]
    const also = /The same keys: (.*)\.$/.exec(line)?.[1]
    for (const [, path] of also?.matchAll(/`([^`]+)`/g) ?? []) sections.push(`${path}.`)
    const key = /^\| `([^`]+)` \|/.exec(line)?.[1]
    if (key !== undefined) for (const section of sections) told.add(section + key)
  }
  return told
}

test('every key of the schema is in the page, and no other', () => {
  expect([...toldPaths()].sort()).toEqual([...new Set(keys.map(({ path }) => path))].sort())
})

test('every key is described, and of each that may be left out it is said what is so then', () => {
  expect(keys.filter(({ schema }) => !schema['description']).map(({ path }) => path)).toEqual([])
  // Of conditions at least one is needed; those that are not there are not asked.
  const silent = keys.filter(({ schema, isNeeded }) => !isNeeded && defaultOf(schema) === null)
  expect(silent.map(({ path }) => path).filter((path) => !path.startsWith('services.NAME.rules[].when.'))).toEqual([])
})

test('no cell of a table is cut by what it says', () => {
  const rows = page.split('\n').filter((line) => line.startsWith('| '))
  expect(rows.filter((row) => row.replaceAll('\\|', '').split('|').length !== 7)).toEqual([])
})

test('every link within the page leads to a heading', () => {
  const anchors = [...page.matchAll(/^##+ (.*)$/gm)].map(([, title]) =>
    title.toLowerCase().replace(/[^a-z0-9 _-]/g, ''),
  )
  const known = new Set(anchors.map((anchor) => anchor.replaceAll(' ', '-')))
  const links = [...page.matchAll(/\]\(#([^)]*)\)/g)].map(([, anchor]) => anchor)
  expect(links.filter((anchor) => !known.has(anchor))).toEqual([])
})

describe('examples', () => {
  const SERVICE = {
    routes: [{ path: '/' }],
    pools: {
      blue: { targets: ['http://127.0.0.1:3001', 'http://127.0.0.1:3002'] },
      green: { targets: ['http://127.0.0.1:3003'] },
    },
    live: 'blue',
  }
  test.each(Object.entries(EXAMPLES))('the example of %j loads', (section, text) => {
    const example = parse(text)
    const whole = section.startsWith('services.') ? { services: { shop: { ...SERVICE, ...example } } } : example
    const loaded = parseSpec(stringify(whole), { env, source: section })
    expect('faults' in loaded ? loaded.faults.map(printFault) : []).toEqual([])
  })

  test('each stands in the page', () => {
    for (const [section, text] of Object.entries(EXAMPLES))
      expect([section, page.includes(text)]).toEqual([section, true])
  })
})

/** Configs in which every map with keys stands somewhere; what excludes each other is in different ones. */
const FULL = [
  `
listeners: [{ address: "127.0.0.1:0" }]
admin: { address: "127.0.0.1:0", tokens: [{ name: ci, token: abcdefghijklmnopqrstuvwxyz }] }
trustedProxies: [10.0.0.0/8]
country: { header: cf-ipcountry }
jwt: { secret: abcdefghijklmnopqrstuvwxyz0123456789 }
limits: {}
timeouts: {}
log: {}
rolloutCommands: [/opt/hooks]
services:
  shop:
    routes: [{ host: shop.example.com }]
    pools:
      blue: { targets: ["http://127.0.0.1:3001", "http://127.0.0.1:3002"] }
      green: { targets: ["http://127.0.0.1:3003", "http://127.0.0.1:3004"] }
    split: { blue: 9, green: 1 }
    rules: [{ name: staff, when: { time: { from: 2026-12-24T18:00 } }, to: green }]
    sticky: {}
    health: {}
    drain: { tunnels: {} }
    timeouts: {}
    rescue: {}
    preview: { host: "{pool}.shop.example.com" }
    mirror: { pool: green }
    capacity: { requestsPerTarget: 200, queue: {} }
    maintenance: {}
    rollout:
      step: {}
      steps: [{ weight: 10, hooks: [{ url: "http://127.0.0.1:9000/step" }] }, { weight: 50 }]
      warmup: { requests: [{}] }
      smoke: [{}]
      announces: {}
      fingerprint: {}
      schedule: { notBefore: 2026-12-24 }
      hooks: [{ at: BeforeAllowTraffic, url: "http://127.0.0.1:9000/hook" }]
      capacity: { requestsPerTarget: 100 }
      verdict:
        rate: {}
        metrics:
          - { name: posted }
          - { name: counted, prometheus: "http://127.0.0.1:9090", bad: 'b{pool="{pool}"}', all: 'a{pool="{pool}"}' }
          - { name: bounded, prometheus: "http://127.0.0.1:9090", query: q, above: 1 }
      notify: [{ url: "http://127.0.0.1:9000/chat" }]
`,
  `
store: { redis: { url: "redis://127.0.0.1:6379" } }
services:
  shop:
    routes: [{ host: shop.example.com }]
    pools: { blue: { targets: ["http://127.0.0.1:3001", "http://127.0.0.1:3002"] } }
    rollout:
      strategy: rolling
      rolling: {}
      hooks: [{ at: UpdateTarget, url: "http://127.0.0.1:9000/update" }]
`,
]

type Json = Record<string, unknown>
const full = FULL.map((text) => parse(text) as Json)

const plans = new Map<string, Promise<unknown>>()

/** All that is made of a config, as it is run; null when it has a fault. Most are asked for more than once. */
function planned(config: unknown): Promise<unknown> {
  const text = JSON.stringify(config)
  const known = plans.get(text) ?? planOf(text)
  plans.set(text, known)
  return known
}

async function planOf(text: string): Promise<unknown> {
  const loaded = parseSpec(text, { env, source: 'test' })
  if ('faults' in loaded) return null
  const { services, limits, timeouts, store, ...process } = loaded.spec
  const { shop } = services
  if (shop === undefined) return { process, store }
  const { spec: asked, ...wish } = wishOf(shop.rollout, {}, shop.pools['blue'].targets)
  return {
    process,
    limits: planLimits(limits),
    timeouts: planTimeouts(timeouts),
    store: typeof store === 'string' ? store : await connectionOf(JSON.stringify(store)),
    plan: withoutWords(planService('shop', shop)),
    health: planHealth(shop),
    wish: wishedOf(wish),
    asked: askedOf(asked),
  }
}

/** How a Redis is spoken to. */
async function connectionOf(store: string): Promise<unknown> {
  const { prefix, client } = await redisSetting(store)
  const redis = client(false)
  redis.disconnect()
  return { prefix, database: redis.options.db }
}

/** What of the settings is read when its time comes, with what is done where they do not say. */
function askedOf({ rolling, notify = [], schedule, ...settings }: RolloutSpec): unknown {
  const { warmup, smoke, announces, fingerprint, capacity } = settings
  return {
    ...{ warmup, smoke, announces, fingerprint, capacity },
    hooks: hooksOf(settings).map(({ hook }) => hook),
    within: rolling?.within ?? HEALTHY_WITHIN,
    isText: notify.map(({ format }) => format === 'text'),
    begins: schedule === undefined ? null : closedToBegin(schedule, 0),
  }
}

/** What a wish says nothing of is decided by who asks for it. */
function wishedOf({ earlyCloseMs = EARLY_CLOSE_MS, failing, ...wish }: Omit<Wish, 'spec'>): unknown {
  const statuses = Array.from({ length: 500 }, (_, at) => 100 + at)
  return {
    ...wish,
    earlyCloseMs,
    failing: statuses.filter((status) => attemptOutcome(status, null, failing) === 'failed'),
  }
}

/** Without the words of conditions, which tell what is written. */
const withoutWords = (plan: unknown): unknown =>
  JSON.parse(JSON.stringify(plan, (key, value) => (key === 'text' ? undefined : value)))

/** The maps of a config at a path with names and lists in it. */
function mapsAt(value: unknown, steps: readonly string[]): Json[] {
  if (typeof value !== 'object' || value === null) return []
  const [step, ...rest] = steps
  if (step === undefined) return [value as Json]
  if (step === 'NAME') return Object.values(value).flatMap((member) => mapsAt(member, rest))
  const [, name, lists] = /^([^[]*)((?:\[\])*)$/.exec(step)!
  const member = (value as Json)[name]
  if (lists === '') return mapsAt(member, rest)
  return Array.isArray(member) ? member.flatMap((entry) => mapsAt(entry, rest)) : []
}

/** What a config is planned to with a key left out, and with it at this value. */
async function bothWays({ path }: ReferenceKey, value: unknown): Promise<{ without: unknown; having: unknown } | null> {
  const steps = path.split('.')
  const key = steps.pop()!
  for (const config of full) {
    const count = mapsAt(config, steps).length
    for (let at = 0; at < count; at++) {
      const [left, given] = [structuredClone(config), structuredClone(config)]
      delete mapsAt(left, steps)[at][key]
      mapsAt(given, steps)[at][key] = value
      const [without, having] = [await planned(left), await planned(given)]
      if (without !== null && having !== null) return { without, having }
    }
  }
  return null
}

describe('the defaults of the page are those of the plan', () => {
  const shown = keys.flatMap((key) => {
    const known = defaultOf(key.schema)
    return known !== null && 'value' in known ? [{ ...key, value: known.value }] : []
  })

  test.each(shown)('$path is $value when it is left out', async (key) => {
    const plans = await bothWays(key, key.value)
    expect(plans, 'no config of this test has the map around it').not.toBeNull()
    expect(plans!.having).toEqual(plans!.without)
  })

  test('a default that were another one would be seen', async () => {
    const unseen: string[] = []
    for (const key of shown) {
      const { path, value } = key
      if (typeof value !== 'number' && typeof value !== 'boolean') continue
      const others = typeof value === 'boolean' ? [!value] : [value + 1, value - 1, value / 2]
      let isSeen = false
      for (const other of others) {
        const both: Awaited<ReturnType<typeof bothWays>> = isSeen ? null : await bothWays(key, other)
        isSeen ||= both !== null && JSON.stringify(both.having) !== JSON.stringify(both.without)
      }
      if (!isSeen) unseen.push(path)
    }
    expect(unseen).toEqual([])
  })
})
