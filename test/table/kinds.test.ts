/**
 * Every kind of condition, by its own example: in traffic, in explain, in a dry run, scanned and indexed, the same is found. The table is gone
 * over, so a new kind is tried without being named here. And so it is with who the visitor is, by every source.
 */
import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { completeService } from '../../src/config/check.ts'
import { planService } from '../../src/config/plan.ts'
import { CookieSigner } from '../../src/dataplane/cookie-signer.ts'
import { RequestHead } from '../../src/dataplane/http1/request-head.ts'
import { loadCountries } from '../../src/dataplane/lookups/countries.ts'
import { Lookups } from '../../src/dataplane/lookups/lookups.ts'
import { PostedRequest } from '../../src/dataplane/posted-request.ts'
import { HeadView } from '../../src/dataplane/request-view.ts'
import { Samples, samplesIn } from '../../src/dataplane/samples.ts'
import { neverTogether } from '../../src/table/conditions/contradictions.ts'
import type { Example, ExampleRequest } from '../../src/table/conditions/kind.ts'
import { KINDS, planWhen, type WhenSpec } from '../../src/table/conditions/kinds.ts'
import { decide } from '../../src/table/decide.ts'
import { explainDecision } from '../../src/table/explain.ts'
import { octetsOfText } from '../../src/table/octets.ts'
import { compileRules } from '../../src/table/rules.ts'
import type { RequestView, Table } from '../../src/table/types.ts'
import { visitorSource } from '../../src/table/visitor.ts'
import { bulk } from '../helpers/bulk.ts'
import { mmdbOf } from '../helpers/mmdb.ts'
import { makeDraw, makeOwn, makePlan, makeTable, NOW_MS, noLoad, packed } from './make.ts'

await loadCountries()
const signer = new CookieSigner(['k'.repeat(32)], 'abc123')
const HOST = 'shop.example.com'
const SERVICE = makeTable(makePlan()).services.get('shop')!

/** What an example does not say. */
const PLAIN: Required<ExampleRequest> = { method: 'GET', path: '/', headers: {}, ip: '192.0.2.1', atMs: NOW_MS }

const SECRET = 'a secret of the tests, long enough for HS256'

/** What the examples ask for beside the table, and by what tokens are believed. */
function lookups(): Lookups {
  const files = examples.flatMap(({ files = {} }) => Object.entries(files))
  const database = mmdbOf(Object.assign({}, ...examples.map(({ countries = {} }) => countries)))
  const memory = new SharedArrayBuffer(database.length)
  new Uint8Array(memory).set(database)
  return new Lookups(
    [
      ...files.map(([name, text]) => ({ kind: 'visitors' as const, name, memory: packed(text) })),
      { kind: 'countries', name: 'geo.mmdb', memory },
    ],
    'x-country',
    { secret: SECRET, issuer: null, audience: null },
  )
}

/** What traffic is decided by. */
function sent(example: ExampleRequest): RequestView {
  const { ip, atMs } = { ...PLAIN, ...example }
  const head = new RequestHead(65_536, 1_000)
  expect(head.parse(headOf(example))).toBeGreaterThan(0)
  const view = new HeadView(head, signer, () => atMs, lookups())
  view.address = ip
  view.isTrusted = true
  return view
}

function headOf(example: ExampleRequest): string {
  const { method, path, headers } = { ...PLAIN, ...example }
  const lines = Object.entries(headers).flatMap(([name, values]) =>
    [values].flat().map((value) => `${name}: ${octetsOfText(value)}\r\n`),
  )
  return `${method} ${path} HTTP/1.1\r\nHost: ${HOST}\r\n${lines.join('')}\r\n`
}

/** What a dry run is decided by. */
function sampled(example: ExampleRequest): RequestView {
  const { atMs, ip } = { ...PLAIN, ...example }
  const time = { nowMs: 0, wallMs: () => atMs }
  const samples = new Samples(65_536, { text: headOf(example) }, time)
  samples.note(SERVICE, ip, true)
  const [sample] = samplesIn(samples.lend()[0], SERVICE.slot)
  const request = new PostedRequest(65_536, 1_000, signer, () => sample.atMs, lookups())
  expect(request.readHead(sample.head, sample.address, sample.isTrusted)).toBeGreaterThan(0)
  return request.view
}

/** What explain is decided by. */
function posted(example: ExampleRequest): RequestView {
  const { method, path, headers, ip, atMs } = { ...PLAIN, ...example }
  const request = new PostedRequest(65_536, 1_000, signer, () => atMs, lookups())
  const lists = new Map(Object.entries(headers).map(([name, values]) => [name, [values].flat()]))
  expect(request.read({ method, authority: HOST, path, headers: lists, ip })).toBe(null)
  return request.view
}

