/** A process that steps back for another one: what it was asked to change and had not is refused, and so is whatever comes then. */
import { expect, onTestFinished, test } from 'vitest'
import { stringify } from 'yaml'
import { parseSpec } from '../../src/config/load.ts'
import { serve } from '../../src/serve.ts'
import { askAdmin, service, testConfig } from '../helpers/proxy.ts'
import { startUpstream } from '../helpers/upstream.ts'

test('a change that waits for a pool and a config file that is read again are refused when it steps back, and made when it is back', async () => {
  const good = await startUpstream((_request, response) => response.end())
  const ill = await startUpstream((_request, response) => response.writeHead(500).end())
  const shop = service({ blue: [good.url], green: [ill.url] }, { health: { interval: '100ms' } })
  const loaded = parseSpec(stringify(testConfig({ services: { shop } })), { env: {}, source: 'test' })
  if ('faults' in loaded) throw new Error(JSON.stringify(loaded.faults))
  const { spec } = loaded
  const fresh = {
    ...spec,
    services: { ...spec.services, more: { ...spec.services['shop'], routes: [{ host: 'more.test', path: '/' }] } },
  }
  const running = await serve({ spec, reread: () => fresh })
  onTestFinished(() => running.close())
  const { present, revision } = running
  const waiting = askAdmin(running, 'POST', '/v1/services/shop/switch', JSON.stringify({ to: 'green', wait: '10m' }))
  // It has arrived by then.
  for (let n = 0; n < 3; n++) await askAdmin(running, 'GET', '/v1/status')
  const before = revision()
  await present.yield()
  expect(await waiting).toMatchObject({ status: 503, text: expect.stringContaining('try again in a second') })
  await expect(running.reload()).rejects.toMatchObject({ code: 'not_ready' })
  expect(revision()).toBe(before)
  await present.takeBack()
  expect(await running.reload()).toMatchObject({ changed: true })
  expect(revision()).toBe(before + 1)
})
