/** What people type wrongly, one test each: the exit code, one clear line, and nothing has changed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { turnout } from '../cli/scripted.ts'
import { http } from '../helpers/http.ts'
import { call, service, startProxy, type Proxy as TestProxy } from '../helpers/proxy.ts'

const NO_SHPO = 'There is no service shpo (did you mean "shop"?).'
const NO_GREN = 'Service shop has no pool gren (did you mean "green"? It has blue, green).'

/** A line as it is typed, `@TEXT` for a file of that text; the exit code; what its one line says; and where it has more to say, each further line. */
type Wrong = [line: string, code: number, message: string, more?: readonly string[]]
const WRONG: readonly Wrong[] = [
  ['split', 2, 'usage: turnout split SERVICE POOL=WEIGHT… [--wait DURATION] [--force] [--if-match REVISION]'],
  ['split shpo blue=1', 1, NO_SHPO],
  ['split shop blu=1', 1, '/weights/blu: unknown pool "blu" (did you mean "blue"?)'],
  ['split shop blue=0', 1, '/weights: every weight is 0: at least one pool must get requests'],
  ['split shop blue=-1', 2, 'The weight of "blue" must be a whole number, not "-1".'],
  ['split shop blue=99999999', 1, '/weights/blue: must be at most 1000000, found 99999999'],
  ['split shop blue=1 --wait soon', 2, '--wait must be a duration such as 10s, not "soon".'],
  ['split shop blue=1 --wait 11m', 1, '/wait: must be a duration of at most 10m, such as 500ms, 10s or 2m'],
  ['split shop blue=1 --forse', 2, "Unknown option '--forse' (did you mean --force?). See turnout split --help."],
  ['split shop blue=1 --if-match 99', 1, 'Service shop was changed by revision '],
  ['switch shop gren', 1, NO_GREN],
  ['switch shop=blue shpo=green', 1, NO_SHPO],
  [
    'switch shop blue --hold 11m',
    1,
    '/hold/for: must be a duration above 0 and of at most 10m, such as 500ms, 10s or 2m',
  ],
  ['switch shop blue --hold 9s --queue many', 2, '--queue must be a whole number, not "many".'],
  ['switch shop blue --hold 9s --hook ftp://x', 1, '/hook/url: must be an http or https URL'],
  ['switch shop blue=green', 2, 'A switch is SERVICE POOL, or SERVICE=POOL for each service, not "shop".'],
  ['back shpo', 1, NO_SHPO],
  ['back shop', 1, 'Service shop has no split to go back to: none was changed yet,'],
  ['drain shop', 2, 'usage: turnout drain SERVICE POOL [TARGET] '],
  ['drain shop gren', 1, NO_GREN],
  ['drain shop blue 127.0.0.1:1', 1, 'There is no target 127.0.0.1:1 in pool blue of shop (did you mean "127.0.0.1:'],
  ['drain shop blue --wait --timeout soon', 2, '--timeout must be a duration such as 30s, not "soon".'],
  ['hold shpo', 1, NO_SHPO],
  ['hold shop --for 11m', 1, '/for: must be a duration above 0 and of at most 10m, such as 500ms, 10s or 2m'],
  ['hold shop --only reads', 2, '--only must be writes, or all.'],
  ['hold shop --queue 0', 1, '/queue: must be at least 1'],
  ['release shpo', 1, NO_SHPO],
  ['maintenance shop on', 2, 'maintenance is on or off, not "shop".'],
  ['deploy shop', 2, 'which pool? deploy SERVICE --to POOL.'],
  ['deploy shop --to gren', 1, NO_GREN],
  ['deploy shop --to green --strategy canry', 1, 'no strategy is called "canry" (did you mean "canary"?)'],
  ['deploy shop --to green --bake soon', 1, '/bake: "soon" is not a duration such as 500ms, 2s, 5m, 1h or 7d'],
  ['deploy shop --to blue', 1, 'Pool blue has all the traffic already.'],
  ['deploy shop --to green', 1, 'Pool green has no targets, and no hook BeforeInstall that could bring some'],
  ['rollout show shpo', 1, NO_SHPO],
  ['rollout show shop', 1, 'Service shop has had no rollout yet.'],
  [
    'rollout stop shop',
    2,
    'there is no rollout "stop": here it is: turnout rollout abort SERVICE, or back SERVICE once it is over',
  ],
  ['rollout abrot shop', 2, 'there is no rollout "abrot": did you mean abort?'],
  ['rollout frobnicate shop', 2, 'there is no rollout "frobnicate": one of show, list, pause, resume, promote, abort.'],
  ['explain /x --ip 1.2.3', 1, '/ip: must be an IP address such as 10.0.0.7'],
  ['explain http://', 1, '/url: "http://" is not http://host/path or /path'],
  ['dry-run shop /nowhere', 1, '/nowhere cannot be read: there is no such file.'],
  ['dry-run shop @{splt:{blue:1}}', 1, '/splt: unknown key "splt" (did you mean "split"?)'],
  ['dry-run shop @{', 1, ' cannot be read: not valid YAML: '],
  ['events --since noon', 2, '--since must be a duration such as 10m, not "noon".'],
  ['events --service shpo', 1, NO_SHPO],
  ['history --limit many', 2, '--limit must be a whole number, not "many".'],
  ['history --limit 0', 1, '/limit: must be at least 1'],
  ['history --limit 99999', 1, '/limit: must be at most 1000'],
  ['history --before -1', 2, "Option '--before' argument is ambiguous. See turnout history --help."],
  ['restore 99', 1, 'There is no revision 99, or it is no longer kept.'],
  ['restore x', 2, 'REVISION must be a whole number, not "x".'],
  ['apply /nowhere.yaml', 1, '/nowhere.yaml cannot be read: there is no such file.'],
  ['apply /', 1, '/ cannot be read: it is a folder.'],
  ['apply @', 1, 'The file is empty.'],
  ['apply @{', 1, ' was not applied; nothing has changed.', ['typed.yaml:1:2: not valid YAML: ']],
  [
    'apply @{services:{shop:{routs:[]}}}',
    1,
    ' was not applied; nothing has changed.',
    [
      'typed.yaml:1:13: /services/shop/pools: missing key "pools"',
      'typed.yaml:1:20: /services/shop/routs: unknown key "routs" (did you mean "routes"?)',
    ],
  ],
  [
    'diff @{servces:{}}',
    1,
    ' has faults, so nothing can be told of it; nothing has changed.',
    ['unknown key "servces" (did you mean "services"?)'],
  ],
  ['export shop', 2, 'usage: turnout export [--service SERVICE]'],
  ['status shpo', 1, NO_SHPO],
  ['status --watch=5', 2, "Option '-w, --watch' does not take an argument. See turnout status --help."],
  ['status shop --if-match 1', 2, "Unknown option '--if-match'. See turnout status --help."],
  ['--admin= status', 2, '--admin is empty. See turnout status --help.'],
  [
    '--admin http://127.0.0.1:1 status',
    3,
    'The admin API at http://127.0.0.1:1 is out of reach: connection refused.',
    ['Is Turnout running?'],
  ],
  // Rollouts.
  ['deploy shpo --to green', 1, NO_SHPO],
  ['deploy shop --to green --dry-run --target http://127.0.0.1:1', 2, 'a dry run puts no targets'],
  ['deploy shop --to green --target ftp://127.0.0.1', 1, 'ftp'],
  ['deploy shop --to green --without sales', 1, 'sales'],
  [
    'deploy shop --to blue --target http://127.0.0.1:1',
    1,
    'pool blue has traffic, and what is new in it would get that at once, unjudged.',
    ['Nothing has changed. '],
  ],
  ['rollout pause shop', 1, 'Service shop has had no rollout yet.'],
  ['rollout abort shop --force', 1, 'Service shop has had no rollout yet.'],
  ['rollout promote shpo', 1, NO_SHPO],
  ['rollout show shop --force', 2, '--force goes with promote and abort.'],
  ['rollout list shop --if-match 3', 2, '--if-match goes with pause, resume, promote, abort: list changes nothing.'],
  ['rollout shop', 2, 'usage: turnout rollout'],
  // Holds, drains, states, maintenance.
  ['hold shop --for 0s', 1, '/for'],
  ['hold shop --for', 2, '--for'],
  ['switch shop green --only writes', 2, '--only is of a switch under a hold: give --hold too.'],
  ['drain shop blue --if-match 99', 1, 'Service shop was changed by revision '],
  ['ready shop blue 127.0.0.1', 1, 'There is no target 127.0.0.1 in pool blue of shop (did you mean "127.0.0.1:'],
  ['ready shop blue web-7:80', 1, 'There is no target web-7:80 in pool blue of shop (one that is there: 127.0.0.1:'],
  ['ready shop green web-7:80', 1, 'There is no target web-7:80 in pool green of shop: it has none.'],
  ['ready shop canary', 1, 'Service shop has no pool canary (it has blue, green).'],
  ['standby shop blue', 1, 'Nobody would be left to answer for shop'],
  ['maint shpo blue', 1, NO_SHPO],
  ['maintenance on shpo', 1, NO_SHPO],
  ['maintenance on', 2, 'usage: turnout maintenance'],
  [
    'maintenance on shop --for 5m',
    2,
    "Unknown option '--for' (did you mean --force?). See turnout maintenance --help.",
  ],
  // Upgrade and instances.
  ['upgrade now', 2, 'usage: turnout upgrade'],
  ['upgrade --timeout soon', 2, '--timeout must be a duration'],
  ['upgrade --timeout 11m', 2, '--timeout'],
  ['instances', 2, 'there is no verb "instances". Here it is: turnout status [SERVICE]'],
  ['restrat shop', 2, 'there is no verb "restrat"'],
  // Mirror, keys of visitors, rules, nouns.
  ['service set shop mirror.pool=gren', 1, 'gren'],
  ['service set shop mirror.pool=green mirror.share=101', 1, 'share'],
  ['service set shop visitor=jwt:', 1, 'visitor'],
  ['service set shop visitor=cokie:uid', 1, 'visitor'],
  ['service set shop sticky.maxAge=soon', 1, 'maxAge'],
  ['service set shop helth.path=/ok', 1, 'unknown key "helth" (did you mean "health"?)'],
  ['service set shpo health.path=/ok', 1, NO_SHPO],
  ['service add shop pools.blue.targets=http://127.0.0.1:1', 1, 'shop'],
  ['service remove shop', 1, 'shop'],
  ['pool remove shop gren', 1, NO_GREN],
  ['pool add shop blue', 2, 'no settings are given: KEY=VALUE, or --file FILE.'],
  ['target add shop blue ftp://x', 1, 'ftp'],
  ['target remove shop blue 127.0.0.1:1', 1, '127.0.0.1:1'],
  ['rule add shop staff when.header.x=1 to=gren', 1, 'gren'],
  ['rule add shop staff when.visitor.file=/nowhere to=green', 1, '/nowhere'],
  ['rule remove shop stff', 1, 'stff'],
]

