/**
 * The config file read again, by SIGHUP and by `POST /v1/apply`: what changed in the file is applied; what people changed
 * by the API, and the file did not touch, stays; and no connection notices.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { ask, head, oneConnection, pipeline, tally } from '../helpers/ask.ts'
import { bulk } from '../helpers/bulk.ts'
import { PACE_MS } from '../helpers/load.ts'
import { call, type ProxyProcess, service, startProcess, temporaryFolder } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { startNamed } from '../helpers/upstream.ts'

interface Config {
  services: Record<string, Record<string, unknown>>
  [key: string]: unknown
}

interface Shop {
  readonly proxy: ProxyProcess
  /** Edits the file; nothing is read yet. */
  edit(change: (config: Config) => void): void
  /** The text of the file. */
  text(): string
  /** Edits the file and has it read again. */
  reload(change?: (config: Config) => void): Promise<void>
}

const RULE = { name: 'staff', when: { header: { 'x-internal': '1' } }, to: 'green' }
const KEYLESS = new Array(100).fill(head('/'))

async function startShop(workers = bulk(1, 2)): Promise<Shop> {
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const folder = temporaryFolder()
  const services = { shop: service({ blue: [blue.url], green: [green.url] }, { split: { blue: 90, green: 10 } }) }
  const proxy = await startProcess({ workers, log: { access: false }, services }, folder)
  const file = join(folder, 'turnout.yaml')
  const text = () => readFileSync(file, 'utf8')
  const edit = (change: (config: Config) => void) => {
    const config = parse(text()) as Config
    change(config)
    writeFileSync(file, stringify(config))
  }
  const told = () => proxy.output().split('the config file was').length
  return {
    proxy,
    edit,
    text,
    async reload(change) {
      if (change !== undefined) edit(change)
      const before = told()
      proxy.child.kill('SIGHUP')
      await until('the file was read again', () => told() > before)
    },
  }
}

const shares = async (proxy: ProxyProcess) => tally(await pipeline(proxy.port, KEYLESS))
const revisionOf = async (proxy: ProxyProcess) =>
  (await call<{ revision: number }>(proxy, 'GET', '/v1/services')).revision

test('SIGHUP applies what changed in the file and leaves what the API changed; no change, a fault, and what is read only at start move nothing', async () => {
  const { proxy, reload } = await startShop()
  await call(proxy, 'PUT', '/v1/services/shop/split', { weights: { blue: 25, green: 75 } })
  await reload((config) => {
    config.services['shop']['rules'] = [RULE]
  })
  expect(await shares(proxy)).toEqual({ blue: 25, green: 75 })
  expect((await ask(proxy.port, { headers: { 'x-internal': '1' } })).body).toBe('green')

  // Once the file itself speaks of the split, it is the file's.
  await reload((config) => {
    config.services['shop']['split'] = { blue: 60, green: 40 }
  })
  expect(await shares(proxy)).toEqual({ blue: 60, green: 40 })

  const { entries } = await call<{ entries: { actor: string; change: { kind: string } }[] }>(proxy, 'GET', '/v1/audit')
  expect(entries.map(({ actor, change }) => [actor, change.kind])).toEqual([
    ['file', 'file'],
    ['file', 'file'],
    ['local', 'split'],
    ['file', 'file'],
  ])

  // A file that has not changed makes no revision, and does not undo the API.
  await call(proxy, 'POST', '/v1/services/shop/switch', { to: 'green' })
  const before = await revisionOf(proxy)
  await reload()
  expect(await revisionOf(proxy)).toBe(before)
  expect(await shares(proxy)).toEqual({ green: 100 })

  // One with a fault changes nothing, and says where it is.
  await reload((config) => {
    config.services['shop']['split'] = { blue: 1, gren: 1 }
  })
  expect(proxy.output()).toContain('the config file was not applied')
  expect(proxy.output()).toMatch(/turnout\.yaml:\d+:\d+: .*gren/)
  expect(await revisionOf(proxy)).toBe(before)
  expect(await shares(proxy)).toEqual({ green: 100 })

  // What is read only at start is told to need a restart.
  await reload((config) => {
    config.services['shop']['split'] = { blue: 60, green: 40 }
    config['workers'] = 3
  })
  expect(proxy.output()).toContain('read only at start: workers')
  expect(await shares(proxy)).toEqual({ green: 100 })
})

test('services that come with the file are routed; those that go with it go only when it is applied with prune', async () => {
  const { proxy, reload, text } = await startShop()
  const late = await startNamed('late')
  const headers = { host: 'late.test' }
  await reload((config) => {
    config.services['late'] = service({ live: [late.url] }, { routes: [{ host: 'late.test' }] })
  })
  expect((await ask(proxy.port, { headers })).body).toBe('late')
  await reload((config) => {
    delete config.services['late']
    config.services['shop']['rules'] = [RULE]
  })
  expect(proxy.output()).toContain('The file no longer has late, which would be removed')
  expect((await ask(proxy.port, { headers })).body).toBe('late')
  const { events } = await call<{ events: { type: string; message: string }[] }>(
    proxy,
    'GET',
    '/v1/events?follow=false',
  )
  expect(events.at(-1)).toMatchObject({
    type: 'file',
    message: expect.stringContaining('was not applied: The file no'),
  })

  await expect(call(proxy, 'POST', '/v1/apply', { text: text() })).rejects.toThrow(/409 .*prune removes them/)
  await call(proxy, 'POST', '/v1/apply?prune=true', { text: text() })
  expect((await ask(proxy.port, { headers })).body).not.toBe('late')
  expect((await ask(proxy.port, { headers: { 'x-internal': '1' } })).body).toBe('green')
})

