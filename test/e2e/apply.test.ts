/** Applying a config file to a running proxy: whose environment `${NAME}` reads, and what an empty file does. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { runCli } from '../../src/cli/main.ts'
import { service, startProxy, type Proxy as Turnout, temporaryFolder } from '../helpers/proxy.ts'
import { startNamed } from '../helpers/upstream.ts'

const reference = (name: string) => '$' + `{${name}}`

async function applied(proxy: Turnout, text: string, env: Record<string, string> = {}) {
  const file = join(temporaryFolder(), 'turnout.yaml')
  writeFileSync(file, text)
  const wrote = { out: '', err: '' }
  const stream = (name: 'out' | 'err') => ({
    write: (line: string) => {
      wrote[name] += line
    },
  })
  const io = { env: { TURNOUT_ADMIN: proxy.admin, ...env }, stdout: stream('out'), stderr: stream('err') }
  return { code: await runCli(['apply', file], io), file, ...wrote }
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
