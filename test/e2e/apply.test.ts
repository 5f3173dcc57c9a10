/** Applying a config file to a running proxy: whose environment `${NAME}` reads, and what an empty file does. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { runCli } from '../../src/cli/main.ts'
import { call, service, startProxy, type Proxy as Turnout, temporaryFolder } from '../helpers/proxy.ts'
import { startNamed } from '../helpers/upstream.ts'

const reference = (name: string) => '$' + `{${name}}`

async function applied(proxy: Turnout, text: string, env: Record<string, string> = {}, argv = ['apply']) {
  const file = join(temporaryFolder(), 'turnout.yaml')
  writeFileSync(file, text)
  return { file, ...(await run(proxy, [...argv, file], env)) }
}

async function run(proxy: Turnout, argv: readonly string[], env: Record<string, string> = {}) {
  const wrote = { out: '', err: '' }
  const stream = (name: 'out' | 'err') => ({
    write: (line: string) => {
      wrote[name] += line
    },
  })
  const io = { env: { TURNOUT_ADMIN: proxy.admin, ...env }, stdout: stream('out'), stderr: stream('err') }
  return { code: await runCli(argv, io), ...wrote }
}

/** A proxy with one service, and a config of it whose version is `version`. */
async function start() {
  const { url } = await startNamed('blue')
  const shop = service({ blue: [url] })
  const proxy = await startProxy({ services: { shop } })
  const config = (version: string) =>
    JSON.stringify({ services: { shop: { ...shop, pools: { blue: { version, targets: [url] } } } } }, null, 1)
  const live = async () => {
    const answer = await fetch(`${proxy.admin}/v1/services`)
    const { services } = (await answer.json()) as { services: { spec: { pools: object } }[] }
    return services.map(({ spec }) => spec.pools)
  }
  return { proxy, config, live, url }
}

/** A proxy with a service that its file splits 90 to 10, and the text of that file. */
async function startSplit() {
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const shop = service({ blue: [blue.url], green: [green.url] }, { split: { blue: 90, green: 10 } })
  const proxy = await startProxy({ services: { shop } })
  const weights = async () => (await call<{ spec: { split: unknown } }>(proxy, 'GET', '/v1/services/shop')).spec.split
  const text = (changes: object = {}) => JSON.stringify({ services: { shop: { ...shop, ...changes } } })
  return { proxy, text, weights }
}

test('a reference reads the environment of whoever applies the file', async () => {
  const { proxy, config, live, url } = await start()
  const { code } = await applied(proxy, config(reference('VERSION')), { VERSION: '2.0' })
  expect(code).toBe(0)
  expect(await live()).toEqual([{ blue: { version: '2.0', targets: [url] } }])
})

test('nobody reads the environment of the proxy, by the command line or by either form of the call', async () => {
  process.env['TURNOUT_TEST_SECRET'] = 'hidden'
  onTestFinished(() => void delete process.env['TURNOUT_TEST_SECRET'])
  const { proxy, config, live, url } = await start()
  const text = config(reference('TURNOUT_TEST_SECRET'))
  const { code, file, err } = await applied(proxy, text)
  expect(code).toBe(1)
  expect(err).toContain(`${file}:12:`)
  expect(err).toContain('environment variable TURNOUT_TEST_SECRET is not set')
  for (const [type, body] of [
    ['application/yaml', text],
    ['application/json', JSON.stringify({ text })],
    ['application/json', JSON.stringify({ text, env: {} })],
  ]) {
    const answer = await fetch(`${proxy.admin}/v1/apply`, { method: 'POST', headers: { 'content-type': type }, body })
    const problem = (await answer.json()) as { code: string; errors: object[] }
    expect([answer.status, problem.code]).toEqual([422, 'invalid'])
    expect(problem.errors).toMatchObject([{ pointer: '/services/shop/pools/blue/version', line: 12 }])
    expect(JSON.stringify(problem)).not.toContain('hidden')
  }
  expect(await live()).toEqual([{ blue: { version: 'blue-version', targets: [url] } }])
})

