import { describe, expect, it, vi } from 'vitest'
import { ELSEWHERE, ROLLOUT_ELSEWHERE } from '../../src/cli/elsewhere.ts'
import { nearestName } from '../../src/cli/usage.ts'
import { outcome, problem, scripted, start, turnout } from './scripted.ts'

/** What kubectl, HAProxy, Caddy, nginx, Helm and kamal-proxy have for it, and what is told. */
const HABITS: readonly (readonly [line: string, told: string])[] = [
  ['get services', 'turnout status [SERVICE]'],
  ['get pods -o wide', 'turnout status [SERVICE]'],
  ['describe service shop', 'turnout status [SERVICE]'],
  ['delete service shop', 'turnout service remove SERVICE'],
  ['create service shop', 'turnout service add SERVICE'],
  ['edit service shop', 'turnout service set SERVICE KEY=VALUE'],
  ['set image shop=1.2', 'turnout service set SERVICE KEY=VALUE'],
  ['patch service shop', 'turnout service set SERVICE KEY=VALUE'],
  ['scale shop --replicas 3', 'turnout target add SERVICE POOL TARGET'],
  ['logs -f', 'turnout events [--follow]'],
  ['top', 'turnout status [SERVICE]'],
  ['cordon 10.0.0.1:80', 'turnout drain SERVICE POOL [TARGET]'],
  ['uncordon 10.0.0.1:80', 'turnout ready SERVICE POOL [TARGET]'],
  ['apply -f turnout.yaml', 'turnout apply FILE'],
  ['diff -f turnout.yaml', 'turnout diff FILE'],
  ['replace -f turnout.yaml', 'turnout apply FILE'],
  ['config view', 'turnout export'],
  ['rollout status shop', 'turnout rollout show SERVICE'],
  ['rollout status deployment/shop', 'turnout rollout show SERVICE'],
  ['rollout undo shop', 'turnout rollout abort SERVICE, or back SERVICE'],
  ['rollout history shop', 'turnout rollout list SERVICE'],
  ['rollout restart shop', 'turnout deploy SERVICE --to POOL'],
  ['rollout watch shop', 'turnout rollout show SERVICE'],
  ['rollout approve shop', 'turnout rollout promote SERVICE'],
  ['rollout continue shop', 'turnout rollout resume SERVICE'],
  ['promote shop', 'turnout rollout promote SERVICE'],
  ['weight blue 10', 'turnout split SERVICE POOL=WEIGHT …'],
  ['split shop green 10', 'such as green=10, not "green"'],
  ['split shop green=10%', 'must be a whole number, not "10%"'],
  ['show servers state', 'turnout status [SERVICE]'],
  ['disable server shop/blue', 'turnout drain SERVICE POOL [TARGET]'],
  ['enable server shop/blue', 'turnout ready SERVICE POOL [TARGET]'],
  ['backends', 'turnout pool list SERVICE'],
  ['servers shop', 'turnout target list SERVICE'],
  ['reload', 'turnout apply FILE'],
  ['-s reload', 'turnout apply FILE'],
  ['run --config turnout.yaml', 'turnout serve --config FILE'],
  ['start', 'turnout serve --config FILE'],
  ['stop shop', 'turnout maintenance on SERVICE for its visitors; the process ends by a SIGTERM'],
  ['validate --config turnout.yaml', 'turnout serve --config FILE --check'],
  ['fmt turnout.yaml', 'turnout serve --config FILE --check'],
  ['rollback shop 3', 'turnout back SERVICE'],
  ['uninstall shop', 'turnout service remove SERVICE'],
  ['deploy shop green', 'turnout deploy SERVICE --to POOL'],
  ['deploy shop', 'deploy SERVICE --to POOL'],
  ['drain shop/blue', 'turnout drain SERVICE POOL [TARGET]'],
  ['maintenance shop on', 'maintenance is on or off'],
  ['restart', 'turnout upgrade'],
  ['help rollback', 'turnout back SERVICE'],
]

