/** A file of 100,000 visitors in a running Turnout, and who may name one. */
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { stringify } from 'yaml'
import { ask } from '../helpers/ask.ts'
import { WORKERS } from '../helpers/bulk.ts'
import { askAdmin, call, service, startProcess, temporaryFolder, testConfig } from '../helpers/proxy.ts'
import { startNamed } from '../helpers/upstream.ts'

const COUNT = 100_000

interface Told {
  readonly lookups: readonly { readonly name: string; readonly entries: number; readonly fault: string | null }[]
}

test('its visitors are sent by the rule, a new one is taken while requests go on, and no other file can be named', async () => {
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const folder = temporaryFolder()
  const write = (from: number) => {
    const lines = Array.from({ length: COUNT }, (_, at) => `user-${from + at}\n`)
    writeFileSync(join(folder, 'new'), lines.join(''))
    renameSync(join(folder, 'new'), join(folder, 'testers.txt'))
  }
  write(0)
  const rule = (file: string) => [{ name: 'testers', when: { visitor: { file } }, to: 'green' }]
  const more = { split: { blue: 100, green: 0 }, visitor: ['header:x-user'], rules: rule('./testers.txt') }
  const shop = (rules: unknown) => ({ shop: service({ blue: [blue.url], green: [green.url] }, { ...more, rules }) })
  const config = { workers: WORKERS, services: shop(more.rules) }
  const proxy = await startProcess(config, folder)
  const poolOf = async (at: number) => (await ask(proxy.port, { headers: { 'x-user': `user-${at}` } })).body
  const told = async () => (await call<Told>(proxy, 'GET', '/v1/status')).lookups
  expect([await poolOf(0), await poolOf(COUNT - 1), await poolOf(COUNT)]).toEqual(['green', 'green', 'blue'])
  expect(
    await call(proxy, 'POST', '/v1/explain', { url: 'http://a/', headers: { 'x-user': 'user-17' } }),
  ).toMatchObject({ pool: 'green', why: 'rule testers sends visitor in ./testers.txt to green' })

  write(COUNT)
  await vi.waitFor(
    async () => expect([await poolOf(0), await poolOf(COUNT), await poolOf(COUNT)]).toEqual(['blue', 'green', 'green']),
    { timeout: 20_000, interval: 20 },
  )
  writeFileSync(join(folder, 'testers.txt'), 'user\0')
  expect(await told()).toMatchObject([{ name: './testers.txt', entries: COUNT }])
  await vi.waitFor(
    async () =>
      expect((await told())[0].fault).toBe(
        'line 1 has a control character, which no visitor key in a line of text has',
      ),
    { timeout: 20_000, interval: 20 },
  )
  expect(await poolOf(COUNT)).toBe('green')

  // Whoever may change rules learns nothing of other files, by whichever call.
  const place = '/0/when/visitor/file'
  const patch = { rules: rule('/etc/passwd') }
  const text = stringify(testConfig({ ...config, services: shop(rule('/etc/passwd')) }))
  for (const [method, path, body, pointer] of [
    ['PUT', '/v1/services/shop/rules', rule('/etc/passwd'), place],
    ['PATCH', '/v1/services/shop', patch, `/rules${place}`],
    [
      'PUT',
      '/v1/services/shop',
      { ...(await call<{ spec: object }>(proxy, 'GET', '/v1/services/shop')).spec, ...patch },
      `/rules${place}`,
    ],
    ['POST', '/v1/apply', { text }, `/services/shop/rules${place}`],
  ] as const) {
    const answer = await askAdmin(proxy, method, path, JSON.stringify(body))
    expect([path, answer.status, JSON.parse(answer.text).errors?.[0]?.pointer]).toEqual([path, 422, pointer])
  }
  await call(proxy, 'PUT', '/v1/services/shop/rules', rule('./testers.txt'))

  // Only the config file may, and it is read again.
  writeFileSync(join(folder, 'more.txt'), 'user-7\n')
  writeFileSync(
    join(folder, 'turnout.yaml'),
    stringify({ ...testConfig({ ...config, services: shop(rule('more.txt')) }), log: { level: 'info' } }),
  )
  proxy.child.kill('SIGHUP')
  await vi.waitFor(async () => expect(await poolOf(7)).toBe('green'), { timeout: 20_000, interval: 20 })
  // The other one is let go with it.
  await vi.waitFor(async () => expect((await told()).map(({ name }) => name)).toEqual(['more.txt']), {
    timeout: 20_000,
    interval: 20,
  })
  // One that is not there refuses the whole file.
  writeFileSync(
    join(folder, 'turnout.yaml'),
    stringify({ ...testConfig({ ...config, services: shop(rule('gone.txt')) }), log: { level: 'info' } }),
  )
  proxy.child.kill('SIGHUP')
  await vi.waitFor(() =>
    expect(proxy.output()).toContain(`${join(folder, 'gone.txt')} cannot be read: there is no such file`),
  )
  expect(await poolOf(7)).toBe('green')
})