test('an empty file is refused rather than taken for "no services"', async () => {
  const { proxy, live } = await start()
  expect(await applied(proxy, ' \n')).toMatchObject({ code: 1, err: 'turnout: The file is empty.\n' })
  expect(await live()).toHaveLength(1)
})

test('applying a file does not say that it runs now where others have changed what runs: it tells what was kept', async () => {
  const { proxy, text, weights } = await startSplit()
  const { revision } = await call<{ revision: number }>(proxy, 'GET', '/v1/services')
  await call(proxy, 'PUT', '/v1/services/shop/split', { weights: { blue: 25, green: 75 } })
  for (const before of [async () => {}, () => call(proxy, 'POST', '/v1/services/shop/switch', { to: 'green' })]) {
    await before()
    const { code, err } = await applied(proxy, text())
    expect([code, err.split('\n')[1]]).toEqual([0, 'turnout:   shop.split'])
    expect(err).toContain('file {"blue":90,"green":10}')
  }
  await call(proxy, 'POST', `/v1/revisions/${revision}/restore`)
  expect(await applied(proxy, text())).toMatchObject({ code: 0, err: '' })
  expect(await weights()).toEqual({ blue: 90, green: 10 })
})

test('applying a file after a restore to what it does not say tells in words what of it was kept, and by a dry run and a diff, too', async () => {
  const { proxy, text, weights } = await startSplit()
  const edited = text({ balance: 'random' })
  await call(proxy, 'PUT', '/v1/services/shop/split', { weights: { blue: 25, green: 75 } })
  const { revision } = await call<{ revision: number }>(proxy, 'GET', '/v1/services')
  expect((await applied(proxy, edited, {}, ['apply', '--force'])).code).toBe(0)
  expect(await weights()).toEqual({ blue: 90, green: 10 })

  await call(proxy, 'POST', `/v1/revisions/${revision}/restore`)
  const places = [
    ['shop.balance', '  runs "least-request"', '  file "random"'],
    ['shop.split', '  runs {"blue":25,"green":75}', '  file {"blue":90,"green":10}'],
  ]
  const kept = [
    'the file differs from what runs, which was changed by others since the file was applied, and is kept:',
    ...places.flat().map((line) => `  ${line}`),
    'with --force the file wins.',
  ].map((line) => `turnout: ${line}\n`)
  const outcome = { code: 0, err: kept.join('') }
  expect(await applied(proxy, edited, {}, ['apply', '--dry-run'])).toMatchObject(outcome)
  expect((await applied(proxy, edited, {}, ['diff'])).out.split('\n').slice(0, -1)).toEqual(
    places.flatMap(([place, ...values]) => [
      `${place} (kept: changed by others since the file was applied)`,
      ...values,
    ]),
  )
  const plain = await applied(proxy, edited)
  expect(plain).toMatchObject(outcome)
  expect(plain.out).toContain('was so already')
  expect(await weights()).toEqual({ blue: 25, green: 75 })
  // What the file says anew is applied, and only of the rest it is told that it was kept.
  const again = await applied(proxy, text({ balance: 'hash' }))
  expect([again.code, again.err.match(/shop\.\w+/g)]).toEqual([0, ['shop.split']])
  expect((await applied(proxy, text({ balance: 'hash' }), {}, ['apply', '--force'])).err).toBe('')
  expect(await weights()).toEqual({ blue: 90, green: 10 })
})

test('with force the file wins wherever it differs, and leaves services alone that it never had', async () => {
  const { proxy, text, weights } = await startSplit()
  await call(proxy, 'PUT', '/v1/services/shop/split', { weights: { blue: 25, green: 75 } })
  await call(
    proxy,
    'PUT',
    '/v1/services/api',
    service({ one: ['http://127.0.0.1:1'] }, { routes: [{ host: 'api.test' }] }),
  )
  const forced = await applied(proxy, text(), {}, ['apply', '--force'])
  expect([forced.code, forced.err]).toEqual([0, 'turnout: not in the file, and still there: api\n'])
  expect(await weights()).toEqual({ blue: 90, green: 10 })
  // A service that was never in a file goes only where the file is to win and what it lacks is to go.
  await applied(proxy, text(), {}, ['apply', '--prune'])
  expect((await call<{ services: object[] }>(proxy, 'GET', '/v1/services')).services).toHaveLength(2)
  expect((await applied(proxy, text(), {}, ['apply', '--prune', '--force'])).code).toBe(0)
  expect((await call<{ services: object[] }>(proxy, 'GET', '/v1/services')).services).toHaveLength(1)
})

