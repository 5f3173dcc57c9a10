/** `--json` of every verb: what it prints is JSON, in each line; each failure is one line of JSON on standard error, with its stable code. One process for all. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { turnout } from '../cli/scripted.ts'
import { call, service, startProxy, temporaryFolder } from '../helpers/proxy.ts'
import { startNamed } from '../helpers/upstream.ts'

/** What each verb is called with where it does what is asked; `@` is a config file. */
const DONE: readonly string[] = [
  'status',
  'status shop',
  'split shop blue=90 green=10',
  'switch shop green',
  'switch shop=blue',
  'back shop',
  'switch shop blue',
  'drain shop green',
  'ready shop green --wait',
  'standby shop green',
  'maint shop green',
  'ready shop green',
  'hold shop --for 5s',
  'release shop',
  'maintenance on shop',
  'maintenance off shop',
  'switch shop blue',
  'deploy shop --to green --dry-run',
  'deploy shop --to green --strategy 10-50',
  'rollout show shop',
  'rollout pause shop',
  'rollout resume shop',
  'rollout list shop',
  'rollout abort shop',
  'explain http://shop.test/',
  'dry-run shop blue=1 green=1',
  'events',
  'events --type change',
  'history',
  'export',
  'diff @',
  'apply @ --dry-run',
  'apply @',
  'service list',
  'service set shop debugHeaders=true',
  'pool list shop',
  'pool add shop red targets=http://127.0.0.1:9',
  'pool set shop red version=3',
  'target list shop',
  'target add shop red http://127.0.0.1:8 weight=2',
  'target set shop red http://127.0.0.1:8 weight=3',
  'target remove shop red http://127.0.0.1:8',
  'rule list shop',
  'rule add shop staff when.header.x-staff=1 to=green',
  'rule set shop staff to=blue',
  'rule remove shop staff',
  'pool remove shop red',
  'restore 1 --force',
]

/** The same where it is refused, the code and the exit code. */
const REFUSED: readonly (readonly [line: string, code: string, exit: number])[] = [
  ['status shpo', 'not_found', 1],
  ['split shop blu=1', 'invalid', 1],
  ['switch shop gren', 'not_found', 1],
  ['back shpo', 'not_found', 1],
  ['drain shop blue', 'conflict', 1],
  ['ready shop blue 127.0.0.1:1', 'not_found', 1],
  ['standby shop blue', 'conflict', 1],
  ['maint shop blue', 'conflict', 1],
  ['hold shop --for 11m', 'invalid', 1],
  ['release shpo', 'not_found', 1],
  ['maintenance on shpo', 'not_found', 1],
  ['deploy shop --to green --strategy canry', 'invalid', 1],
  ['rollout promote shop', 'conflict', 1],
  ['explain http://', 'invalid', 1],
  ['dry-run shop blu=1', 'invalid', 1],
  ['events --service shpo', 'not_found', 1],
  ['history --limit 0', 'invalid', 1],
  ['restore 9999', 'not_found', 1],
  ['apply /nowhere', 'failed', 1],
  ['diff /nowhere', 'failed', 1],
  ['export --service shpo', 'not_found', 1],
  ['service remove shop', 'conflict', 1],
  ['pool remove shop gren', 'not_found', 1],
  ['target remove shop blue 127.0.0.1:1', 'not_found', 1],
  ['rule remove shop stff', 'not_found', 1],
  ['upgrade', 'conflict', 1],
  ['split shop blue=1 --if-match 1', 'stale_revision', 1],
  ['completion tcsh', 'usage', 2],
  ['man page', 'usage', 2],
  ['help nonsense', 'usage', 2],
  ['nonsense', 'usage', 2],
]

test('every verb prints JSON with --json, and its failures are JSON, with their codes', {
  timeout: 60_000,
}, async () => {
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const shop = service({ blue: [blue.url], green: [green.url] }, { split: { blue: 1, green: 0 } })
  const proxy = await startProxy({ services: { shop } })
  const file = join(temporaryFolder(), 'typed.yaml')
  writeFileSync(file, JSON.stringify({ services: { shop } }))
  const run = (url: string, line: string) =>
    turnout(url, ...line.split(' ').map((word) => (word === '@' ? file : word)), '--json')
  for (const line of DONE) {
    const { code, out, err } = await run(proxy.admin, line)
    expect([line, code], err + out).toEqual([line, 0])
    const lines = out.trimEnd().split('\n')
    expect(() => lines.map((text) => JSON.parse(text) as unknown), line).not.toThrow()
  }
  await call(proxy, 'POST', '/v1/services/shop/switch', { to: 'blue', wait: '0s' })
  const failure = ({ code, out, err }: Awaited<ReturnType<typeof run>>) => {
    const lines = err.trimEnd().split('\n')
    return {
      rc: code,
      out,
      ...(JSON.parse(lines[lines.length - 1]) as { code: string; exitCode: number; message: string }),
    }
  }
  for (const [line, code, exitCode] of REFUSED) {
    const told = failure(await run(proxy.admin, line))
    expect([line, told.code, told.exitCode, told.rc, told.out], told.message).toEqual([
      line,
      code,
      exitCode,
      exitCode,
      '',
    ])
  }
  const verbs = [...(await turnout('', '--help')).out.matchAll(/^ {2}([a-z]+(?:-[a-z]+)?) /gm)].map(([, name]) => name)
  for (const verb of verbs.filter((name) => !['serve', 'completion', 'man'].includes(name))) {
    const unknown = failure(await run('http://127.0.0.1:1', `${verb} --nonsense`))
    expect([verb, unknown.code, unknown.rc]).toEqual([verb, 'usage', 2])
    const line = DONE.find((each) => each.split(' ')[0] === verb) ?? verb
    const away = failure(await run('http://127.0.0.1:1', line))
    expect([verb, away.code, away.rc], away.message).toEqual([verb, 'unreachable', 3])
  }
  const tried = new Set([...DONE, ...REFUSED.map(([line]) => line)].map((line) => line.split(' ')[0]))
  expect(verbs.filter((name) => !tried.has(name))).toEqual(['serve'])
})
