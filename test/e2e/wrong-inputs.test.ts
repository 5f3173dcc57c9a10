/** What people type wrongly, in one table: the exit code, one clear line first, and nothing has changed. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { turnout } from '../cli/scripted.ts'
import { call, service, startProxy, temporaryFolder } from '../helpers/proxy.ts'
import { startNamed } from '../helpers/upstream.ts'

const NO_SHPO = 'There is no service shpo (did you mean "shop"?).'
const NO_GREN = 'Service shop has no pool gren (it has blue, green).'

/** A line as it is typed, `@NAME` for a file of that text; the exit code; what its message says. */
const WRONG: readonly (readonly [line: string, code: number, message: string])[] = [
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
  ['switch shop blue --hold 11m', 1, '/hold/for: must be a duration of at most 10m, such as 500ms, 10s or 2m'],
  ['switch shop blue --hold 9s --queue many', 2, '--queue must be a whole number, not "many".'],
  ['switch shop blue --hold 9s --hook ftp://x', 1, '/hook/url: must be an http or https URL'],
  ['back shpo', 1, NO_SHPO],
  ['back shop', 1, 'Service shop has no split to go back to.'],
  ['drain shop', 2, 'usage: turnout drain SERVICE POOL [TARGET] '],
  ['drain shop gren', 1, NO_GREN],
  ['drain shop blue 127.0.0.1:1', 1, 'There is no target 127.0.0.1:1 in pool blue of shop (one that is there: '],
  ['drain shop blue --wait --timeout soon', 2, '--timeout must be a duration such as 30s, not "soon".'],
  ['hold shpo', 1, NO_SHPO],
  ['hold shop --for 11m', 1, '/for: must be a duration of at most 10m, such as 500ms, 10s or 2m'],
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
  ['rollout stop shop', 2, 'there is no rollout "stop": show, list, pause, resume, promote, abort.'],
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
  ['apply @{', 1, ' was not applied; nothing has changed.'],
  ['apply @{services:{shop:{routs:[]}}}', 1, '/services/shop/routs: unknown key "routs" (did you mean "routes"?)'],
  ['diff @{servces:{}}', 1, '/servces: unknown key "servces" (did you mean "services"?)'],
  ['export shop', 2, 'usage: turnout export [--service SERVICE]'],
  ['status shpo', 1, NO_SHPO],
  ['status --watch=5', 2, "Option '-w, --watch' does not take an argument. See turnout status --help."],
  ['status shop --if-match 1', 2, "Unknown option '--if-match'. See turnout status --help."],
  ['--admin= status', 2, '--admin is empty. See turnout status --help.'],
  ['--admin http://127.0.0.1:1 status', 3, 'The admin API at http://127.0.0.1:1 is out of reach: connection refused.'],
]

test('what is typed wrongly has its exit code and says what is wrong, and nothing changes', async () => {
  const { url } = await startNamed('blue')
  const shop = service({ blue: [url], green: [] }, { split: { blue: 1, green: 0 } })
  const proxy = await startProxy({ services: { shop } })
  const folder = temporaryFolder()
  const before = await call(proxy, 'GET', '/v1/services')
  for (const [line, code, message] of WRONG) {
    const file = (text: string): string => {
      writeFileSync(join(folder, 'typed.yaml'), text.replaceAll(':', ': '))
      return join(folder, 'typed.yaml')
    }
    const words = line.split(' ').map((word) => (word.startsWith('@') ? file(word.slice(1)) : word))
    const told = await turnout(proxy.admin, ...words)
    expect([line, told.code, told.out]).toEqual([line, code, ''])
    expect(told.err, line).toMatch(/^turnout: [^\n]+\n/)
    expect(told.err, line).toContain(message)
    // The system's own words say nothing to people.
    expect(told.err, line).not.toMatch(/\bE[A-Z]{4,}\b|at .*\.ts:|must match pattern|undefined/)
  }
  expect(await call(proxy, 'GET', '/v1/services')).toEqual(before)
})