test('a dry run and a diff tell what the file would change and what it would leave, and change nothing', async () => {
  const { proxy, text, weights } = await startSplit()
  await call(proxy, 'PUT', '/v1/services/shop/split', { weights: { blue: 25, green: 75 } })
  const changed = text({ balance: 'random' })
  const { revision } = await call<{ revision: number }>(proxy, 'GET', '/v1/services')
  const dry = await applied(proxy, changed, {}, ['apply', '--dry-run'])
  expect([dry.code, dry.out]).toEqual([
    0,
    `${dry.file} would change:\nshop.balance\n  runs "least-request"\n  file "random"\n`,
  ])
  expect(dry.err).toContain('shop.split')
  const forced = await applied(proxy, changed, {}, ['apply', '--dry-run', '--force'])
  expect([forced.out, forced.err]).toEqual([expect.stringContaining('shop.split'), ''])
  const { out } = await applied(proxy, changed, {}, ['diff'])
  expect(out).toMatch(/^shop\.balance\n.*\n.*\nshop\.split \(kept: /)
  const empty = await applied(proxy, 'services: {}', {}, ['apply', '--dry-run'])
  expect([empty.code, empty.err]).toEqual([1, expect.stringContaining('would be refused: The file no longer has shop')])
  expect((await applied(proxy, 'services: {}', {}, ['diff'])).out).toMatch(
    /^shop\n {2}runs .*\n {2}file \(nothing\)\n$/,
  )
  expect(await call(proxy, 'GET', '/v1/services')).toMatchObject({ revision })
  expect(await weights()).toEqual({ blue: 25, green: 75 })
  expect((await applied(proxy, changed)).code).toBe(0)
})

test('what is exported is applied again without a change, with its secrets from the environment only', async () => {
  const { url } = await startNamed('blue')
  const hooks = [{ at: 'BeforeAllowTraffic', url: 'https://ci.test/hook', secret: 'a-signature' }]
  const shop = service({ blue: [url], green: [] }, { split: { blue: 1, green: 0 }, rollout: { hooks } })
  const proxy = await startProxy({ services: { shop } })
  await call(proxy, 'PUT', '/v1/services/shop/rules', [{ name: 'staff', when: { header: { x: '1' } }, to: 'green' }])
  const exported = (...argv: string[]) => run(proxy, ['export', ...argv])
  const { code, out, err } = await exported('--service', 'shop')
  expect([code, err]).toEqual([
    0,
    'turnout: these are the services; listeners and what else is of the process stand in its own config file\nturnout: secrets are not in it; apply reads them from SHOP_ROLLOUT_HOOKS_0_SECRET\n',
  ])
  expect(out).not.toContain('a-signature')
  expect(JSON.parse((await exported('--json')).out)).toMatchObject({
    services: { shop: { rules: [{ name: 'staff' }] } },
  })
  expect((await applied(proxy, out)).code).toBe(1)
  const before = await call(proxy, 'GET', '/v1/services/shop')
  const env = { SHOP_ROLLOUT_HOOKS_0_SECRET: 'a-signature' }
  expect((await applied(proxy, out, env, ['diff'])).out).toMatch(/ says what runs\n$/)
  expect(await applied(proxy, out, env, ['apply', '--force'])).toMatchObject({ code: 0, err: '' })
  expect(await call(proxy, 'GET', '/v1/services/shop')).toMatchObject({
    spec: before['spec'],
    status: before['status'],
  })
  const wrong = await exported('--service', 'shpo')
  expect([wrong.code, wrong.err]).toEqual([1, 'turnout: There is no service shpo (did you mean "shop"?).\n'])
})