describe('the command line', () => {
  it('lists every verb with --help, and serve among them', async () => {
    const { code, out, err } = await turnout('', '--help')
    expect([code, err]).toEqual([0, ''])
    const verbs = [...out.matchAll(/^ {2}([a-z]+) /gm)].map(([, name]) => name)
    expect(verbs).toEqual(
      'serve status split switch back drain ready standby maint hold release maintenance deploy rollout explain events history restore apply diff export service pool target rule upgrade completion man'.split(
        ' ',
      ),
    )
  })

  it('helps with each verb, with examples that its own parser takes', async () => {
    for (const verb of ['status', 'split', 'switch', 'drain', 'explain', 'events', 'history', 'restore', 'apply']) {
      const asked = [await turnout('', verb, '--help'), await turnout('', 'help', verb), await turnout('', '-h', verb)]
      for (const { code, out } of asked) {
        expect(code).toBe(0)
        expect(out).toMatch(new RegExp(`^Usage: turnout ${verb}[\\s\\S]*Examples:\n {2}turnout ${verb}`))
      }
    }
  })

  it('a verb of others that is told by ours is none of ours, and ours is one', async () => {
    const isVerb = async (name: string) => (await turnout('http://127.0.0.1:1', 'help', name)).code === 0
    for (const [here, names] of Object.entries(ELSEWHERE)) {
      expect([here, await isVerb(here.split(' ')[0])]).toEqual([here, true])
      for (const name of names) expect([name, await isVerb(name)]).toEqual([name, false])
    }
    const words = Object.values(ROLLOUT_ELSEWHERE).flat()
    expect(words.filter((word) => /^(show|list|pause|resume|promote|abort)$/.test(word))).toEqual([])
  })

  // Each works, or is answered by the right command, in one line; nothing is sent.
  it.each(HABITS)('people of other programs type %s, and are told %s', async (line, told) => {
    const admin = await scripted({})
    const { code, err } = await turnout(admin.url, ...line.split(' '))
    expect([code, err]).toEqual([2, expect.stringMatching(/^turnout: .*\n$/)])
    expect(err).toContain(told)
    expect(admin.asked).toEqual([])
  })

  it('-v and -V are --version', async () => {
    for (const word of ['-v', '-V', '--version', 'version']) expect((await turnout('', word)).code).toBe(0)
  })

  it.each([
    [['swich', 'shop', 'green'], 'turnout: there is no verb "swich". Did you mean switch?'],
    [['rollback', 'shop'], 'turnout: there is no verb "rollback". Here it is: turnout back SERVICE'],
    [['frobnicate'], 'turnout: there is no verb "frobnicate". See turnout --help.'],
    [['switch', 'shop'], 'turnout: A switch is SERVICE POOL, or SERVICE=POOL for each service, not "shop".'],
    [['--admin', '127.0.0.1:1', 'serve'], 'turnout: serve comes first: turnout serve [--config FILE] [--check]'],
    [['status', 'a', 'b'], 'turnout: usage: turnout status [SERVICE] [--watch]'],
    [['status', '--wotch'], "turnout: Unknown option '--wotch' (did you mean --watch?). See turnout status --help."],
    [['split', 'shop', 'blue'], 'turnout: A share is POOL=WEIGHT, such as green=10, not "blue".'],
    [['split', 'shop', 'blue=1.5'], 'turnout: The weight of "blue" must be a whole number, not "1.5".'],
    [['split', 'shop', 'blue=1', 'blue=2'], 'turnout: The pool "blue" is named twice.'],
    [['restore', 'yesterday'], 'turnout: REVISION must be a whole number, not "yesterday".'],
    [['explain', '/', '-H', 'nonsense'], `turnout: A header is 'name: value', not "nonsense".`],
    [['deploy', 'shop', '--to', 'green', '--version', ''], 'turnout: --version is empty. See turnout deploy --help.'],
    [['deploy', 'shop', '--to', 'green', '--target='], 'turnout: --target is empty. See turnout deploy --help.'],
    [['upgrade', '--timeout', '60'], 'turnout: --timeout must be a duration such as 60s, not "60".'],
    [['upgrade', '--timeout', '11m'], 'turnout: --timeout must be from 1s to 10m.'],
    [['switch', 'shop', ''], 'turnout: an argument is empty: usage: turnout switch SERVICE POOL | SERVICE=POOL…'],
    [['status', '--admin', 'ftp://x'], 'turnout: --admin must be a URL, not "ftp://x".'],
  ])('refuses %j with exit code 2', async (argv, message) => {
    const admin = await scripted({})
    const { code, out, err } = await turnout(admin.url, ...argv)
    expect([code, out, err]).toEqual([2, '', `${message}\n`])
    expect(admin.asked).toEqual([])
  })

  it('helps with serve too', async () => {
    const { code, out } = await turnout('', 'help', 'serve')
    expect(code).toBe(0)
    expect(out).toMatch(/^Usage: turnout serve \[--config FILE\][\s\S]*--check/)
  })

  it('exits with 2 when no verb is given', async () => {
    expect((await turnout('')).code).toBe(2)
  })

  it('exits with 1 when a change is refused: one fault is one line, of several each has its own', async () => {
    const faults = [{ pointer: '/weights/grene', message: 'is not a pool' }]
    const admin = await scripted({
      'PUT /v1/services/shop/split': [422, problem('invalid', 'The values are not valid.', faults)],
    })
    const split = () => turnout(admin.url, 'split', 'shop', 'grene=1')
    expect(await split()).toEqual({ code: 1, out: '', err: 'turnout: /weights/grene: is not a pool\n' })
    const two = [...faults, { pointer: '', message: 'is too much' }]
    admin.script['PUT /v1/services/shop/split'] = [422, problem('invalid', 'The values are not valid.', two)]
    expect((await split()).err).toBe(
      'turnout: The values are not valid.\n  /weights/grene: is not a pool\n  is too much\n',
    )
    admin.script['PUT /v1/services/shop/split'] = [409, problem('conflict', 'It is held.', faults)]
    expect((await split()).err).toBe('turnout: It is held.\n  /weights/grene: is not a pool\n')
  })

  it('tells a failure as one line of JSON with --json, with its stable code, whatever it is', async () => {
    const faults = [{ pointer: '/weights/grene', message: 'is not a pool' }]
    const admin = await scripted({
      'PUT /v1/services/shop/split': [422, problem('invalid', 'The values are not valid.', faults)],
    })
    const told = async (url: string, ...argv: string[]) => {
      const { code, out, err } = await turnout(url, ...argv, '--json')
      expect(out).toBe('')
      return { code, ...(JSON.parse(err) as object) }
    }
    expect(await told(admin.url, 'split', 'shop', 'grene=1')).toEqual({
      code: 'invalid',
      message: '/weights/grene: is not a pool',
      exitCode: 1,
      errors: faults,
    })
    expect(await told(admin.url, 'swich', 'shop')).toMatchObject({ code: 'usage', exitCode: 2 })
    expect(await told(admin.url, 'status', '--wotch')).toMatchObject({ code: 'usage', exitCode: 2 })
    await admin.stop()
    expect(await told(admin.url, 'status')).toMatchObject({ code: 'unreachable', exitCode: 3, errors: [] })
  })

  it('sends the revision of --if-match with every change, and with nothing else', async () => {
    const admin = await scripted({
      'PUT /v1/services/shop/split': [200, outcome()],
      'POST /v1/services/shop/switch': [200, outcome()],
      'POST /v1/services/shop/back': [200, outcome()],
      'POST /v1/services/shop/release': [200, outcome()],
      'PUT /v1/services/shop/pools/blue/state': [200, outcome()],
      'POST /v1/revisions/3/restore': [412, problem('stale_revision', 'Something was changed by revision 42.')],
    })
    for (const change of ['split shop blue=1', 'switch shop blue', 'back shop', 'release shop', 'drain shop blue'])
      expect((await turnout(admin.url, ...change.split(' '), '--if-match', '41')).code).toBe(0)
    expect((await turnout(admin.url, 'restore', '3', '--if-match', '41')).code).toBe(1)
    const revisions = (changing: boolean) =>
      admin.asked.filter(({ method }) => (method !== 'GET') === changing).map(({ headers }) => headers['if-match'])
    expect(revisions(true)).toEqual(Array(6).fill('"41"'))
    expect(new Set(revisions(false))).toEqual(new Set([undefined]))
    const wrong = await turnout(admin.url, 'back', 'shop', '--if-match', 'x')
    expect([wrong.code, wrong.err]).toEqual([2, 'turnout: --if-match must be a whole number, not "x".\n'])
    expect((await turnout(admin.url, 'history', '--if-match', '41')).code).toBe(2)
  })

  it('sends with its second change the revision that its first one has made, where there is one to send', async () => {
    const admin = await scripted({
      'GET /v1/services/shop': [200, { spec: { pools: {}, split: { blue: 1 } } }],
      'PUT /v1/services/shop/pools/green': [200, outcome({ revision: 43 })],
      'POST /v1/services/shop/rollouts': [412, problem('stale_revision', 'Service shop was changed by revision 44.')],
      'POST /v1/services/shop/rollouts/current/promote': [412, problem('stale_revision', 'Somebody was faster.')],
    })
    const deploy = ['deploy', 'shop', '--to', 'green', '--target', 'http://127.0.0.1:1']
    const { code, err } = await turnout(admin.url, ...deploy, '--if-match', '41')
    expect([code, err]).toEqual([1, 'turnout: Service shop was changed by revision 44.\n'])
    expect((await turnout(admin.url, 'rollout', 'promote', 'shop', '--if-match', '7')).code).toBe(1)
    expect((await turnout(admin.url, ...deploy)).code).toBe(1)
    const sent = admin.asked.map(({ method, headers }) => [method, headers['if-match']])
    expect(sent.filter(([method]) => method !== 'GET')).toEqual([
      ['PUT', '"41"'],
      ['POST', '"43"'],
      ['POST', '"7"'],
      ['PUT', undefined],
      ['POST', undefined],
    ])
    const read = await turnout(admin.url, 'rollout', 'show', 'shop', '--if-match', '7')
    expect([read.code, read.err]).toEqual([2, expect.stringContaining('--if-match goes with pause, resume')])
  })

  it('exits with 1 when something else than the admin API answers', async () => {
    const admin = await scripted({ 'GET /v1/status': (response) => response.end('<html>') })
    const { code, err } = await turnout(admin.url, 'status')
    expect(code).toBe(1)
    expect(err).toContain('answered 200 and no JSON')
  })

  it('exits with 3 when what stands before the admin API says that nobody is there', async () => {
    const admin = await scripted({ 'GET /v1/status': (response) => response.writeHead(502).end('<html>Bad Gateway') })
    const { code, err } = await turnout(admin.url, 'status')
    expect(code).toBe(3)
    expect(err).toContain('out of reach: something before it answered 502.')
  })

  it('exits with 2 for a token that no header can have, as one with the end of a line', async () => {
    const admin = await scripted({})
    const { code, wrote } = start(['status'], { TURNOUT_ADMIN: admin.url, TURNOUT_TOKEN: 'secret\r' })
    expect([await code, wrote.err, admin.asked]).toEqual([
      2,
      'turnout: TURNOUT_TOKEN has a character that no token has, such as the end of a line.\n',
      [],
    ])
  })

  it('exits with 3 and a hint when the admin API is out of reach', async () => {
    const admin = await scripted({})
    await admin.stop()
    const { code, err } = await turnout(admin.url, 'switch', 'shop', 'green')
    expect(code).toBe(3)
    expect(err).toContain(`The admin API at ${admin.url} is out of reach: connection refused.`)
    expect(err).toContain('TURNOUT_ADMIN')
  })

  it('says what may be wrong with the address: https of what is http, or a listener for the clients', async () => {
    const admin = await scripted({ 'GET /v1/status': [404, { error: 'no such route', code: 'no_route' }] })
    const secure = await turnout(admin.url.replace('http:', 'https:'), 'status')
    expect([secure.code, secure.err.split('\n')[0]]).toEqual([
      3,
      expect.stringMatching(/ is out of reach: .* TLS.* \(perhaps it is http there, not https\)\.$/),
    ])
    const listener = await turnout(admin.url, 'status')
    expect([listener.code, listener.err]).toEqual([
      1,
      `turnout: ${admin.url} answered 404, not as the admin API does. Is that its address?\n`,
    ])
  })

  it('exits with 3 when the connection breaks before the answer', async () => {
    const admin = await scripted({ 'GET /v1/status': (response) => response.socket?.destroy() })
    expect((await turnout(admin.url, 'status')).code).toBe(3)
  })

  it('asks where --admin says, before or behind the verb, with the token of the environment', async () => {
    const admin = await scripted({ 'POST /v1/services/shop/back': [200, outcome()] })
    const bare = admin.url.replace('http://', '')
    for (const argv of [
      ['--admin', admin.url, 'back', 'shop'],
      ['back', 'shop', `--admin=${bare}`],
    ]) {
      const { code } = start(argv, { TURNOUT_ADMIN: 'http://127.0.0.1:1', TURNOUT_TOKEN: 'sečret' })
      expect(await code).toBe(0)
    }
    const posted = admin.asked.filter(({ method }) => method === 'POST')
    expect(posted.map(({ headers }) => headers['authorization'])).toEqual([
      // As UTF-8, a character for each octet.
      'Bearer se\xc4\x8dret',
      'Bearer se\xc4\x8dret',
    ])
  })

  it('keeps the path of --admin, below which a proxy may have the API', async () => {
    const admin = await scripted({ 'POST /turnout/v1/services/shop/back': [200, outcome()] })
    expect((await turnout(`${admin.url}/turnout/`, 'back', 'shop')).code).toBe(0)
  })

  it('exits with 2 for help on a verb that there is not', async () => {
    const { code, err } = await turnout('', 'help', 'nonsense')
    expect([code, err]).toEqual([2, 'turnout: there is no verb "nonsense". See turnout --help.\n'])
  })

  it('knows the nearest name, and when none is near', () => {
    const names = ['switch', 'split', 'status', 'standby']
    expect(['swithc', 'spilt', 'stat', 'STATUS', 'x'].map((word) => nearestName(word, names))).toEqual([
      'switch',
      'split',
      'status',
      'status',
      null,
    ])
  })
})

