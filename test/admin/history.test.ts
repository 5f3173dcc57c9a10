/** The audit, the revisions and going back to one. */
import { expect, test } from 'vitest'
import { startAdmin } from './stand-in.ts'

test('the audit tells who changed what, newest first, page by page', async () => {
  const { call } = await startAdmin()
  await call('PUT', '/v1/services/shop/split', { weights: { blue: 50, green: 50 } })
  await call('POST', '/v1/services/shop/switch', { to: 'green' })
  const all = await call('GET', '/v1/audit')
  expect(all.body.entries.map((entry: { revision: number }) => entry.revision)).toEqual([3, 2, 1])
  expect(all.body.entries[1]).toMatchObject({
    actor: 'local',
    change: { kind: 'split', service: 'shop', weights: { blue: 50, green: 50 } },
  })
  const page = await call('GET', '/v1/audit?limit=1&before=3')
  expect(page.body.entries.map((entry: { revision: number }) => entry.revision)).toEqual([2])
})

test('the audit and the event tell what was forced, and nothing of who did not insist', async () => {
  const { call, control } = await startAdmin()
  await call('PUT', '/v1/services/shop/split?force=false', { weights: { blue: 1, green: 50 } })
  await call('PUT', '/v1/services/shop/split?force=true', { weights: { blue: 50, green: 50 } })
  await call('POST', '/v1/services/shop/switch?force=true', { to: 'green' })
  await call('PUT', '/v1/services/shop/pools/blue/state?force=true', { state: 'maint' })
  await call('POST', '/v1/revisions/1/restore?force=true')
  await control.change(
    { kind: 'file', services: {}, wins: true, prune: true },
    { actor: 'ci', force: true, prune: true },
  )
  const { entries } = (await call('GET', '/v1/audit')).body
  const said = entries.map(({ change }: { change: Record<string, unknown> }) => [
    change['kind'],
    change['force'] ?? false,
    change['prune'] ?? false,
  ])
  expect(said.reverse()).toEqual([
    ['service.put', false, false],
    ['split', false, false],
    ['split', true, false],
    ['switch', true, false],
    ['pool.state', true, false],
    ['restore', true, false],
    ['file', true, true],
  ])
  const told = control.events().filter(({ message }) => / by local, forced(;|$)/.test(message))
  expect(told).toHaveLength(4)
})

test('revisions are listed and read in full', async () => {
  const { call } = await startAdmin()
  await call('POST', '/v1/services/shop/switch', { to: 'green' })
  const list = await call('GET', '/v1/revisions?limit=1')
  expect(list.body.revisions).toMatchObject([{ revision: 2, actor: 'local', kind: 'switch', service: 'shop' }])
  const one = await call('GET', '/v1/revisions/1')
  expect(one.body).toMatchObject({ revision: 1, actor: 'file', services: { shop: { split: { blue: 95, green: 5 } } } })
})

test.each(['?limit=0', '?limit=1001', '?limit=x', '?before=-1', '?page=2'])(
  'the query %s is refused',
  async (query) => {
    const { call } = await startAdmin()
    for (const path of ['/v1/audit', '/v1/revisions']) {
      expect((await call('GET', path + query)).body).toMatchObject({ status: 422, code: 'invalid' })
    }
  },
)

test('restoring a revision brings its services back as a new revision', async () => {
  const { call, control } = await startAdmin()
  await call('POST', '/v1/services/shop/switch', { to: 'green' })
  const restored = await call('POST', '/v1/revisions/1/restore')
  expect([restored.status, restored.body.revision, restored.headers.get('etag')]).toEqual([200, 3, '"3"'])
  expect(control.snapshot().services['shop'].split).toEqual({ blue: 95, green: 5 })
})

test.each(['7', '0', 'x', '-1', '1e0', '99999999999999999999'])('there is no revision %s', async (revision) => {
  const { call } = await startAdmin()
  expect((await call('GET', `/v1/revisions/${revision}`)).body.code).toBe('not_found')
  expect((await call('POST', `/v1/revisions/${revision}/restore`)).body.code).toBe('not_found')
})
