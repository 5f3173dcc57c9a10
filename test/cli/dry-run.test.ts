/** `dry-run`: what it sends of a file or the command line, and how it tells the answer. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { DryRunReport } from '../../src/admin/dry-run.ts'
import { temporaryFolder } from '../helpers/proxy.ts'
import { problem, scripted, turnout } from './scripted.ts'

const CALL = 'POST /v1/services/shop/dry-run'
const side = (aimed: number, requests: number, elsewhere = 0) => ({
  aimed,
  requests,
  share: requests / 50_000,
  elsewhere,
})
const REPORT: DryRunReport = {
  service: 'shop',
  revision: 7,
  epoch: 9,
  refused: null,
  sample: { requests: 50_000, kept: 8_412, sinceMs: Date.UTC(2026, 10, 28, 12), marginPoints: 1.07 },
  withoutVisitor: 0,
  redirected: 0,
  rules: [
    {
      name: 'staff',
      to: 'green',
      deny: null,
      matched: 1_562,
      caught: 1_550,
      share: 0.031,
      before: 0,
      shadowedBy: [{ rule: 'first', requests: 12 }],
    },
    { name: 'never', to: null, deny: 'green', matched: 0, caught: 0, share: 0, before: 0, shadowedBy: [] },
  ],
  gone: [{ name: 'old', before: 1 }],
  pools: [
    { name: 'blue', version: '1.0', now: side(0.95, 47_500), proposed: side(0.5, 25_000) },
    { name: 'green', version: '1.1', now: side(0.05, 2_500), proposed: side(0.5, 25_000, 25_000) },
  ],
  nobody: { now: 0, proposed: 3 },
  moves: [{ from: 'blue', to: 'green', requests: 22_500, visitors: 412 }],
  visitors: { seen: 9_120, move: 412, forward: 412, backward: 0 },
}

function file(text: string): string {
  const path = join(temporaryFolder(), 'proposal.yaml')
  writeFileSync(path, text)
  return path
}

async function sentFor(...args: string[]): Promise<unknown> {
  const admin = await scripted({ [CALL]: [200, REPORT] })
  const { code, err } = await turnout(admin.url, 'dry-run', 'shop', ...args)
  expect([code, err]).toEqual([0, ''])
  return JSON.parse(admin.asked[0].body)
}

test('a split may stand in the command line, rules in a file, and a whole config gives what steers its service', async () => {
  const rules = [{ name: 'staff', when: { header: { 'x-internal': '1' } }, to: 'green' }]
  expect(await sentFor('blue=50', 'green=50')).toEqual({ weights: { blue: 50, green: 50 } })
  expect(await sentFor('green=1')).toEqual({ weights: { green: 1 } })
  expect(await sentFor(file('rules: [{ name: staff, when: { header: { x-internal: "1" } }, to: green }]'))).toEqual({
    rules,
  })
  expect(await sentFor(file(JSON.stringify(rules)))).toEqual({ rules })
  const config = { services: { shop: { routes: [{}], pools: {}, live: 'blue', rules, health: {} }, api: {} } }
  expect(await sentFor(file(JSON.stringify(config)))).toEqual({ live: 'blue', rules })
  const split = { services: { shop: { pools: {}, split: { green: 100 } } } }
  expect(await sentFor(file(JSON.stringify(split)))).toEqual({ weights: { green: 100 } })
  expect(await sentFor(file('split: { green: 100 }'))).toEqual({ weights: { green: 100 } })
})

test('the answer is told in words, or as JSON', async () => {
  const admin = await scripted({ [CALL]: [200, REPORT] })
  const { out } = await turnout(admin.url, 'dry-run', 'shop', 'blue=1', 'green=1')
  expect(out.split('\n')).toEqual([
    'shop: the last 50,000 requests, since 2026-11-28 12:00:00Z (8,412 of them kept, so a share is true to 1.1 points)',
    'rule staff would catch for green 3.1 %: 1,550 requests, 0 now; 12 more match, and first comes first',
    'rule never would keep from green 0 %: 0 requests, as now; none matches',
    'rule old, which catches 1 request now, would be gone',
    '',
    'POOL   VERSION  AIMED NOW  PROPOSED  REQUESTS NOW  PROPOSED',
    'blue   1.0           95 %      50 %          95 %      50 %',
    'green  1.1            5 %      50 %           5 %      50 %',
    '',
    '412 of 9,120 visitors would move, all forward',
    '  blue → green: 412 visitors, 22,500 requests',
    '25,000 requests for green would go elsewhere, since no target of it can take them now',
    '3 requests would get no answer; now 0',
    '',
  ])
  const { out: json } = await turnout(admin.url, 'dry-run', 'shop', 'blue=1', 'green=1', '--json')
  expect(JSON.parse(json)).toEqual(REPORT)
})

test('who moves backward, why it would be refused, and that nothing was seen yet is told', async () => {
  const visitors = { seen: 10, move: 3, forward: 1, backward: 2 }
  const script = { [CALL]: [200, { ...REPORT, visitors, refused: 'a rollout is running' }] as [number, unknown] }
  const admin = await scripted(script)
  const { out } = await turnout(admin.url, 'dry-run', 'shop', 'blue=1', 'green=1')
  expect(out).toContain('3 of 10 visitors would move: 1 forward, 2 backward\n')
  expect(out).toMatch(/it would be refused just now: a rollout is running\n$/)
  script[CALL] = [200, { ...REPORT, sample: { requests: 0, kept: 0, sinceMs: null, marginPoints: 0 } }]
  const none = await turnout(admin.url, 'dry-run', 'shop', 'green=1')
  expect(none.out).toBe('shop: no request was seen yet\n')
})

test('a file that says nothing, or nothing of this service, is bad usage, and a refusal is shown with its places', async () => {
  const fault = { pointer: '/rules/0/to', message: 'There is no pool red.' }
  const admin = await scripted({ [CALL]: [422, problem('invalid', 'The values are not valid.', [fault])] })
  const run = (text: string) => turnout(admin.url, 'dry-run', 'shop', file(text))
  expect(await run('services: { api: {} }')).toMatchObject({ code: 2, err: expect.stringContaining('no service shop') })
  expect(await run('just words')).toMatchObject({ code: 2 })
  expect(await run('{ rules: [')).toMatchObject({ code: 1, err: expect.stringContaining('cannot be read') })
  const refused = await run('rules: []')
  expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('There is no pool red.')])
  expect((await turnout(admin.url, 'dry-run', 'shop', '/nowhere.yaml')).code).toBe(1)
})