const event = (id: number) => ({
  id,
  atMs: 1_700_000_000_000,
  type: 'change',
  service: 'shop',
  message: `no ${id}`,
  data: {},
})
const wire = (id: number) => `id: ${id}\nevent: change\ndata: ${JSON.stringify(event(id))}\n\n`

describe('verbs that go on', () => {
  it('events --follow goes on after a broken stream where it was, and ends with the signal', async () => {
    const streams: import('node:http').ServerResponse[] = []
    const admin = await scripted({
      'GET /v1/events': (response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' }).write('retry: 2000\n\n: still here\n\n')
        streams.push(response)
      },
    })
    const { wrote, code, end } = start(['events', '--follow'], { TURNOUT_ADMIN: admin.url })
    await vi.waitFor(() => expect(streams).toHaveLength(1))
    const [first, second] = [wire(1), wire(2)]
    streams[0].write(first + second.slice(0, 25))
    await vi.waitFor(() => expect(wrote.out).toContain('no 1'))
    streams[0].destroy()
    await vi.waitFor(() => expect(streams).toHaveLength(2))
    expect(admin.asked.map(({ headers }) => headers['last-event-id'])).toEqual([undefined, '1'])
    expect(admin.asked.map(({ url }) => url)).toEqual(Array(2).fill('/v1/events?after=0'))
    streams[1].write(second)
    await vi.waitFor(() => expect(wrote.out).toContain('no 2'))
    expect(wrote.out.match(/no \d/g)).toEqual(['no 1', 'no 2'])
    expect(wrote.err).toMatch(/lost; trying again[\s\S]*Connected again/)
    end()
    expect(await code).toBe(0)
  })

  it('events --follow fails at once when the first connection does', async () => {
    const admin = await scripted({ 'GET /v1/events': [401, problem('unauthorized', 'A valid token is needed.')] })
    const { code, err } = await turnout(admin.url, 'events', '--follow')
    expect(code).toBe(1)
    expect(err).toMatch(/^turnout: A valid token is needed\.\nTURNOUT_TOKEN /)
    await admin.stop()
    expect((await turnout(admin.url, 'events', '--follow')).code).toBe(3)
  })

  it('events asks for what is of a service, of kinds and not older, and knows the kinds', async () => {
    const admin = await scripted({ 'GET /v1/events': [200, { events: [event(1)] }] })
    const filters = ['--service', 'shop', '--type', 'health,drain', '--type', 'change', '--since', '10m']
    expect((await turnout(admin.url, 'events', ...filters)).code).toBe(0)
    expect(admin.asked[0].url).toBe('/v1/events?follow=false&service=shop&since=10m&type=health%2Cdrain%2Cchange')
    const wrong = await turnout(admin.url, 'events', '--type', 'helth')
    expect([wrong.code, wrong.err]).toEqual([
      2,
      'turnout: there are no events of the kind "helth" (did you mean "health"?).\n',
    ])
    expect((await turnout(admin.url, 'events', '--since', 'noon')).code).toBe(2)
  })

  it('a change that waits is not waited for after the signal, which is said with what may have come of it', async () => {
    const admin = await scripted({ 'POST /v1/services/shop/switch': () => {} })
    const { wrote, code, end } = start(['switch', 'shop', 'green', '--wait', '60s'], { TURNOUT_ADMIN: admin.url })
    await vi.waitFor(() => expect(admin.asked.at(-1)?.method).toBe('POST'))
    end()
    expect(await code).toBe(1)
    expect(wrote).toEqual({
      out: '',
      err: 'turnout: only the waiting has ended: what was asked may be done all the same; turnout history tells.\n',
    })
  })

  it('status --watch writes no control codes into what is no terminal', async () => {
    const view = { revision: 7, epoch: 9, service: 'shop', release: '3', pools: [] }
    const admin = await scripted({ 'GET /v1/services/shop/status': [200, view] })
    const { wrote, code, end } = start(['status', 'shop', '--watch'], { TURNOUT_ADMIN: admin.url }, false)
    await vi.waitFor(() => expect(wrote.out).toContain('shop: release 3'))
    end()
    expect(await code).toBe(0)
    expect(wrote.out).not.toContain('\u001b')
  })

  it('status --watch draws again, outlives the API being away, and ends with the signal', async () => {
    const view = { revision: 7, epoch: 9, service: 'shop', release: '3', pools: [] }
    const script = { 'GET /v1/services/shop/status': [200, view] } as const
    const admin = await scripted(script)
    const { wrote, code, end } = start(['status', 'shop', '--watch'], { TURNOUT_ADMIN: admin.url })
    const drawn = () => wrote.out.split('\u001b[J').slice(0, -1)
    await vi.waitFor(() => expect(drawn().length).toBeGreaterThan(1))
    await admin.stop()
    await vi.waitFor(() => expect(drawn().at(-1)).toContain('Trying again'))
    await scripted(script, admin.port)
    await vi.waitFor(() => expect(drawn().at(-1)).toContain('shop: release 3'))
    end()
    expect(await code).toBe(0)
  })

  it('status --watch --json writes JSON only where the lines are read, and that the API is away elsewhere', async () => {
    const view = { revision: 7, epoch: 9, service: 'shop', release: '3', pools: [] }
    const script = { 'GET /v1/services/shop/status': [200, view] } as const
    const admin = await scripted(script)
    const { wrote, code, end } = start(['status', 'shop', '--watch', '--json'], { TURNOUT_ADMIN: admin.url })
    await expect.poll(() => wrote.out).toContain('\n')
    await admin.stop()
    await expect.poll(() => wrote.err).toMatch(/^turnout: The admin API at .* is out of reach: .*\. Trying again\.\n/)
    const before = wrote.out.length
    await scripted(script, admin.port)
    await expect.poll(() => wrote.out.length).toBeGreaterThan(before)
    end()
    expect(await code).toBe(0)
    const lines = wrote.out.split('\n').slice(0, -1)
    expect(lines).toEqual(lines.map(() => JSON.stringify(view)))
  })
})