/** Tables with these rules, scanned and indexed; the config is checked on the way, but for rules that never hold, which nobody could send. */
function tablesOf(whens: readonly WhenSpec[], visitor = ['header:x-user']): [scanned: Table, indexed: Table] {
  const rules = whens.map((when, n) => ({ name: `r${n}`, when, to: 'green' }))
  const pools = { blue: { targets: ['http://a'] }, green: { targets: ['http://b'] } }
  const body = { routes: [{}], pools, live: 'blue', visitor, rules }
  const checked = completeService(body)
  if ('faults' in checked) throw new Error(JSON.stringify(checked.faults))
  const table = makeTable(planService('shop', checked.spec))
  const service = table.services.get('shop')!
  const of = (scannedMax: number): Table => ({
    ...table,
    services: new Map([['shop', { ...service, rules: compileRules(service.plan.rules, scannedMax) }]]),
  })
  return [of(Infinity), of(0)]
}

/** The rule that is found, which is the same whoever asks, and is told alike. */
function found(whens: readonly WhenSpec[], request: ExampleRequest, visitor?: string[]): string | null {
  const told = tablesOf(whens, visitor).flatMap((table) =>
    [sent(request), posted(request), sampled(request)].map((view) => {
      const decision = decide(view, table, noLoad, makeDraw(), NOW_MS)
      const { rule, pool, reason, bucket, visitorHash, setCookie } = decision
      const who = [decision.visitor, bucket, visitorHash, setCookie]
      return JSON.stringify([rule, pool?.name, reason, who, explainDecision(decision)])
    }),
  )
  expect(new Set(told).size).toBe(1)
  return JSON.parse(told[0])[0]
}

interface NamedExample extends Example {
  readonly name: string
}
const examples: NamedExample[] = Object.entries(KINDS).flatMap(([name, { examples }]) =>
  examples.map((example: Example) => ({ name, ...example })),
)

describe.each(examples)('$name $spec', ({ name, spec, held, failed }) => {
  const when = { [name]: spec } as WhenSpec

  test('holds for the request of its example, and not for the other', () => {
    expect(found([when], held)).toBe('r0')
    expect(found([when], failed)).toBe(null)
  })

  test('is told in words', () => {
    const [table] = tablesOf([when])
    const why = explainDecision(decide(sent(held), table, noLoad, makeDraw(), NOW_MS))
    expect(why).toMatch(/^rule r0 sends (?!undefined).{4,} to green$/)
  })
})

const plain = fc
  .subarray(examples, { minLength: 1, maxLength: 2 })
  .map((chosen) => Object.fromEntries(chosen.map(({ name, spec }) => [name, spec])) as WhenSpec)
const { someWhen } = fc.letrec<{ someWhen: WhenSpec }>((tie) => ({
  someWhen: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    plain,
    fc.array(tie('someWhen'), { minLength: 1, maxLength: 3 }).map((any) => ({ any })),
    fc.array(tie('someWhen'), { minLength: 1, maxLength: 2 }).map((all) => ({ all })),
    tie('someWhen').map((not) => ({ not })),
    fc.tuple(plain, tie('someWhen')).map(([when, not]) => ({ ...when, not })),
  ),
}))
/** Requests that some of the examples hold for: later ones write over what earlier ones say. */
const someRequest = fc
  .array(fc.constantFrom(...examples.flatMap(({ held, failed }) => [held, held, failed])), { maxLength: 4 })
  .map((parts) => ({
    ...Object.assign({}, ...parts),
    headers: Object.assign({}, ...parts.map(({ headers }) => headers)),
  }))

test('many of all kinds are found alike by traffic, explain and a dry run, scanned and indexed; those that never hold never', () => {
  const hits = new Set<string | null>()
  let vain = 0
  fc.assert(
    fc.property(fc.array(someWhen, { maxLength: 30 }), someRequest, (whens, request) => {
      hits.add(found(whens, request))
      const never = whens.filter((when) => neverTogether(planWhen(when, 'r0'), { left: 300_000 }) !== null)
      vain += never.length
      if (never.length > 0) expect(found(never, request)).toBe(null)
    }),
    { numRuns: bulk(150, 1_000) },
  )
  // Not for want of rules that match, one and none among them, or that never hold; how many, is drawn.
  expect(hits.size).toBeGreaterThan(1)
  expect(vain).toBeGreaterThan(0)
})

