import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { outcome, problem, scripted, start, turnout } from './scripted.ts'
import { Terminal } from './terminal.ts'

const NOW = '(revision 7, epoch 9, applied in 1.3 ms)'

async function file(text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'turnout-cli-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  await writeFile(join(folder, 'turnout.yaml'), text)
  return join(folder, 'turnout.yaml')
}

describe('verbs that change something', () => {
  it('split puts the weights and tells the shares', async () => {
    const split = { blue: 90, green: 10 }
    const admin = await scripted({ 'PUT /v1/services/shop/split': [200, outcome({ service: 'shop', split })] })
    const { code, out, err } = await turnout(admin.url, 'split', 'shop', 'blue=90', 'green=10')
    expect([code, out, err]).toEqual([0, `shop: blue 90 %, green 10 % ${NOW}\n`, ''])
    expect(JSON.parse(admin.asked[0].body)).toEqual({ weights: split })
  })

  it('switch posts the pool', async () => {
    const admin = await scripted({
      'POST /v1/services/shop/switch': [200, outcome({ split: { blue: 0, green: 1 } })],
    })
    expect((await turnout(admin.url, 'switch', 'shop', 'green')).out).toBe(`shop: green 100 % ${NOW}\n`)
    expect(JSON.parse(admin.asked[0].body)).toEqual({ to: 'green' })
  })

  it('what hands only a part over yet is told to people, since the split alone does not say it', async () => {
    const split = { blue: 0, green: 1 }
    const answer = outcome({ split, warming: { green: Date.now() + 29_900 } })
    const admin = await scripted({ 'POST /v1/services/shop/switch': [200, answer] })
    expect((await turnout(admin.url, 'switch', 'shop', 'green')).err).toBe(
      'turnout: green warms up for 30 s: until then others go on with a part of its share (slowStart).\n',
    )
    expect((await turnout(admin.url, 'switch', 'shop', 'green', '--json')).err).toBe('')
  })

  it('hold says how, and when it ends by itself; release sends no body; what is no hold is bad usage', async () => {
    const admin = await scripted({
      'POST /v1/services/shop/hold': [200, outcome({ untilMs: Date.now() + 9_900 })],
      'POST /v1/services/shop/release': [200, outcome()],
    })
    const held = await turnout(admin.url, 'hold', 'shop', '--for', '10s', '--only', 'writes', '--queue', '500')
    expect(held.out).toBe(`shop: held for 10 s at most; turnout release shop ends it ${NOW}\n`)
    expect(JSON.parse(admin.asked[0].body)).toEqual({ for: '10s', only: 'writes', queue: 500 })
    expect((await turnout(admin.url, 'release', 'shop')).out).toBe(`shop: released ${NOW}\n`)
    expect(admin.asked[1].body).toBe('')
    const wrong = await turnout(admin.url, 'hold', 'shop', '--only', 'reads')
    expect([wrong.code, wrong.err]).toEqual([2, 'turnout: --only must be writes, or all.\n'])
  })

  it('what is left of a time is told by the clock of the server, whose may be another than ours', async () => {
    for (const aheadMs of [3_600_000, -3_600_000]) {
      const nowMs = Date.now() + aheadMs
      const admin = await scripted({
        'POST /v1/services/shop/hold'(response) {
          response.writeHead(200, { 'content-type': 'application/json', date: new Date(nowMs).toUTCString() })
          response.end(JSON.stringify(outcome({ untilMs: nowMs + 30_000 })))
        },
      })
      const { out } = await turnout(admin.url, 'hold', 'shop')
      expect(Number(/^shop: held for (\d+) s at most/.exec(out)?.[1])).toSatisfy((left) => left >= 28 && left <= 32)
    }
  })

  it('switch under a hold says how, and tells whom it has held; several services go in one call; what is of a hold needs one', async () => {
    const held = { requests: 12, forMs: 3_210, hookMs: 3_000 }
    const admin = await scripted({
      'POST /v1/services/shop/switch': [200, outcome({ split: { blue: 0, green: 1 }, held })],
      'POST /v1/switch': [200, outcome({ to: {} })],
    })
    const hold = ['--hold', '10s', '--only', 'writes', '--hook', 'http://ci/m']
    const { out } = await turnout(admin.url, 'switch', 'shop', 'green', ...hold)
    expect(out).toBe(`shop: green 100 %; held 12 requests for 3.2 s, the hook took 3 s ${NOW}\n`)
    expect(JSON.parse(admin.asked[0].body)).toEqual({
      to: 'green',
      hold: { for: '10s', only: 'writes' },
      hook: { url: 'http://ci/m' },
    })
    const both = await turnout(admin.url, 'switch', 'shop=green', 'api=green')
    expect(both.out).toBe(`shop: green 100 %; api: green 100 % ${NOW}\n`)
    expect(JSON.parse(admin.asked[1].body)).toEqual({ to: { shop: 'green', api: 'green' } })
    const wrong = await turnout(admin.url, 'switch', 'shop', 'green', '--hook', 'http://ci/m')
    expect([wrong.code, wrong.err]).toEqual([2, 'turnout: --hook is of a switch under a hold: give --hold too.\n'])
    expect((await turnout(admin.url, 'switch', 'shop')).code).toBe(2)
  })

  it('maintenance is switched on and off by name; any other word is bad usage', async () => {
    const admin = await scripted({ 'PUT /v1/services/shop/maintenance': [200, outcome()] })
    const on = await turnout(admin.url, 'maintenance', 'on', 'shop')
    expect(on.out).toBe(`shop: visitors are answered by the maintenance page ${NOW}\n`)
    expect((await turnout(admin.url, 'maintenance', 'off', 'shop')).out).toBe(`shop: visitors are served ${NOW}\n`)
    expect(admin.asked.map(({ body }) => JSON.parse(body))).toEqual([{ on: true }, { on: false }])
    const wrong = await turnout(admin.url, 'maintenance', 'shop', 'on')
    expect([wrong.code, wrong.err]).toEqual([2, 'turnout: maintenance is on or off, not "shop".\n'])
  })

  it('draining the last ready target of a pool with traffic says that others have it now', async () => {
    const told = async (aimed: number, ...states: string[]) => {
      const pools = [{ name: 'blue', share: { aimed }, targets: states.map((admin) => ({ admin })) }]
      const admin = await scripted({
        'PUT /v1/services/shop/pools/blue/targets/h%3A1/state': [200, outcome()],
        'GET /v1/services/shop/status': [200, { pools }],
      })
      return (await turnout(admin.url, 'drain', 'shop', 'blue', 'h:1')).err
    }
    expect(await told(0.9, 'drain', 'maint')).toBe(
      'turnout: that was the last ready target of blue: others have its 90 % of the traffic now (SEEN in turnout status shop)\n',
    )
    expect(await told(0.9, 'drain', 'ready')).toBe('')
    expect(await told(0, 'drain')).toBe('')
  })

  it('pool remove tells what is still under way there', async () => {
    const draining = { inFlight: 3, tunnels: 40, streams: 1, untilMs: 29_900, drained: false }
    const admin = await scripted({
      'DELETE /v1/services/shop/pools/blue': [200, outcome({ draining })],
      'GET /v1/services/shop': [200, { revision: 7, spec: { pools: { blue: { version: '1', targets: [] } } } }],
    })
    const clock = { ...systemClock, nowMs: () => 0 }
    const { code, wrote } = start(['pool', 'remove', 'shop', 'blue'], { TURNOUT_ADMIN: admin.url }, true, { clock })
    expect(await code).toBe(0)
    expect(wrote.err).toBe(
      'turnout: It drains: 3 requests and 40 tunnels were under way there, and end first, tunnels over 30 s.\n',
    )
  })

  it('deploy puts targets into what it has read only: where a split has come in between it is read again, and refused', async () => {
    const [blue, green] = [
      { version: '1', targets: [] },
      { version: '2', targets: ['http://h:1'] },
    ]
    const read = (revision: number, split: object) => ({ revision, spec: { pools: { blue, green }, split } })
    const admin = await scripted({
      'GET /v1/services/shop': [200, read(41, { blue: 100, green: 0 })],
      'PUT /v1/services/shop/pools/green': (response, { headers }) => {
        const isStale = headers['if-match'] === '"41"'
        admin.script['GET /v1/services/shop'] = [200, read(42, { blue: 90, green: 10 })]
        response.writeHead(isStale ? 412 : 200, { 'content-type': 'application/json' })
        response.end(JSON.stringify(isStale ? problem('stale_revision', 'Too late.') : outcome()))
      },
      'POST /v1/services/shop/rollouts': [409, problem('conflict', 'It runs.')],
    })
    const { code, err } = await turnout(admin.url, 'deploy', 'shop', '--to', 'green', '--target', 'http://h:2')
    expect([code, err]).toEqual([1, expect.stringContaining('turnout: pool green has traffic')])
    expect(admin.asked.map(({ method }) => method)).toEqual(['GET', 'PUT', 'GET'])
  })

  it('service add puts nothing in the place of a service that somebody else has added meanwhile', async () => {
    const admin = await scripted({
      'PUT /v1/services/shop': (response, { headers }) => {
        const isStale = headers['if-none-match'] === '*'
        admin.script['GET /v1/services/shop'] = [200, { revision: 8, spec: {} }]
        response.writeHead(isStale ? 412 : 200, { 'content-type': 'application/json' })
        response.end(JSON.stringify(isStale ? problem('stale_revision', 'It is there.') : outcome()))
      },
    })
    const { code, err } = await turnout(admin.url, 'service', 'add', 'shop', 'pools.blue.targets=http://h:1')
    expect([code, err]).toEqual([
      1,
      'turnout: service shop is there already, and nothing has changed; set changes it.\n',
    ])
  })

  it('back sends no body, and tells the split that is back and what a second one would return to', async () => {
    const admin = await scripted({
      'GET /v1/services/shop': [200, { revision: 7, status: { previous: { weights: { blue: 0, green: 1 } } } }],
      'POST /v1/services/shop/back': [200, outcome({ split: { blue: 3, green: 1 } })],
    })
    const { out, err } = await turnout(admin.url, 'back', 'shop')
    expect(out).toBe(`shop: blue 75 %, green 25 % ${NOW}\n`)
    expect(err).toBe('turnout: back again would return to green 100 %; turnout history has all that was before\n')
    expect(admin.asked[0].body).toBe('')
    expect(admin.asked[0].headers['content-type']).toBeUndefined()
  })

  it('back says nothing of a second one where there is none, as behind a rollout that it has ended', async () => {
    const admin = await scripted({
      'GET /v1/services/shop': [200, { revision: 7, status: { previous: null } }],
      'POST /v1/services/shop/back': [200, outcome({ split: { blue: 1, green: 0 } })],
    })
    expect((await turnout(admin.url, 'back', 'shop')).err).toBe('')
  })

  it.each(['drain', 'ready', 'standby', 'maint'])('%s sets the state of a pool or of one target', async (state) => {
    const admin = await scripted({
      'PUT /v1/services/shop/pools/blue/state': [200, outcome()],
      'PUT /v1/services/shop/pools/blue/targets/127.0.0.1%3A3001/state': [200, outcome({ changed: false })],
    })
    expect((await turnout(admin.url, state, 'shop', 'blue')).out).toBe(`shop blue: ${state} ${NOW}\n`)
    const { out } = await turnout(admin.url, state, 'shop', 'blue', '127.0.0.1:3001')
    expect(out).toBe(`shop blue 127.0.0.1:3001: ${state} (it was so already, revision 7)\n`)
    expect(admin.asked.map(({ body }) => body)).toEqual(Array(2).fill(JSON.stringify({ state })))
  })

  it('--timeout goes with --wait, and is a duration', async () => {
    const admin = await scripted({})
    for (const [argv, says] of [
      [['--timeout', '1s'], '--timeout goes with --wait.'],
      [['--wait', '--timeout', 'soon'], '--timeout must be a duration such as 30s, not "soon".'],
    ] as const) {
      expect(await turnout(admin.url, 'drain', 'shop', 'blue', ...argv)).toMatchObject({
        code: 2,
        err: expect.stringContaining(says),
      })
    }
    expect(admin.asked).toEqual([])
  })

  it.each(['http://10.0.0.5', 'HTTP://10.0.0.5:80/', '10.0.0.5', '10.0.0.5:80'])(
    'drain --wait waits for the target %s, however the pool has it',
    async (written) => {
      const there = { ...target, target: '10.0.0.5:80', url: 'http://10.0.0.5:80', admin: 'drain', ...traffic }
      const others = { ...target, ...traffic, drained: false }
      const admin = await scripted({
        [`PUT /v1/services/shop/pools/blue/targets/${encodeURIComponent(written)}/state`]: [200, outcome()],
        'GET /v1/services/shop/status': [
          200,
          { ...view, pools: [{ ...pool, targets: [others, { ...there, drained: true }] }] },
        ],
      })
      const { code, out, err } = await turnout(admin.url, 'drain', 'shop', 'blue', written, '--wait')
      expect([code, out, err]).toEqual([0, `shop blue ${written}: drain, and drained ${NOW}\n`, ''])
    },
  )

  it('drain --wait names the instances for which it waits', async () => {
    const there = { ...target, admin: 'drain', ...traffic, inFlight: 0, tunnels: 0, drained: false }
    const targets = [
      { ...there, busyElsewhere: ['web-2:7', 'web-3:7'] },
      { ...there, busyElsewhere: ['web-2:7'] },
    ]
    const admin = await scripted({
      'PUT /v1/services/shop/pools/blue/state': [200, outcome()],
      'GET /v1/services/shop/status': [200, { ...view, pools: [{ ...pool, admin: 'drain', targets }] }],
    })
    expect(await turnout(admin.url, 'drain', 'shop', 'blue', '--wait', '--timeout', '0s')).toMatchObject({
      code: 1,
      err: expect.stringContaining('blue: something may be under way through web-2:7, web-3:7'),
    })
  })

  it('ready --wait waits for what is asked now, and for nobody in maintenance, where nobody is probed', async () => {
    const one = { ...target, ...traffic, drained: false, health: 'healthy' }
    const outcomeOf = async (...targets: object[]) => {
      const admin = await scripted({
        'PUT /v1/services/shop/pools/blue/state': [200, outcome()],
        'GET /v1/services/shop': [200, { spec: { health: { path: '/' } } }],
        'GET /v1/services/shop/status': [200, { ...view, pools: [{ ...pool, targets }] }],
      })
      return turnout(admin.url, 'ready', 'shop', 'blue', '--wait', '--timeout', '0s')
    }
    expect(await outcomeOf({ ...one, proven: false })).toMatchObject({
      code: 1,
      err: expect.stringContaining('127.0.0.1:3001 is not probed yet'),
    })
    const out = { ...one, admin: 'maint', proven: false, health: 'unknown' }
    expect((await outcomeOf({ ...one, proven: true }, out)).code).toBe(0)
    // An older Turnout does not say.
    expect((await outcomeOf(one)).code).toBe(0)
    expect(await outcomeOf(out)).toMatchObject({
      code: 1,
      err: expect.stringContaining('blue is in maintenance, where nobody is probed.'),
    })
  })

  it('drain --wait ends when somebody makes it ready again, and ready --wait names who is not healthy', async () => {
    const status = (more: object) => ({ ...view, pools: [{ ...pool, targets: [{ ...target, ...traffic, ...more }] }] })
    const admin = await scripted({
      'PUT /v1/services/shop/pools/blue/state': [200, outcome()],
      'GET /v1/services/shop': [200, { spec: { health: { path: '/' } } }],
      'GET /v1/services/shop/status': [200, status({ health: 'unknown', drained: false })],
    })
    const again = await turnout(admin.url, 'drain', 'shop', 'blue', '--wait')
    expect(again).toMatchObject({ code: 1, err: expect.stringContaining('blue was set ready meanwhile.') })
    const sick = await turnout(admin.url, 'ready', 'shop', 'blue', '--wait', '--timeout', '0s')
    expect(sick).toMatchObject({ code: 1, err: expect.stringContaining('127.0.0.1:3001 is not probed yet') })
  })

  it.each([
    [['split', 'shop', 'blue=1', '--force'], 'PUT /v1/services/shop/split?force=true'],
    [['switch', 'shop', 'blue', '--force'], 'POST /v1/services/shop/switch?force=true'],
    [['back', 'shop', '--force'], 'POST /v1/services/shop/back?force=true'],
    [['standby', 'shop', 'blue', '--force'], 'PUT /v1/services/shop/pools/blue/state?force=true'],
    [['maint', 'shop', 'blue', 'h:1', '--force'], 'PUT /v1/services/shop/pools/blue/targets/h%3A1/state?force=true'],
    [['restore', '4', '--force'], 'POST /v1/revisions/4/restore?force=true'],
    [['apply', 'package.json', '--prune', '--force'], 'POST /v1/apply?force=true&prune=true'],
  ])('%j insists', async (argv, expected) => {
    const admin = await scripted({ [expected.split('?')[0]]: [200, outcome()] })
    expect((await turnout(admin.url, ...argv)).code).toBe(0)
    const changes = admin.asked.filter(({ method }) => method !== 'GET')
    expect(changes.map(({ method, url }) => `${method} ${url}`)).toEqual([expected])
  })

  it.each([
    ['Nothing has changed; with force it is done all the same.', '; with --force it is done all the same.'],
    ['With force it is promoted all the same.', 'With --force it is promoted all the same.'],
    ['Nothing has changed; prune removes them.', '; --prune removes them.'],
  ])('what is refused is told with the words of the command line: %s', async (told, said) => {
    const admin = await scripted({ 'POST /v1/services/shop/back': [409, problem('conflict', told)] })
    const { code, err } = await turnout(admin.url, 'back', 'shop')
    expect([code, err.endsWith(`${said}\n`)]).toEqual([1, true])
  })

  it('switch and split say how long to wait, and a wait that is no duration is bad usage', async () => {
    const admin = await scripted({
      'POST /v1/services/shop/switch': [200, outcome()],
      'PUT /v1/services/shop/split': [200, outcome()],
    })
    await turnout(admin.url, 'switch', 'shop', 'green', '--wait', '2m')
    await turnout(admin.url, 'split', 'shop', 'green=1', '--wait', '0s')
    expect(admin.asked.map(({ body }) => JSON.parse(body).wait)).toEqual(['2m', '0s'])
    const { code, err } = await turnout(admin.url, 'switch', 'shop', 'green', '--wait', 'long')
    expect([code, err]).toEqual([2, 'turnout: --wait must be a duration such as 10s, not "long".\n'])
  })

  it('restore posts to the revision', async () => {
    const admin = await scripted({ 'POST /v1/revisions/41/restore': [200, outcome()] })
    expect((await turnout(admin.url, 'restore', '41')).out).toBe(`as in revision 41 ${NOW}\n`)
  })

  it('apply posts the file as it is, with the variables that it names and no others', async () => {
    const admin = await scripted({ 'POST /v1/apply': [200, outcome()] })
    const named = ['{VERSION}', '{PORT:-80}', '{UNSET}', '$' + '{ESCAPED}', 'PLAIN', '{toString}']
    const text = `services:\n  shop: {} # grüße ${named.map((rest) => '$' + rest).join(' ')}\n`
    const path = await file(text)
    const env = { VERSION: '1.2', PORT: '81', ESCAPED: 'e', PLAIN: 'p', SECRET: 's' }
    const { wrote, code } = start(['apply', path], { TURNOUT_ADMIN: admin.url, ...env })
    expect([await code, wrote.out]).toEqual([0, `${path} applied ${NOW}\n`])
    expect(JSON.parse(admin.asked[0].body)).toEqual({ text, env: { VERSION: '1.2', PORT: '81' } })
  })

  it('apply says what of the file differs from what runs and was kept, and what the file does not have', async () => {
    const kept = [{ pointer: '/services/shop/split', runs: { green: 1 }, file: { blue: 1 } }]
    const told = outcome({ changed: false, changes: [], kept, others: ['api', 'web'] })
    const admin = await scripted({ 'POST /v1/apply': [200, told] })
    const path = await file('services: {}')
    const { code, out, err } = await turnout(admin.url, 'apply', path)
    expect([code, out]).toEqual([0, `${path} applied (it was so already, revision 7)\n`])
    expect(err.split('\n')).toEqual([
      'turnout: the file differs from what runs, which was changed by others since the file was applied, and is kept:',
      'turnout:   shop.split',
      'turnout:     runs {"green":1}',
      'turnout:     file {"blue":1}',
      'turnout: with --force the file wins.',
      'turnout: not in the file, and still there: api, web',
      '',
    ])
    const asJson = await turnout(admin.url, 'apply', path, '--json')
    expect([JSON.parse(asJson.out), asJson.err]).toEqual([told, ''])
  })

  it('apply --dry-run and diff show the differences; what would be refused fails the dry run only', async () => {
    const changes = [{ pointer: '/services/a.b/pools/blue', runs: { version: 'x'.repeat(500) } }]
    const kept = [{ pointer: '/services/shop/debugHeaders', runs: true, file: false }]
    const told = outcome({ changes, kept, others: ['api'], refused: 'The file no longer has a.b.' })
    const admin = await scripted({ 'POST /v1/apply': [200, told] })
    const path = await file('services: {}')
    const dry = await turnout(admin.url, 'apply', path, '--dry-run', '--force')
    expect(dry.code).toBe(1)
    expect(dry.out).toBe(
      `${path} would change:\n["a.b"].pools.blue\n  runs {"version":"${'x'.repeat(148)}…\n  file (nothing)\n`,
    )
    expect(dry.err).toContain('turnout:   shop.debugHeaders\n')
    expect(dry.err).toContain('turnout: it would be refused: The file no longer has a.b.\n')
    const { code, out, err } = await turnout(admin.url, 'diff', path)
    expect([code, err]).toEqual([0, ''])
    expect(out.split('\n').slice(-5)).toEqual([
      'shop.debugHeaders (kept: changed by others since the file was applied)',
      '  runs true',
      '  file false',
      'api (not in the file)',
      '',
    ])
    expect(admin.asked.map(({ url }) => url)).toEqual([
      '/v1/apply?dryRun=true&force=true',
      '/v1/apply?dryRun=true&prune=true',
    ])
    admin.script['POST /v1/apply'] = [200, outcome({ changed: false, changes: [], kept: [], others: [] })]
    expect((await turnout(admin.url, 'diff', path)).out).toBe(`${path} says what runs\n`)
    expect((await turnout(admin.url, 'apply', path, '--dry-run')).out).toBe(`${path} would change nothing\n`)
  })

  it('apply tells each fault of the file with its place', async () => {
    const faults = [
      { pointer: '/services/shop/tragets', message: 'unknown key', line: 3, column: 5 },
      { pointer: '', message: 'too short' },
    ]
    const admin = await scripted({ 'POST /v1/apply': [422, problem('invalid', 'The values are not valid.', faults)] })
    const path = await file('services: {}')
    const { code, err } = await turnout(admin.url, 'apply', path)
    expect(code).toBe(1)
    expect(err.split('\n')).toEqual([
      `turnout: ${path} was not applied; nothing has changed.`,
      `${path}:3:5: /services/shop/tragets: unknown key`,
      `${path}: too short`,
      '',
    ])
  })

  it('apply fails when there is no such file', async () => {
    const admin = await scripted({})
    const { code, err } = await turnout(admin.url, 'apply', '/nowhere/turnout.yaml')
    expect(code).toBe(1)
    expect(err).toMatch(/^turnout: \/nowhere\/turnout.yaml cannot be read: there is no such file\.\n$/)
    expect(admin.asked).toEqual([])
  })

  it('print the answer as JSON with --json', async () => {
    const admin = await scripted({ 'POST /v1/services/shop/back': [200, outcome()] })
    expect(JSON.parse((await turnout(admin.url, 'back', 'shop', '--json')).out)).toEqual(outcome())
  })
})