let proxy: TestProxy
let folder = ''
let close = async () => {}
let before: unknown

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'turnout-typed-'))
  const target = http.createServer((_, response) => response.end('blue'))
  await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(target.address() as AddressInfo).port}`
  const shop = service({ blue: [url], green: [] }, { split: { blue: 1, green: 0 } })
  proxy = await startProxy({ services: { shop } }, { keep: true })
  close = async () => {
    await proxy.close()
    target.close()
    target.closeAllConnections()
  }
  before = await present()
})

afterAll(async () => {
  await close()
  rmSync(folder, { recursive: true })
})

/** All that a wrong input could have changed: the services with their revision, their states, the audit. */
const present = async () => [
  await call(proxy, 'GET', '/v1/services'),
  await call(proxy, 'GET', '/v1/audit'),
  (await call<{ rollouts: unknown }>(proxy, 'GET', '/v1/services/shop/rollouts')).rollouts,
]

test.each<Wrong>([...WRONG])('turnout %s', async (line, code, message, more = []) => {
  const file = (text: string): string => {
    writeFileSync(join(folder, 'typed.yaml'), text.replaceAll(':', ': '))
    return join(folder, 'typed.yaml')
  }
  const words = line.split(' ').map((word) => (word.startsWith('@') ? file(word.slice(1)) : word))
  const told = await turnout(proxy.admin, ...words)
  expect([told.code, told.out]).toEqual([code, ''])
  const [first, ...rest] = told.err.trimEnd().split('\n')
  expect(first).toContain(message)
  expect(first).toMatch(/^turnout: /)
  expect(rest).toEqual(more.map((text) => expect.stringContaining(text)))
  // The system's own words say nothing to people.
  expect(told.err).not.toMatch(/\bE[A-Z]{4,}\b|at .*\.ts:|must match pattern|undefined/)
  expect(await present()).toEqual(before)
})