const text = fc.constantFrom(
  'u-1',
  'u-17',
  'u-1, u-17',
  'Žofie',
  '€😀',
  '"u-17"',
  'u%2D17',
  'u+17',
  '',
  'k'.repeat(1_024),
  'k'.repeat(1_025),
)
const base64 = (value: object | string) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

/** A token with this subject, signed by the secret or by another one. */
function tokenOf(sub: unknown, isOurs: boolean): string {
  const signed = `${base64({ alg: 'HS256' })}.${base64({ sub })}`
  const mac = createHmac('sha256', isOurs ? SECRET : 'another')
    .update(signed)
    .digest('base64url')
  return `Bearer ${signed}.${mac}`
}

/** Our cookie, as it was signed or not quite. */
const ownCookie = fc
  .record({
    visitor: fc.constantFrom('u-1', 'u-17'),
    pool: fc.constantFrom('blue', 'green', 'gone'),
    pinned: fc.boolean(),
  })
  .chain((own) => fc.tuple(fc.constant(signer.sign('turnout', makeOwn(own))), fc.constantFrom('', '', 'A')))
  .map(([value, more]) => `turnout=${value}${more}`)

/** A request that says who sends it, in any of the ways or in none, and some of them twice. */
const ofSomebody = fc
  .record({
    user: fc.array(text, { maxLength: 2 }),
    uid: fc.array(fc.tuple(fc.constantFrom('', 'a=b; ', ' ; '), text), { maxLength: 2 }),
    own: fc.option(ownCookie, { nil: undefined }),
    sub: fc.option(fc.tuple(fc.oneof(text, fc.constantFrom(17, 1e21, null)), fc.boolean()), { nil: undefined }),
    query: fc.array(fc.tuple(fc.constantFrom('uid', 'u%69d', 'other'), text), { maxLength: 3 }),
    ip: fc.constantFrom('192.0.2.1', '192.0.2.17', '2001:db8::7'),
    accept: fc.constantFrom('*/*', 'text/html'),
  })
  .map(({ user, uid, own, sub, query, ip, accept }): ExampleRequest => {
    const pairs = query.map(
      ([name, value], at) => `${name}=${at === 0 ? encodeURIComponent(value) : value.replace(/[^!-~]/g, '')}`,
    )
    const cookies = [...uid.map(([before, value]) => `${before}uid=${value}`), ...(own === undefined ? [] : [own])]
    return {
      path: `/${pairs.length === 0 ? '' : `?${pairs.join('&')}`}`,
      ip,
      headers: {
        accept,
        'x-user': user,
        cookie: cookies,
        authorization: sub === undefined ? [] : tokenOf(...sub),
      },
    }
  })

const SOURCES = ['header:x-user', 'cookie:uid', 'jwt:sub', 'query:uid', 'cookie', 'address']

test('whoever sends a request, by each of the sources, is the same visitor for traffic, explain and a dry run', () => {
  const whens = [
    { visitor: ['Žofie', '€😀'] },
    { visitor: { file: './testers.txt' } },
    { share: 40, visitor: ['u-17', 'k'.repeat(1_024)] },
  ]
  const sources = new Set<string>()
  fc.assert(
    fc.property(fc.shuffledSubarray(SOURCES, { minLength: 1 }), ofSomebody, (visitor, request) => {
      found(whens, request, visitor)
      const [table] = tablesOf(whens, visitor)
      const service = table.services.get('shop')!
      const view = sent(request)
      sources.add(visitorSource(view, service.visitor, view.ownCookie(service))?.from ?? 'nowhere')
    }),
    { numRuns: bulk(150, 1_000) },
  )
  // Not for want of any of them.
  expect([...sources].sort()).toEqual(['address', 'cookie', 'header', 'jwt', 'nowhere', 'own', 'query'])
})

test('an empty list has nobody in it, whatever stands beside it', () => {
  const header = { 'x-internal': '1' }
  const request = { headers: { ...header, 'x-user': 'u' } }
  expect(found([{ header }], request)).toBe('r0')
  expect(found([{ header, visitor: [] }], request)).toBe(null)
  expect(found([{ header, cidr: [] }], request)).toBe(null)
})

test('a country that a client tells itself is not believed, nor one of two that a proxy passes on', () => {
  const country = (value: string | string[], isTrusted = true) => {
    const view = sent({ headers: { 'x-country': value }, ip: '198.51.100.7' }) as HeadView
    view.isTrusted = isTrusted
    return view.country()
  }
  expect([country('fr'), country('T1'), country('FR', false)]).toEqual(['FR', 'T1', 'AT'])
  for (const value of ['XX', '', 'FRA', 'F', '1F', ['FR', 'FR']]) expect([value, country(value)]).toEqual([value, 'AT'])
})