const traffic = {
  inFlight: 2,
  tunnels: 1,
  rate: 120.04,
  attempts: { rate: 130 },
  failureShare: 0,
  p50Ms: 1.5,
  p90Ms: 3,
  p99Ms: null,
}
const states = { health: 'healthy', ejectedUntilMs: 0 }
const target = {
  target: '127.0.0.1:3001',
  url: 'http://127.0.0.1:3001',
  admin: 'ready',
  drainUntilMs: 0,
  ...states,
  reason: null,
  addresses: [{ address: '127.0.0.1', alternate: null, ...states, inFlight: 2, tunnels: 1 }],
}
const pool = {
  name: 'blue',
  version: '1.0',
  weight: 90,
  admin: 'ready',
  drainUntilMs: 0,
  share: { aimed: 0.9, seen: 0.897, seenSinceSplit: null, visitors: 0.888 },
  ...traffic,
  targets: [{ ...target, ...traffic }],
}
const view = { revision: 7, epoch: 9, service: 'shop', release: '3', windowMs: 10_000, pools: [pool] }

describe('verbs that show something', () => {
  it('status shows pools and targets in aligned columns', async () => {
    const admin = await scripted({ 'GET /v1/services/shop/status': [200, view] })
    const { out } = await turnout(admin.url, 'status', 'shop')
    expect(out).toBe(
      [
        'shop: release 3, revision 7, epoch 9',
        'POOL              VERSION  WEIGHT  SHARE    SEEN  VISITORS  STATE  HEALTH   IN FLIGHT  TUNNELS  REQ/S  TRIES/S  FAILED  P50 MS  P90 MS  P99 MS',
        'blue              1.0          90   90 %  89.7 %    88.8 %  ready                   2        1    120      130     0 %     1.5       3       –',
        '  127.0.0.1:3001                                            ready  healthy          2        1    120      130     0 %     1.5       3       –',
        '',
      ].join('\n'),
    )
  })

  it('status says so where targets have no probes', async () => {
    const shown = async (more: object) => {
      const unseen = { ...pool.targets[0], health: 'unknown' }
      const told = { ...view, ...more, pools: [{ ...pool, targets: [unseen] }] }
      const admin = await scripted({ 'GET /v1/services/shop/status': [200, told] })
      return (await turnout(admin.url, 'status', 'shop')).out.split('\n')[3]
    }
    expect(await shown({ probed: false })).toContain('ready  no probes  ')
    expect(await shown({ probed: true })).toContain('ready  unknown  ')
    expect(await shown({})).toContain('ready  unknown  ')
  })

  it('status tells weights of targets where they differ, and what is warming', async () => {
    const soonMs = Date.now() + 20_000
    const [one] = pool.targets
    const shown = async (more: object) => {
      const told = { ...view, pools: [{ ...pool, ...more }] }
      const admin = await scripted({ 'GET /v1/services/shop/status': [200, told] })
      return (await turnout(admin.url, 'status', 'shop')).out.split('\n').slice(2, -1)
    }
    const weighed = [
      { ...one, weight: 3, warmUntilMs: soonMs },
      { ...one, weight: 1, warmUntilMs: 0 },
    ]
    const [, heavy, light] = await shown({ targets: weighed })
    expect(heavy).toMatch(/:3001 +3 +ready +healthy, warming for (20|19) s /)
    expect(light).toMatch(/:3001 +1 +ready +healthy /)
    const [ramped, even] = await shown({ rampUntilMs: soonMs, targets: [{ ...one, weight: 3, warmUntilMs: 0 }] })
    expect(ramped).toMatch(/ ready +warming for (20|19) s /)
    expect(even).toMatch(/:3001 +ready +healthy /)
  })

  it('status tells of a rollout that runs', async () => {
    const rollout = { id: 'r-1', to: 'green', state: 'rollingBack', step: 1, steps: 5, weight: 25, inMs: null }
    const shown = async (more: object) => {
      const told = { ...view, rollout: { ...rollout, waitsFor: null, ...more } }
      const admin = await scripted({ 'GET /v1/services/shop/status': [200, told] })
      return (await turnout(admin.url, 'status', 'shop')).out.split('\n')[1]
    }
    expect(await shown({})).toBe('rollout r-1 to green: rolling back, step 2 of 5, at 25 %')
    expect(await shown({ state: 'shifting', inMs: 1_500, waitsFor: 'its time' })).toBe(
      'rollout r-1 to green: shifting, step 2 of 5, at 25 %; waits for its time, 2 s',
    )
    const away = 'store: The store redis://a is not there: the connection was refused (connect ECONNREFUSED).'
    expect(await shown({ state: 'shifting', inMs: 1_500, waitsFor: away })).toBe(
      `rollout r-1 to green: shifting, step 2 of 5, at 25 %; waits for the ${away.slice(0, -1)}; then 2 s more`,
    )
    expect(await shown({ state: 'warming', step: -1, weight: 0, inMs: 0, waitsFor: 'the warm-up' })).toBe(
      'rollout r-1 to green: warming, at 0 %; waits for the warm-up',
    )
  })

  it.each([60, 80, 132])(
    'status in a terminal of %i columns shows what has room, whole, and says what has not',
    async (width) => {
      const rollout = { id: 'r-1', to: 'green', state: 'shifting', step: 1, steps: 5, weight: 25, inMs: 1_500 }
      const soonMs = Date.now() + 20_000
      const targets = [
        { ...target, ...traffic, target: 'shop-blue-1.internal:3001', ejectedUntilMs: soonMs },
        { ...target, ...traffic, target: 'a-name-that-is-longer-than-most-of-them.internal:3002' },
        {
          ...target,
          ...traffic,
          reason: 'the name cannot be resolved: there is no such name, and there was none before',
        },
      ]
      const told = { ...view, rollout: { ...rollout, waitsFor: 'its time' }, pools: [{ ...pool, targets }] }
      const admin = await scripted({ 'GET /v1/services/shop/status': [200, told] })
      for (const watched of [[], ['--watch']]) {
        const terminal = new Terminal(width, 40)
        const { code, end } = start(['status', 'shop', ...watched], { TURNOUT_ADMIN: admin.url }, true, {
          stdout: terminal,
        })
        await vi.waitFor(() => expect(terminal.lines.length).toBeGreaterThan(5))
        end()
        expect(await code).toBe(0)
        const text = terminal.lines.join('\n')
        for (const line of terminal.lines) expect(line.length, line).toBeLessThan(width)
        // Nothing is cut at the edge; a name that is too long keeps its begin and its port.
        expect(text).not.toMatch(/…$/m)
        expect(text).toMatch(/^POOL .* FAILED/m)
        expect(text).toMatch(/:3002 +ready|:3002 .* ready/)
        expect(text).toMatch(/shop-b.*:3001 .* healthy, ejected for \d+ s/)
        expect(text.replaceAll(/\n +/g, ' ')).toContain(
          'rollout r-1 to green: shifting, step 2 of 5, at 25 %; waits for its time',
        )
        expect(text.replaceAll(/\n +/g, ' ')).toContain('no such name, and there was none before')
        expect(text.replaceAll(/\n +/g, ' ')).toMatch(/\nno room for VISITORS, P90 MS, TRIES\/S/)
      }
    },
  )

  it('status tells how long a drain and an ejection still last', async () => {
    const soonMs = Date.now() + 7900
    const ejected = { ...target, ...traffic, ejectedUntilMs: soonMs }
    const draining = { ...pool, admin: 'drain', drainUntilMs: soonMs, targets: [ejected] }
    const admin = await scripted({ 'GET /v1/services/shop/status': [200, { ...view, pools: [draining] }] })
    const { out } = await turnout(admin.url, 'status', 'shop')
    expect(out).toMatch(/blue .* drain, [78] s left /)
    expect(out).toMatch(/127\.0\.0\.1:3001 .* healthy, ejected for [78] s /)
  })

  it('status tells of the queue of a pool, once anybody was in it', async () => {
    const none = { depth: 0, served: 0, meanMs: null, shed: { full: 0, time: 0, left: 0 } }
    const shown = async (queue: object | null) => {
      const admin = await scripted({ 'GET /v1/services/shop/status': [200, { ...view, pools: [{ ...pool, queue }] }] })
      return (await turnout(admin.url, 'status', 'shop')).out
    }
    expect(await shown({ ...none, depth: 4, served: 12, meanMs: 80.5, shed: { full: 3, time: 0, left: 1 } })).toContain(
      'queue of blue: 4 wait for room, 12 had waited 80.5 ms on average, got none: 3 (full), 1 (left)\n',
    )
    for (const queue of [none, null]) expect(await shown(queue)).not.toContain('queue')
  })

  it('status shows the addresses of names, and why a name has none', async () => {
    const at = (address: string, more = {}) => ({
      address,
      alternate: null,
      ...states,
      inFlight: 1,
      tunnels: 0,
      ...more,
    })
    const named = { ...target, ...traffic, target: 'api.internal:80', url: 'http://api.internal:80' }
    const reason = 'the name cannot be resolved: there is no such name'
    const targets = [
      { ...named, addresses: [at('10.0.0.1'), at('10.0.0.2', { health: 'unhealthy' })] },
      { ...named, addresses: [at('10.0.0.9')] },
      { ...named, addresses: [], health: 'unhealthy', reason },
    ]
    const admin = await scripted({ 'GET /v1/services/shop/status': [200, { ...view, pools: [{ ...pool, targets }] }] })
    const { out } = await turnout(admin.url, 'status', 'shop')
    expect(out).toMatch(/^ {2}api\.internal:80 +ready +healthy +2 +1 .*\n {4}10\.0\.0\.1 +healthy +1 +0$/m)
    expect(out).toMatch(/^ {4}10\.0\.0\.2 +unhealthy +1 +0$/m)
    expect(out).toMatch(/^ {2}api\.internal:80 at 10\.0\.0\.9 +ready/m)
    expect(out.endsWith(`\napi.internal:80: ${reason}\n`)).toBe(true)
  })

  it('status without a name shows every service, with one call', async () => {
    const admin = await scripted({
      'GET /v1/status': [200, { revision: 1, services: [view, { ...view, service: 'api' }] }],
    })
    expect((await turnout(admin.url, 'status')).out.match(/^\w+: release/gm)).toEqual(['shop: release', 'api: release'])
    const { services } = JSON.parse((await turnout(admin.url, 'status', '--json')).out)
    expect(services).toEqual([view, { ...view, service: 'api' }])
  })

  it('status names the instances where there are several, and who does not route by what this one does', async () => {
    const [self, other] = [
      { name: 'web-1:4711', revision: 9, isSelf: true, leads: true },
      { name: 'web-2:4712', revision: 8, isSelf: false, clockAheadMs: -3_600_000 },
    ]
    const shown = async (instances: object[]) => {
      const admin = await scripted({ 'GET /v1/status': [200, { revision: 9, services: [view], instances }] })
      return (await turnout(admin.url, 'status')).out
    }
    expect(await shown([self, other])).toMatch(
      /^2 instances at revision 9: web-1:4711 \(this one, leads\), web-2:4712 \(its clock is 1 h behind\) at revision 8\n\nshop: release/,
    )
    expect(await shown([self])).toMatch(/^shop: release/)
  })

  it('a share that is not quite all or nothing is not told as that', async () => {
    const shown = async (failureShare: number) => {
      const row = { ...pool, failureShare, targets: [] }
      const admin = await scripted({ 'GET /v1/services/shop/status': [200, { ...view, pools: [row] }] })
      return /(\S+) %(?=(?: +\S+){3}\n$)/.exec((await turnout(admin.url, 'status', 'shop')).out)?.[1]
    }
    const told = await Promise.all([0, 0.0004, 0.0005, 0.07, 0.9994, 0.9996, 1].map(shown))
    expect(told).toEqual(['0', '<0.1', '0.1', '7', '99.9', '>99.9', '100'])
  })

  it('split says which pools were not named, since they get nothing', async () => {
    const answer = { revision: 2, epoch: 2, appliedInMs: 1, changed: true, split: { blue: 50, green: 0 } }
    const admin = await scripted({ 'PUT /v1/services/shop/split': [200, answer] })
    const { out } = await turnout(admin.url, 'split', 'shop', 'blue=50')
    expect(out).toMatch(/^shop: blue 100 %; nothing for green, not named \(revision 2/)
  })

  it('explain posts the request and tells where it goes and why', async () => {
    const explanation = {
      service: 'shop',
      release: '3',
      pool: 'green',
      version: '1.1',
      target: 'http://127.0.0.1:3003',
      why: 'rule staff sends header x-internal=1 to green',
      reason: 'rule',
      rule: 'staff',
      visitor: 'u-17',
      bucket: 512,
      aimed: 'green',
      panic: false,
      error: null,
      setsCookie: false,
      epoch: 9,
      revision: 7,
    }
    const admin = await scripted({ 'POST /v1/explain': [200, explanation] })
    const header = [
      '-H',
      'X-Two: a',
      '-H',
      'x-two: b',
      '-H',
      'X-Internal: \t1 ',
      '-H',
      'X-Odd:\u00a01\u00a0',
      '--header',
      'cookie: a=b; c=d',
    ]
    const { out } = await turnout(admin.url, 'explain', 'localhost:8080/cart', ...header, '--ip', '10.0.0.7')
    expect(JSON.parse(admin.asked[0].body)).toEqual({
      url: 'http://localhost:8080/cart',
      headers: { 'x-two': ['a', 'b'], 'x-internal': '1', 'x-odd': '\u00a01\u00a0', cookie: 'a=b; c=d' },
      ip: '10.0.0.7',
    })
    expect(out.split('\n')).toEqual([
      'green 1.1, http://127.0.0.1:3003',
      '  why      rule staff sends header x-internal=1 to green',
      '  service  shop, release 3',
      '  visitor  u-17, bucket 512 of 10000',
      '  epoch    9',
      '',
    ])
  })

  it('explain tells when a request goes nowhere', async () => {
    const none = {
      why: 'no route matches this host and path',
      service: null,
      pool: null,
      target: null,
      visitor: null,
      rule: null,
      reason: null,
      aimed: null,
    }
    const admin = await scripted({ 'POST /v1/explain': [200, { ...none, error: 'no_route', epoch: 9, bucket: -1 }] })
    const { code, out } = await turnout(admin.url, 'explain', '/cart')
    expect(code).toBe(0)
    expect(out).toMatch(/^nowhere: no_route\n {2}why +no route matches this host and path\n/)
    expect(JSON.parse(admin.asked[0].body).url).toBe('/cart')
    const sent = { ...none, error: null, why: 'the client is sent to /', epoch: 9, bucket: -1 }
    const link = await scripted({ 'POST /v1/explain': [200, sent] })
    expect((await turnout(link.url, 'explain', '/?turnout=green')).out).toMatch(/^nowhere: a redirect\n/)
    // Of another scheme the API says that it is none of its own; `http://ftp://…` would be a request to the host ftp.
    await turnout(admin.url, 'explain', 'ftp://shop.example.com/cart')
    expect(JSON.parse(admin.asked[1].body).url).toBe('ftp://shop.example.com/cart')
  })

  it('events shows what happened, and no control characters that others sent', async () => {
    const event = {
      id: 4,
      atMs: 1_700_000_000_000,
      type: 'health',
      service: 'shop',
      data: {},
      message: 'down\u001b[2J',
    }
    const admin = await scripted({ 'GET /v1/events': [200, { events: [event, { ...event, message: 'up' }] }] })
    const { out } = await turnout(admin.url, 'events')
    expect(out).toBe('2023-11-14 22:13:20Z  health    down?[2J\n2023-11-14 22:13:20Z  health    up\n')
    expect(admin.asked[0].url).toBe('/v1/events?follow=false')
  })

  it('events say on a terminal that there are none, and nothing elsewhere', async () => {
    const admin = await scripted({ 'GET /v1/events': [200, { events: [] }] })
    const told = async (isTTY: boolean, ...more: string[]) => {
      const { code, wrote } = start(['events', ...more], { TURNOUT_ADMIN: admin.url }, isTTY)
      return [await code, wrote.out, wrote.err]
    }
    expect(await told(true)).toEqual([0, '', 'turnout: no events\n'])
    const filtered = 'turnout: no events of that kind; without filters there may be others\n'
    expect(await told(true, '--since', '1m')).toEqual([0, '', filtered])
    expect(await told(false)).toEqual([0, '', ''])
    expect(await told(true, '--json')).toEqual([0, '{"events":[]}\n', ''])
  })

  it('history shows a dash for a time that no date can tell', async () => {
    const entries = [{ revision: 3, atMs: 1e300, actor: 'ci', change: { kind: 'file' } }]
    const admin = await scripted({ 'GET /v1/audit': [200, { entries }] })
    const { code, out, err } = await turnout(admin.url, 'history')
    expect([code, err]).toEqual([0, ''])
    expect(out.trimEnd().split('\n').at(-1)).toMatch(/^ +3 {2}– +ci /)
  })

  it('history shows who changed what in words', async () => {
    const entry = { atMs: 1_700_000_000_000, actor: 'ci' }
    const entries = [
      { ...entry, revision: 12, change: { kind: 'switch', to: { shop: 'green' } } },
      { ...entry, revision: 11, change: { kind: 'split', service: 'shop', weights: { blue: 9, green: 1 } } },
      {
        ...entry,
        revision: 10,
        change: { kind: 'target.state', service: 'shop', pool: 'b', target: 't', state: 'maint' },
      },
      { ...entry, revision: 9, change: { kind: 'service.put', service: 'shop', spec: {} } },
      { ...entry, revision: 8, change: { kind: 'file', force: true, prune: true } },
      {
        ...entry,
        revision: 7,
        change: {
          kind: 'shift',
          service: 'shop',
          weights: { blue: 3, green: 1 },
          trial: null,
          rollout: 'r-1',
          hurriedBy: 'bob',
        },
      },
      {
        ...entry,
        revision: 6,
        change: {
          kind: 'rollout',
          service: 'shop',
          rollout: 'r-1',
          to: 'green',
          verb: 'pause',
          askedBy: 'bob',
          state: 'paused',
          weight: 5,
          reason: 'paused by bob',
          sinceMs: entry.atMs,
        },
      },
      {
        ...entry,
        revision: 5,
        change: { kind: 'service.patch', service: 'shop', patch: {}, what: 'target http://a removed from pool blue' },
      },
      {
        ...entry,
        revision: 4,
        change: {
          kind: 'file',
          services: ['shop', 'api'],
          what: 'shop: target http://a removed from pool blue; api: added',
        },
      },
      { ...entry, revision: 3, change: { kind: 'restore', from: 1, services: ['shop', 'api'] } },
      { ...entry, revision: 2, change: { kind: 'file', services: Array.from({ length: 12 }, (_, n) => `s${n}`) } },
    ]
    const admin = await scripted({ 'GET /v1/audit': [200, { entries }] })
    const { out } = await turnout(admin.url, 'history', '--limit', '4', '--before', '13')
    expect(admin.asked[0].url).toBe('/v1/audit?limit=4&before=13')
    expect(out.split('\n')).toEqual([
      'REVISION  TIME                  WHO  WHAT',
      '      12  2023-11-14 22:13:20Z  ci   switch shop to green',
      '      11  2023-11-14 22:13:20Z  ci   split shop: blue 90 %, green 10 %',
      '      10  2023-11-14 22:13:20Z  ci   maint shop b t',
      '       9  2023-11-14 22:13:20Z  ci   set service shop',
      '       8  2023-11-14 22:13:20Z  ci   config file applied, forced, with --prune',
      '       7  2023-11-14 22:13:20Z  ci   shift shop: blue 75 %, green 25 %, by rollout r-1, whatever its schedule or capacity says (bob)',
      '       6  2023-11-14 22:13:20Z  ci   rollout r-1 of shop: pause, paused at 5 %, asked for by bob: paused by bob',
      '       5  2023-11-14 22:13:20Z  ci   change shop: target http://a removed from pool blue',
      '       4  2023-11-14 22:13:20Z  ci   config file applied: shop: target http://a removed from pool blue; api: added',
      '       3  2023-11-14 22:13:20Z  ci   restore revision 1: shop, api',
      '       2  2023-11-14 22:13:20Z  ci   config file applied: s0, s1, s2, s3, s4, s5, s6, s7, s8, s9 and 2 more',
      '',
    ])
  })
})
