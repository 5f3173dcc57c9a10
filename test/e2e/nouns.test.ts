/** `service`, `pool`, `target` and `rule` against one running proxy. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { ServiceSpec } from '../../src/config/schema.ts'
import { outcome, problem, scripted, turnout } from '../cli/scripted.ts'
import { call, service, startProxy, temporaryFolder } from '../helpers/proxy.ts'
import { startNamed } from '../helpers/upstream.ts'

/** A proxy with `shop`: all traffic on blue; green has no target. */
async function start() {
  const [{ url }, other] = [await startNamed('blue'), await startNamed('green')]
  const proxy = await startProxy({
    services: { shop: service({ blue: [url], green: [] }, { split: { blue: 1, green: 0 } }) },
  })
  const run = async (line: string, ...more: string[]) => turnout(proxy.admin, ...line.split(' '), ...more)
  const spec = async (name = 'shop') => (await call<{ spec: ServiceSpec }>(proxy, 'GET', `/v1/services/${name}`)).spec
  return { proxy, run, spec, url, other: other.url }
}

test('services, pools, targets and rules are listed, added, changed and removed, each by what is there', async () => {
  const { run, spec, url, other } = await start()
  const done = async (line: string, ...more: string[]) => {
    const { code, out, err } = await run(line, ...more)
    expect([code, err]).toEqual([0, ''])
    return out
  }
  // Text stays text, however much it looks like a number.
  expect(await done(`pool add shop new version=1.10 targets=${other}`)).toMatch(/^shop new: added \(revision \d+, /)
  await done('pool set shop new version=1.20')
  expect((await spec()).pools.new).toMatchObject({ version: '1.20', targets: [other] })
  await done(`target add shop new http://127.0.0.1:9 weight=3`)
  await done(`target set shop new 127.0.0.1:9 weight=0`)
  expect(await done('target list shop')).toMatch(/\nnew +http:\/\/127.0.0.1:9 +0 +ready\n/)
  await done('target remove shop new 127.0.0.1:9')
  expect((await spec()).pools.new.targets).toEqual([other])
  await done('rule add shop staff when.header.x-internal=1 to=new')
  await done('rule add shop office to=new --first', 'when={cidr: [192.0.2.0/24], method: GET}')
  await done('rule add shop odd when.query.v=2 deny=green --before staff')
  await done('rule set shop office when.method=null pin=true')
  expect((await spec()).rules).toEqual([
    { name: 'office', to: 'new', when: { cidr: ['192.0.2.0/24'] }, pin: true },
    { name: 'odd', deny: 'green', when: { query: { v: '2' } } },
    { name: 'staff', to: 'new', when: { header: { 'x-internal': '1' } } },
  ])
  expect(await done('rule list shop')).toMatch(/1 +office +new +\{"cidr"/)
  for (const rule of ['office', 'odd', 'staff']) await done(`rule remove shop ${rule}`)
  await done('pool remove shop new')
  expect(Object.keys((await spec()).pools)).toEqual(['blue', 'green'])
  await done('service set shop health.path=/ok health.healthyAfter=1 sticky=false visitor=header:x-user,cookie')
  expect(await spec()).toMatchObject({
    health: { path: '/ok', healthyAfter: 1 },
    sticky: false,
    visitor: ['header:x-user', 'cookie'],
  })
  await done('service set shop health=null')
  expect((await spec()).health).toBeUndefined()
  const file = join(temporaryFolder(), 'api.yaml')
  writeFileSync(file, `routes: [{ host: api.test }]\npools: { blue: { targets: ["${url}"] } }\n`)
  await done(`service add api --file ${file} pools.blue.version=1.0 balance=random`)
  expect(await spec('api')).toMatchObject({ balance: 'random', pools: { blue: { version: '1.0', targets: [url] } } })
  expect(await done('service list')).toMatch(/^SERVICE .*\napi +blue 100 % +blue +api\.test\/\nshop .*\n$/)
  const { services } = JSON.parse(await done('service list --json')) as { services: { name: string }[] }
  expect(services.map(({ name }) => name)).toEqual(['api', 'shop'])
  await done('service remove api --force')
})

test('what is misspelt, there already or not there is refused with what was probably meant, and nothing changes', async () => {
  const { run, proxy, url } = await start()
  await run('rule add shop staff when.path=/x to=blue')
  const { revision } = await call<{ revision: number }>(proxy, 'GET', '/v1/services')
  const refused: readonly (readonly [line: string, code: number, message: string])[] = [
    ['pool ad shop x', 2, 'there is no pool "ad": did you mean add?'],
    ['pool frobnicate', 2, 'there is no pool "frobnicate": one of list, add, set, remove'],
    ['pools list shop', 2, 'there is no verb "pools". Here it is: turnout pool list SERVICE'],
    ['pool list', 2, 'usage: turnout pool list SERVICE'],
    ['pool add shop', 2, 'usage: turnout pool add SERVICE POOL KEY=VALUE…'],
    ['pool remove shop green now', 2, 'usage: turnout pool remove SERVICE POOL'],
    ['pool set shop green', 2, 'no settings are given: KEY=VALUE, or --file FILE.'],
    ['pool set shop green version', 2, 'A setting is KEY=VALUE, such as version=1.2, not "version".'],
    ['pool set shop green version=1 version=2', 2, 'The setting "version" is given twice.'],
    ['service set shop health.healthyAfter=', 2, 'The setting "health.healthyAfter" is empty; null takes it away.'],
    ['service set shop health={', 2, 'The setting "health" cannot be read: not valid YAML: '],
    ['target set shop blue x:1', 2, 'which weight? target set SERVICE POOL TARGET weight=N.'],
    ['target add shop blue x wieght=2', 2, 'of a target there is weight=N, a whole number, not "wieght=2".'],
    ['rule remove shop staff --file x', 2, '--file goes with add and set.'],
    ['pool list shpo', 1, 'There is no service shpo (did you mean "shop"?).'],
    ['pool set shop gren version=1', 1, 'Service shop has no pool gren (did you mean "green"? It has blue, green).'],
    ['pool add shop green version=1 targets=', 2, 'The setting "targets" is empty; null takes it away.'],
    [
      'pool add shop green version=1',
      1,
      'pool green of shop is there already, and nothing has changed; set changes it.',
    ],
    ['service add shop balance=random', 1, 'service shop is there already, and nothing has changed; set changes it.'],
    ['service set shop balnce=random', 1, 'unknown key "balnce" (did you mean "balance"?)'],
    ['service set shop balance=randm', 1, 'did you mean "random"?'],
    ['service set shop health.path=nowhere', 1, '"nowhere" is not a path that begins with "/"'],
    [`target add shop blue ${url}`, 1, ' is there already, and nothing has changed; set changes it.'],
    ['target remove shop blue 127.0.0.1:9', 1, 'There is no target 127.0.0.1:9 in pool blue of shop (did you mean "'],
    ['rule set shop stff to=blue', 1, 'Service shop has no rule stff (did you mean "staff"?).'],
    ['rule add shop staff to=blue', 1, 'rule staff of shop is there already, and nothing has changed; set changes it.'],
    ['rule add shop x to=gren when.path=/y', 1, 'gren'],
    ['service set shop --file /nowhere.yaml', 1, '/nowhere.yaml cannot be read: '],
    [`pool set shop blue version=2 --if-match ${revision - 1}`, 1, 'Service shop was changed by revision '],
  ]
  for (const [line, code, message] of refused) {
    const told = await run(line)
    expect([line, told.code, told.out]).toEqual([line, code, ''])
    expect(told.err).toContain(message)
  }
  expect(await call(proxy, 'GET', '/v1/services')).toMatchObject({ revision })
})

test('what somebody else has changed meanwhile is read again, and not lost; with a revision of their own it is refused', async () => {
  let asked = 0
  const spec = (rules: object[]) => ({
    revision: 40 + asked,
    name: 'shop',
    spec: { routes: [], pools: {}, rules },
    status: null,
  })
  const admin = await scripted({
    'GET /v1/services/shop': (response) => {
      asked++
      response.end(JSON.stringify(spec([{ name: `of-others-${asked}`, when: {}, to: 'blue' }])))
    },
    'PUT /v1/services/shop/rules': (response, { headers }) => {
      const isStale = headers['if-match'] !== '"42"'
      response.writeHead(isStale ? 412 : 200, { 'content-type': 'application/json' })
      response.end(JSON.stringify(isStale ? problem('stale_revision', 'Somebody was faster.') : outcome()))
    },
  })
  onTestFinished(admin.stop)
  const add = ['rule', 'add', 'shop', 'mine', 'when.path=/x', 'to=blue']
  expect((await turnout(admin.url, ...add)).code).toBe(0)
  expect(JSON.parse(admin.asked.at(-1)?.body ?? '')).toMatchObject([{ name: 'of-others-2' }, { name: 'mine' }])
  expect((await turnout(admin.url, ...add, '--if-match', '41')).err).toBe('turnout: Somebody was faster.\n')
  expect(asked).toBe(3)
})

test('a removal may wait for what is under way, and fails where that has not ended by then', async () => {
  const spec = { routes: [], pools: { blue: { targets: [] }, green: { targets: [] } }, rules: [] }
  const draining = { inFlight: 2, tunnels: 0, streams: 0, untilMs: null }
  let drained = true
  const admin = await scripted({
    'GET /v1/services/shop': [200, { revision: 40, name: 'shop', spec, status: null }],
    'DELETE /v1/services/shop/pools/green': (response) =>
      void response.end(JSON.stringify(outcome({ draining: { ...draining, drained } }))),
  })
  const remove = ['pool', 'remove', 'shop', 'green', '--force', '--wait', '60s']
  expect(await turnout(admin.url, ...remove)).toMatchObject({ code: 0, err: '' })
  expect(admin.asked.at(-1)?.url).toBe('/v1/services/shop/pools/green?force=true&wait=60s')
  drained = false
  const late = await turnout(admin.url, ...remove)
  expect([late.code, late.err]).toEqual([1, expect.stringContaining('something is under way there after 60s yet')])
  const wrong = await turnout(admin.url, 'pool', 'set', 'shop', 'green', 'version=1', '--wait', '60s')
  expect([wrong.code, wrong.err]).toEqual([2, 'turnout: --wait goes with remove.\n'])
})
