/** A rollout that is watched: on a terminal, through a pipe, with the API away for a while, until Ctrl-C. */
import { describe, expect, it, vi } from 'vitest'
import { screenOf } from '../../src/cli/rollout-screen.ts'
import type { RolloutView } from '../../src/cli/rollout-words.ts'
import { type Clock, systemClock } from '../../src/clock.ts'
import { mapEntries } from '../../src/config/record.ts'
import { scripted, start } from './scripted.ts'
import { Terminal } from './terminal.ts'

const ROLLOUT: RolloutView = {
  id: 'r-1',
  service: 'shop',
  from: 'blue',
  to: 'green',
  strategy: 'canary',
  state: 'shifting',
  step: 2,
  steps: [5, 10, 25, 50, 100].map((weight) => ({ weight })),
  weight: 25,
  startedAtMs: 1_000,
  endedAtMs: null,
  by: 'local',
  reason: null,
  verdict: {
    outcome: 'insufficient',
    sentence: 'no difference so far: 1 of 120 answers of green failed, 3 of 900 of blue; 12 % would have been noticed',
    evidence: 0.25,
    metrics: [],
  },
  harm: { failed: 1, budget: 50 },
  standbyUntilMs: null,
  runsElsewhere: false,
  retire: null,
  gates: [],
  next: { weight: 50, inMs: 11_400, waitsFor: 'its time' },
}
const figures = { rate: 120.4, failureShare: 0.004, p50Ms: 1.5, p99Ms: 12 }
const STATUS = {
  windowMs: 10_400,
  pools: [
    { name: 'blue', version: '1.0', weight: 3, ...figures },
    { name: 'green', version: '1.1', weight: 1, ...figures, rate: 40, failureShare: null, p50Ms: null },
    { name: 'old', version: '0.9', weight: 0, ...figures },
  ],
}
const BEGUN = { 'GET /v1/services/shop/rollouts/current': [200, ROLLOUT] } as const

