/** `POST …/dry-run` in a running Turnout: what the last requests would have become, and that nothing of it stays. */
import { expect, test } from 'vitest'
import type { DryRunReport } from '../../src/admin/dry-run.ts'
import { ask } from '../helpers/ask.ts'
import { WORKERS } from '../helpers/bulk.ts'
import { askAdmin, call, service, startProxy } from '../helpers/proxy.ts'
import { startNamed } from '../helpers/upstream.ts'

const PATH = '/v1/services/shop/dry-run'

test('a dry run tells what a split and rules would have made of the last requests, of all workers, and changes nothing', async () => {
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const shop = service({ blue: [blue.url], green: [green.url] }, { visitor: ['header:x-user', 'cookie'] })
  const proxy = await startProxy({ workers: WORKERS, services: { shop } })
  const propose = (body: unknown) => call<DryRunReport>(proxy, 'POST', PATH, body)

  const empty = await propose({ weights: { green: 1 } })
  expect(empty.sample).toEqual({ requests: 0, kept: 0, sinceMs: null, marginPoints: 0 })
  expect(empty.pools.map(({ name, now, proposed }) => [name, now.aimed, proposed.aimed, proposed.share])).toEqual([
    ['blue', 1, 0, null],
    ['green', 0, 1, null],
  ])

  const secret = 'Bearer s3cret-s3cret'
  for (let n = 0; n < 60; n++) {
    const headers = { 'x-user': `u-${n % 20}`, authorization: secret, ...(n % 20 < 3 ? { 'x-internal': '1' } : {}) }
    await ask(proxy.port, { path: `/item/${n}?token=s3cret-too`, headers })
  }
  for (let n = 0; n < 4; n++) await ask(proxy.port, { path: '/' })
  const before = await call(proxy, 'GET', '/v1/services/shop')
  const audit = await call(proxy, 'GET', '/v1/audit')

  const rules = [
    { name: 'staff', when: { header: { 'x-internal': '1' } }, to: 'green' },
    { name: 'one', when: { visitor: ['u-0'] }, to: 'green' },
    { name: 'guess', when: { header: { authorization: { prefix: 'Bearer s' } } }, deny: 'green' },
  ]
  const ruled = await propose({ rules })
  expect(ruled).toMatchObject({
    service: 'shop',
    refused: null,
    sample: { requests: 64, kept: 64, marginPoints: 0 },
    withoutVisitor: 4,
    visitors: { seen: 20, move: 3, forward: 3, backward: 0 },
    moves: [{ from: 'blue', to: 'green', requests: 9, visitors: 3 }],
    nobody: { now: 0, proposed: 0 },
  })
  expect(ruled.rules).toEqual([
    { name: 'staff', to: 'green', deny: null, matched: 9, caught: 9, share: 9 / 64, before: 0, shadowedBy: [] },
    {
      name: 'one',
      to: 'green',
      deny: null,
      matched: 3,
      caught: 0,
      share: 0,
      before: 0,
      shadowedBy: [{ rule: 'staff', requests: 3 }],
    },
    expect.objectContaining({ name: 'guess', deny: 'green', matched: 60, caught: 51 }),
  ])
  expect(JSON.stringify(ruled)).not.toMatch(/s3cret|item|u-1/)

  const split = await propose({ weights: { blue: 50, green: 50 } })
  expect(split.sample.requests).toBe(64)
  expect(split.visitors.backward).toBe(0)
  expect(split.visitors.move).toBe(split.visitors.forward)
  // Half of them, and which is chance: of twenty, none once in a million times.
  expect(split.visitors.move).toBeGreaterThan(0)

  // Each visitor is where the dry run has said, once it is so.
  await call(proxy, 'PUT', '/v1/services/shop/split', { weights: { blue: 50, green: 50 } })
  let moved = 0
  for (let n = 0; n < 20; n++) {
    const { body } = await ask(proxy.port, { headers: { 'x-user': `u-${n}` } })
    if (body === 'green') moved++
  }
  expect(moved).toBe(split.visitors.move)
  await call(proxy, 'POST', '/v1/services/shop/back')
  const after = await call<{ spec: unknown }>(proxy, 'GET', '/v1/services/shop')
  expect(after.spec).toEqual(before['spec'])
  const lines = (page: unknown) => (page as { entries?: unknown[] }).entries?.length
  expect(lines(await call(proxy, 'GET', '/v1/audit'))).toBe((lines(audit) ?? 0) + 2)
})

test('what could not be set is refused with its place, and so is a dry run without a sample', async () => {
  const blue = await startNamed('blue')
  const shop = service({ blue: [blue.url] })
  const proxy = await startProxy({ services: { shop }, limits: { sampleBytesMax: 0 } })
  const refusal = async (path: string, body: unknown) => {
    const { status, text } = await askAdmin(proxy, 'POST', path, JSON.stringify(body))
    const { errors, detail } = JSON.parse(text)
    return [status, ...(errors ?? []).map(({ pointer }: { pointer: string }) => pointer), detail]
  }
  expect((await refusal('/v1/services/nope/dry-run', { weights: { blue: 1 } }))[0]).toBe(404)
  expect((await refusal(PATH, { weights: { red: 1 } })).slice(0, 2)).toEqual([422, '/weights/red'])
  expect((await refusal(PATH, { routes: [] })).slice(0, 2)).toEqual([422, '/routes'])
  expect((await refusal(PATH, { weights: { blue: 1 }, split: { blue: 1 } })).slice(0, 2)).toEqual([422, '/weights'])
  expect(await refusal(PATH, { live: 'blue' })).toEqual([409, expect.stringContaining('limits.sampleBytesMax')])
})