test('a file without services removes none, whichever way it is read', async () => {
  const shop = service({ blue: [(await startNamed('blue')).url] })
  const folder = temporaryFolder()
  const config = { store: 'sqlite:./turnout.db', log: { access: false } }
  const first = await startProcess({ ...config, services: { shop } }, folder)
  for (const text of ['services: {}', 'services:\n  # shop:\n', 'admin: { address: 127.0.0.1:0 }']) {
    for (const query of ['', '?force=true']) {
      await expect(call(first, 'POST', `/v1/apply${query}`, { text })).rejects.toThrow(/no longer has shop|422/)
    }
    expect((await ask(first.port)).body).toBe('blue')
  }
  await first.close()

  const second = await startProcess({ ...config, services: {} }, folder)
  expect(second.output()).toContain('no longer in the file, and kept until it is applied with --prune')
  expect((await ask(second.port)).body).toBe('blue')
  second.child.kill('SIGHUP')
  await until('it was read again', () => second.output().includes('The file no longer has shop'))
  expect((await ask(second.port)).body).toBe('blue')
  await call(second, 'POST', '/v1/apply?prune=true', { text: 'services: {}' })
  expect((await ask(second.port)).status).toBe(404)
})

test('reloads under load close no connection and fail no request', async () => {
  const { proxy, reload } = await startShop(2)
  const idle = net.connect(proxy.port, '127.0.0.1')
  onTestFinished(() => {
    idle.destroy()
  })
  let idleEnded = false
  idle.on('end', () => {
    idleEnded = true
  })
  const agents = Array.from({ length: 8 }, oneConnection)
  let over = false
  let answered = 0
  const ports = agents.map(() => new Set<number | undefined>())
  const load = agents.map(async (agent, n) => {
    for (; !over; answered++) {
      await new Promise((resolve) => setTimeout(resolve, PACE_MS))
      const { status } = await ask(proxy.port, { agent })
      if (status !== 200) throw new Error(`a request was answered ${status}`)
      for (const socket of Object.values(agent.freeSockets).flat()) ports[n].add(socket?.localPort)
    }
  })
  const failed = Promise.all(load)
  for (let n = 1; n <= 10; n++) {
    const before = answered
    await reload((config) => {
      config.services['shop']['split'] = { blue: n, green: 10 - n }
    })
    await until('more was answered', () => answered > before)
  }
  over = true
  await failed
  expect(ports.map((used) => used.size)).toEqual(agents.map(() => 1))
  expect(idleEnded).toBe(false)
})

test('the file that is applied by the API is merged in the same way, and its faults come with line and column', async () => {
  const { proxy, edit, text } = await startShop()
  const apply = async (body: string) => {
    const headers = { 'content-type': 'application/yaml' }
    const answer = await fetch(proxy.admin + '/v1/apply', { method: 'POST', headers, body })
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
  }
  await call(proxy, 'PUT', '/v1/services/shop/split', { weights: { blue: 25, green: 75 } })
  edit((config) => {
    config.services['shop']['rules'] = [RULE]
  })
  const applied = await apply(text())
  expect([applied.status, applied.body['changed']]).toEqual([200, true])
  expect(await shares(proxy)).toEqual({ blue: 25, green: 75 })
  expect((await ask(proxy.port, { headers: { 'x-internal': '1' } })).body).toBe('green')
  expect((await apply(text())).body['changed']).toBe(false)

  const before = await revisionOf(proxy)
  const bad = await apply(text().replace('rules:', 'ruls:'))
  expect([bad.status, bad.body['code']]).toEqual([422, 'invalid'])
  const [fault] = bad.body['errors'] as { line: number; column: number; message: string }[]
  expect(text().split('\n')[fault.line - 1]).toContain('rules:')
  expect(fault.message).toContain('rules')
  expect(await revisionOf(proxy)).toBe(before)
})

test('after a restart the file as it was when last read does not undo the API; what was edited meanwhile is applied', async () => {
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const folder = temporaryFolder()
  const shop = service({ blue: [blue.url], green: [green.url] }, { split: { blue: 90, green: 10 } })
  const config = { workers: 2, store: 'sqlite:./turnout.db', log: { access: false } }
  const first = await startProcess({ ...config, services: { shop } }, folder)
  await call(first, 'PUT', '/v1/services/shop/split', { weights: { blue: 25, green: 75 } })
  await first.close()
  const second = await startProcess({ ...config, services: { shop: { ...shop, rules: [RULE] } } }, folder)
  expect(await shares(second)).toEqual({ blue: 25, green: 75 })
  expect((await ask(second.port, { headers: { 'x-internal': '1' } })).body).toBe('green')
})