describe('what is drawn', () => {
  it('has the bar with its ticks, what it waits for, both pools, the verdict, the evidence and the harm', () => {
    expect(screenOf(ROLLOUT, STATUS, 100, 66_000)).toEqual([
      'shop: blue 1.0 → green 1.1, canary, r-1, 1 min 5 s',
      `  ${'█'.repeat(15)}${'░'.repeat(45)}  25 %`,
      '    ✓5 ✓10      ▲25            ╵50                           ╵100',
      '  shifting, step 3 of 5; waits for its time, 12 s',
      '  LAST 10 S  REQ/S  FAILED  P50 MS  P99 MS',
      '  blue       120.4   0.4 %     1.5      12',
      '  green         40       –       –      12',
      '  insufficient: no difference so far: 1 of 120 answers of green failed, 3 of 900 of blue; 12 %',
      '    would have been noticed',
      '  evidence against green: 25 % of what takes it back',
      '  1 failed answer of green reached clients, of 50 that may (2 %)',
    ])
  })

  it('fits terminals of any width from 40 columns on, and the ticks stand below the ends of their steps', () => {
    for (let columns = 40; columns < 140; columns++) {
      const lines = screenOf(ROLLOUT, STATUS, columns, 66_000)
      for (const line of lines) expect(line.length, line).toBeLessThan(columns)
      expect(lines.join('\n')).not.toContain('…')
      const bar = lines.findIndex((line) => line.includes('█'))
      expect(lines[bar + 1][lines[bar].lastIndexOf('█')]).toBe('▲')
    }
  })

  it.each([60, 80])('in %i columns cuts neither a hook nor the figures of pools with long names', (columns) => {
    const url =
      'https://ci.example.com/a/very/long/path/of/a/hook/that/no/line/of/a/narrow/terminal/has/room/for/before-traffic'
    const gate = { gate: 'BeforeInstall', at: url, state: 'waiting', reason: null, startedAtMs: 1, endedAtMs: null }
    const long = {
      ...ROLLOUT,
      from: 'production-of-the-last-release',
      to: 'production-of-the-next-release',
      step: -1,
      gates: [gate],
    }
    const pools = STATUS.pools.map((pool, at) => ({ ...pool, name: [long.from, long.to, 'old'][at] }))
    const lines = screenOf(long, { ...STATUS, pools }, columns, 66_000)
    for (const line of lines) expect(line.length, line).toBeLessThan(columns)
    expect(lines.join('').replaceAll(/ +/g, '')).toContain(url)
    expect(lines.findLast((line) => line.startsWith('  production-of-the-next-release '))).toMatch(/ –/)
    expect(lines.join('\n')).toMatch(/LAST 10 S .* FAILED/)
  })

  it('says what somebody has to do who is waited for, and before the first step what is checked', () => {
    const paused = { ...ROLLOUT, state: 'paused', next: { weight: 50, inMs: 0, waitsFor: 'promotion' } } as const
    expect(screenOf(paused, STATUS, 100, 66_000)).toContain('  to go on: turnout rollout promote shop')
    const byHand = { ...paused, next: { ...paused.next, waitsFor: 'somebody to resume it' } }
    expect(screenOf(byHand, STATUS, 100, 66_000)).toContain('  to go on: turnout rollout resume shop')
    const gate = {
      gate: 'targets',
      at: 'green',
      state: 'waiting',
      reason: 'not healthy',
      startedAtMs: 1,
      endedAtMs: null,
    }
    const early = { ...ROLLOUT, state: 'preflight', step: -1, gates: [gate] } as const
    expect(screenOf(early, STATUS, 100, 66_000)).toContain('  waiting  targets green: not healthy')
    expect(screenOf({ ...early, step: 0 }, STATUS, 100, 66_000).join()).not.toContain('waiting')
  })

  it('needs neither figures of the pools nor a verdict, and takes many steps, and one at 0', () => {
    const steps = Array.from({ length: 100 }, (_, weight) => ({ weight }))
    const many = {
      ...ROLLOUT,
      steps,
      step: -1,
      weight: 0,
      verdict: null,
      next: null,
      harm: { failed: 0, budget: null },
    }
    expect(screenOf({ ...many, state: 'rollingBack', reason: 'aborted by ci' }, null, 60, 4_000)).toEqual([
      'shop: blue → green, canary, r-1, 3 s',
      `  ${'░'.repeat(50)}  0 %`,
      `  ${'╵'.repeat(50)}99`,
      '  rolling back',
      '  aborted by ci',
      '  0 failed answers of green reached clients',
    ])
  })
})

