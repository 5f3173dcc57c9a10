/** Every kind of condition in a running Turnout: what the API checks, explain says, traffic gets and a dry run finds is one thing. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { DryRunReport } from '../../src/admin/dry-run.ts'
import type { Example } from '../../src/table/conditions/kind.ts'
import { KINDS } from '../../src/table/conditions/kinds.ts'
import { octetsOfText } from '../../src/table/octets.ts'
import { ask } from '../helpers/ask.ts'
import { mmdbOf } from '../helpers/mmdb.ts'
import { call, service, startProxy, type Proxy as TestProxy, temporaryFolder } from '../helpers/proxy.ts'
import { startNamed } from '../helpers/upstream.ts'

/** How many of the last requests these rules would have caught. */
async function caughtBy(proxy: TestProxy, rules: readonly unknown[]): Promise<number> {
  const { rules: counts } = await call<DryRunReport>(proxy, 'POST', '/v1/services/shop/dry-run', { rules })
  return counts[0].caught
}

test('every kind holds in traffic where explain and a dry run say so, and where its example says so', async () => {
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const pools = { blue: [blue.url], green: [green.url] }
  const directory = temporaryFolder()
  const examples = Object.entries(KINDS).flatMap(([name, { examples }]) =>
    examples.map((example: Example) => ({ name, ...example })),
  )
  const files = examples.flatMap(({ files = {} }) => Object.entries(files))
  for (const [file, text] of files) writeFileSync(join(directory, file), text)
  const countries = Object.assign({}, ...examples.map(({ countries = {} }) => countries))
  writeFileSync(join(directory, 'geo.mmdb'), mmdbOf(countries))
  // The API may name no file but those of the config.
  const rules = files.map(([file], index) => ({ name: `f${index}`, when: { visitor: { file } }, to: 'green' }))
  const more = { split: { blue: 100, green: 0 }, visitor: ['header:x-user'], rules }
  const proxy = await startProxy(
    {
      workers: 1,
      trustedProxies: ['127.0.0.0/8'],
      country: { header: 'X-Country', file: 'geo.mmdb' },
      services: { shop: service(pools, more) },
    },
    { directory },
  )
  const tried: unknown[] = []
  for (const { name, spec, held, failed } of examples) {
    const rules = [{ name: 'r0', when: { [name]: spec }, to: 'green' }]
    const before = await caughtBy(proxy, rules)
    let greens = 0
    await call(proxy, 'PUT', '/v1/services/shop/rules', rules)
    for (const [request, wanted] of [
      [held, 'green'],
      [failed, 'blue'],
    ] as const) {
      const { method = 'GET', path = '/', headers = {}, ip = '192.0.2.1' } = request
      const url = `http://shop.test${path}`
      const said = await call<{ pool: string; why: string }>(proxy, 'POST', '/v1/explain', { method, url, headers, ip })
      const octets = Object.fromEntries(
        Object.entries(headers).map(([key, values]) => [key, [values].flat().map(octetsOfText)]),
      )
      const answer = await ask(proxy.port, { method, path, headers: { ...octets, 'x-forwarded-for': ip } })
      // The clock of a running Turnout is not that of an example.
      const pool = request.atMs === undefined ? wanted : answer.body
      tried.push([name, said.pool, answer.body])
      if (answer.body === 'green') greens++
      expect([name, said.why, said.pool, answer.body]).toEqual([name, said.why, pool, pool])
    }
    expect([name, (await caughtBy(proxy, rules)) - before]).toEqual([name, greens])
  }
  expect(tried).toHaveLength(2 * examples.length)
  expect(new Set(examples.map(({ name }) => name)).size).toBe(Object.keys(KINDS).length)
})
