/** A process that steps back for another one: what it was asked to change and had not is refused, and so is whatever comes then. */
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { stringify } from 'yaml'
import { parseSpec } from '../../src/config/load.ts'
import { serve } from '../../src/serve.ts'
import { openStore } from '../../src/store/open.ts'
import { lock } from '../helpers/lock.ts'
import { askAdmin, service, temporaryFolder, testConfig } from '../helpers/proxy.ts'
import { startUpstream } from '../helpers/upstream.ts'

function specOf(config: Record<string, unknown>) {
  const loaded = parseSpec(stringify(testConfig(config)), { env: {}, source: 'test' })
  if ('faults' in loaded) throw new Error(JSON.stringify(loaded.faults))
  return loaded.spec
}

test('a change that waits for a pool and a config file that is read again are refused when it steps back, and made when it is back', async () => {
  const good = await startUpstream((_request, response) => response.end())
  const ill = await startUpstream((_request, response) => response.writeHead(500).end())
  const shop = service({ blue: [good.url], green: [ill.url] }, { health: { interval: '100ms' } })
  const spec = specOf({ services: { shop } })
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

test('what it has told until it has stepped back is in the file of events then', async () => {
  const blue = await startUpstream((_request, response) => response.end())
  const file = join(temporaryFolder(), 'turnout.db')
  const shop = service({ blue: [blue.url] })
  const running = await serve({ spec: specOf({ store: `sqlite:${file}`, services: { shop } }) })
  onTestFinished(() => running.close())
  for (let n = 0; n < 5; n++) {
    const message = `told in the last moment, ${n}`
    running.present.publish({ type: 'health', service: 'shop', message, data: {} })
    await running.present.yield()
    expect(readFileSync(`${file}-events`, 'utf8')).toContain(message)
    await running.present.takeBack()
  }
})

test('what it could only serve and not store while it stepped back is not handed over, and is stored once it is back', async () => {
  const blue = await startUpstream((_request, response) => response.end())
  const file = join(temporaryFolder(), 'turnout.db')
  const running = await serve({
    spec: specOf({ store: `sqlite:${file}`, services: { shop: service({ blue: [blue.url] }) } }),
  })
  onTestFinished(() => running.close())
  const { present } = running
  const turn = (on: boolean) => askAdmin(running, 'PUT', '/v1/services/shop/maintenance', JSON.stringify({ on }))
  expect((await turn(true)).status).toBe(200)
  // All is stored when it is offered.
  present.offer()
  const free = await lock(file)
  expect(await turn(false)).toMatchObject({ status: 503 })
  const late = {
    code: 'conflict',
    message: expect.stringMatching(/^What is served of shop is not stored yet.*Upgrade then/),
  }
  await expect(present.yield()).rejects.toMatchObject(late)
  await free()
  await present.takeBack()
  await vi.waitFor(() => present.offer(), { timeout: 20_000 })
  await present.yield()
})

test('once another process has the lock of the store, since its file was taken away, rollouts are those of that process', async () => {
  const blue = await startUpstream((_request, response) => response.end())
  const file = join(temporaryFolder(), 'turnout.db')
  const running = await serve({
    spec: specOf({ store: `sqlite:${file}`, services: { shop: service({ blue: [blue.url] }) } }),
  })
  onTestFinished(() => running.close())
  const other = await openStore(`sqlite:${file}`)
  onTestFinished(() => other.close())
  expect(await other.isShared()).toBe(true)
  rmSync(`${file}-live`)
  // Before the one that runs looks again.
  expect(await other.isShared()).toBe(false)
  const begin = () => askAdmin(running, 'POST', '/v1/services/shop/rollouts', JSON.stringify({ to: 'nobody' }))
  await expect.poll(async () => (await begin()).text, { timeout: 10_000 }).toContain('Nothing is begun here')
})