describe('watching', () => {
  /** Watches by a script in which the next answers are `then`; the last one stays. */
  async function watching(then: readonly Partial<RolloutView>[], terminal?: Terminal, clock: Clock = systemClock) {
    let asked = 0
    const admin = await scripted({
      ...BEGUN,
      'GET /v1/services/shop/status': [200, STATUS],
      'GET /v1/services/shop/rollouts/r-1': (response) => {
        const changes = then[Math.min(asked++, then.length - 1)]
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ ...ROLLOUT, ...changes }))
      },
    })
    const argv = ['rollout', 'show', 'shop', '--watch']
    return {
      admin,
      ...start(argv, { TURNOUT_ADMIN: admin.url }, false, { clock, ...(terminal && { stdout: terminal }) }),
    }
  }
  const DONE = { state: 'done', weight: 100, step: 4, next: null } as const

  it('draws one block again and again, also in a terminal that is narrow, and leaves the last one', async () => {
    for (const columns of [40, 80, 200]) {
      const terminal = new Terminal(columns, 40)
      terminal.write('$ turnout rollout show shop --watch\n')
      const { code } = await watching([{}, { weight: 50, step: 3 }, DONE], terminal)
      expect(await code).toBe(0)
      expect(terminal.lines[0]).toBe('$ turnout rollout show shop --watch')
      expect(terminal.lines.filter((line) => line.startsWith('shop:'))).toHaveLength(1)
      expect(terminal.lines.filter((line) => line.includes('█'))).toHaveLength(1)
      expect(terminal.lines.join('\n')).toMatch(/100 %\n.*✓.*\n {2}done, step 5 of 5\n/)
      expect(terminal.lines.join('\n')).not.toContain('Ctrl-C')
    }
  })

  it('prints a line for each change where there is no terminal, without control codes, and exits with 4 when rolled back', async () => {
    const back = { state: 'rolledBack', weight: 0, next: null, reason: '4 of 4 answers of green failed' } as const
    const { code, wrote } = await watching([{}, {}, { state: 'baking', weight: 95 }, {}, back])
    expect(await code).toBe(4)
    expect(wrote.out.split('\n').map((line) => /\d+ % {2}\w+( back)?/.exec(line)?.[0])).toEqual([
      '25 %  shifting',
      '95 %  baking',
      '25 %  shifting',
      '0 %  rolled back',
      undefined,
    ])
    expect(wrote.out).not.toContain('\u001b')
    expect(wrote.err).toBe('turnout: rollout r-1 was rolled back: 4 of 4 answers of green failed\n')
  })

  it('says each minute how far the verdict is while nothing else changes, for those who end jobs that say nothing', async () => {
    const quick = { ...systemClock, monotonicMs: () => performance.now() * 100 }
    const { admin, code, wrote } = await watching([...Array.from({ length: 4 }, () => ({})), DONE], undefined, quick)
    expect(await code).toBe(0)
    const said = wrote.out.split('\n')
    expect(said.filter((line) => line.includes('25 %  shifting')).length).toBeGreaterThan(1)
    expect(said.filter((line) => line.includes('25 %  shifting')).length).toBeLessThan(admin.asked.length)
    expect(said[2]).toMatch(/^ {2}insufficient: no difference so far: 1 of 120 /)
  })

  it('Ctrl-C ends the watching, not the rollout, and says so; the release was not seen to the end, so it is no success', async () => {
    const terminal = new Terminal(80, 40)
    const { admin, code, wrote, end } = await watching([{}], terminal)
    await vi.waitFor(() => expect(terminal.lines.at(-1)).toBe('  Ctrl-C ends the watching, not the rollout.'))
    await vi.waitFor(() => expect(admin.asked.length).toBeGreaterThan(2))
    terminal.write('^C')
    end()
    expect(await code).toBe(1)
    expect(terminal.lines.join('\n')).not.toContain('^C')
    expect(wrote.err).toMatch(
      /^turnout: only the watching has ended; rollout r-1 of shop goes on\.\n.*rollout show shop --watch.*abort shop/,
    )
    expect(admin.asked.map(({ method }) => method)).not.toContain('POST')
  })

  it('Ctrl-C ends it also while the API does not answer', async () => {
    const admin = await scripted({ ...BEGUN, 'GET /v1/services/shop/rollouts/r-1': () => {} })
    const { code, end } = start(['rollout', 'show', 'shop', '--watch'], { TURNOUT_ADMIN: admin.url }, false)
    await vi.waitFor(() => expect(admin.asked).toHaveLength(2))
    end()
    expect(await code).toBe(1)
  })

  it.each([
    ['on a terminal', new Terminal(80, 40)],
    ['through a pipe', undefined],
  ])('an API that is away for a moment is waited for, and that is told: %s', async (_where, terminal) => {
    const { admin, code, wrote } = await watching([{}], terminal)
    await vi.waitFor(() => expect(admin.asked.length).toBeGreaterThan(2))
    await admin.stop()
    const said = () => (terminal === undefined ? wrote.err : terminal.lines.join('\n'))
    await vi.waitFor(() => expect(said()).toMatch(/out of reach: .*connection refused/))
    admin.script['GET /v1/services/shop/rollouts/r-1'] = [200, { ...ROLLOUT, ...DONE }]
    await scripted(admin.script, admin.port)
    expect(await code).toBe(0)
    if (terminal === undefined) expect(wrote.err).toMatch(/is there again\.\n$/)
    else expect([said(), wrote.err]).toEqual([expect.not.stringContaining('out of reach'), ''])
  })

  it('one that stays away ends it after 30 s, with 3', async () => {
    const tenTimes = { ...systemClock, monotonicMs: () => performance.now() * 10 }
    const { admin, code, wrote } = await watching([{}], undefined, tenTimes)
    await vi.waitFor(() => expect(admin.asked.length).toBeGreaterThan(1))
    await admin.stop()
    const begunMs = tenTimes.monotonicMs()
    expect(await code).toBe(3)
    expect((tenTimes.monotonicMs() - begunMs) / 1_000).toBeGreaterThan(25)
    expect(wrote.err.match(/out of reach/g)).toHaveLength(2)
  })
})

it('deploy tells the id, and how to watch it, when it does not stay', async () => {
  const { code, wrote } = await deploy({ blue: '1.0', green: '1.1' }, { blue: 1 })
  expect(await code).toBe(0)
  expect(wrote.out).toMatch(/\nrollout r-1 has begun; to watch it: turnout rollout show shop --watch\n$/)
  expect(wrote.err).toBe('')
})

it('deploy with targets reads the service once', async () => {
  const admin = await scripted({
    'GET /v1/services/shop': [200, { spec: { pools: { blue: { version: '1.0', targets: [] } }, split: { blue: 1 } } }],
    'PUT /v1/services/shop/pools/green': [200, {}],
    'POST /v1/services/shop/rollouts': [201, ROLLOUT],
  })
  const args = ['deploy', 'shop', '--to', 'green', '--target', 'http://127.0.0.1:1', '--version', '1.0']
  const { code, wrote } = start(args, { TURNOUT_ADMIN: admin.url }, false)
  expect(await code).toBe(0)
  expect(wrote.err).toContain('version 1.0 runs already (pool blue of shop)')
  expect(admin.asked.map(({ method }) => method)).toEqual(['GET', 'PUT', 'POST'])
})

/** The verb against a service with these versions and weights. */
async function deploy(versions: Readonly<Record<string, string>>, split: object, ...more: string[]) {
  const pools = mapEntries(versions, (version) => ({ version, targets: [] }))
  const admin = await scripted({
    'GET /v1/services/shop': [200, { spec: { pools, split } }],
    'POST /v1/services/shop/rollouts': [201, ROLLOUT],
  })
  return start(['deploy', 'shop', '--to', 'green', ...more], { TURNOUT_ADMIN: admin.url }, false)
}

it.each<[string, Record<string, string>, object, string[], string | null]>([
  ['of another version', { blue: '1.0', green: '1.1' }, { blue: 1, green: 0 }, [], null],
  [
    'of the live version',
    { blue: '1.0', green: '1.0' },
    { blue: 1, green: 0 },
    [],
    'version 1.0 runs already (pool blue',
  ],
  ['of the live version as sent', { blue: '1.0', green: '1.1' }, { blue: 1 }, ['--version', '1.0'], 'version 1.0 runs'],
  ['that goes on from a part', { blue: '1.0', green: '1.1' }, { blue: 9, green: 1 }, [], null],
  ['of targets one by one', { green: '1.0' }, { green: 1 }, [], 'version 1.0 runs already (pool green of shop)'],
  ['of a new version one by one', { green: '1.0' }, { green: 1 }, ['--version', '2'], null],
  ['without any version', { blue: '', green: '' }, { blue: 1 }, [], null],
  ['in JSON', { blue: '1.0', green: '1.0' }, { blue: 1 }, ['--json'], null],
])('a rollout %s says when it is what runs already', async (_, versions, split, more, said) => {
  const { code, wrote } = await deploy(versions, split, ...more)
  expect(await code).toBe(0)
  if (said === null) return expect(wrote.err).toBe('')
  expect(wrote.err).toContain(said)
  expect(wrote.err).toContain('rolled out once more; for another one end this (turnout rollout abort shop)')
})
