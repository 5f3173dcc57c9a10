/** What a person sees on a terminal, in one of the system: logs in words, tables that fit, and Ctrl-C; and that a pipe gets JSON. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { stringify } from 'yaml'
import { ask } from '../helpers/ask.ts'
import { MAIN } from '../helpers/built.ts'
import { program } from '../helpers/programs.ts'
import { call, service, startProcess, startProxy, temporaryFolder, testConfig } from '../helpers/proxy.ts'
import { CTRL_C, inTerminal } from '../helpers/pseudo-terminal.ts'
import { until } from '../helpers/raw.ts'
import { closedPort, startNamed } from '../helpers/upstream.ts'

const python = process.platform === 'win32' ? null : program('python3')
const ESCAPE = '\u001b['

/** Turnout in a terminal; what it has made of a split. */
async function served(env: Record<string, string>, level = 'info') {
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const folder = temporaryFolder()
  const [port, adminPort] = [await closedPort(), await closedPort()]
  const shop = service({ blue: [blue.url], green: [green.url] }, { split: { blue: 100, green: 0 } })
  const config = testConfig({
    listeners: [{ address: `127.0.0.1:${port}` }],
    admin: { address: `127.0.0.1:${adminPort}` },
    log: { level, access: true },
    services: { shop },
  })
  writeFileSync(join(folder, 'turnout.yaml'), stringify(config))
  const terminal = inTerminal(python!, [process.execPath, MAIN, 'serve'], { env, cwd: folder })
  const admin = `http://127.0.0.1:${adminPort}`
  const isReady = async () => (await fetch(`${admin}/readyz`).catch(() => null))?.ok === true
  await until('it is ready', isReady)
  await call({ admin } as never, 'PUT', '/v1/services/shop/split', { weights: { blue: 90, green: 10 } })
  await ask(port, { path: '/a' })
  await until('the request is logged', () => terminal.text().includes('/a'))
  // As a person would end it.
  terminal.type(CTRL_C)
  expect(await terminal.code).toBe(0)
  return terminal.text()
}

test.skipIf(python === null)(
  'on a terminal the logs are for people, who has changed what included, and Ctrl-C ends it in order',
  async () => {
    const text = await served({})
    const time = `[0-9]{2}:[0-9]{2}:[0-9]{2}`
    expect(text).toMatch(new RegExp(`^${time} INFO  serving listeners=`, 'm'))
    expect(text).toMatch(
      new RegExp(
        `^${time} INFO  shop split blue=90, green=10 by local; split of shop: blue=100, green=0 -> blue=90, green=10 revision=2$`,
        'm',
      ),
    )
    expect(text).toMatch(new RegExp(`^${time} 200 GET 127\\.0\\.0\\.1/a  shop/(blue|green) `, 'm'))
    expect(text).toMatch(new RegExp(`${time} INFO  finishing what is under way signal=SIGINT$`, 'm'))
    expect(text).not.toContain('{"')
    expect(text).not.toContain('Server listening')
  },
)

test.skipIf(python === null)('a level that is bad is coloured there, unless NO_COLOR says otherwise', async () => {
  const folder = temporaryFolder()
  const shop = service(
    { blue: ['http://127.0.0.1:1'] },
    { health: { path: '/', interval: '100ms', unhealthyAfter: 1 } },
  )
  const config = testConfig({ log: { level: 'info', access: false }, services: { shop } })
  writeFileSync(join(folder, 'turnout.yaml'), stringify(config))
  const look = async (env: Record<string, string>) => {
    const terminal = inTerminal(python!, [process.execPath, MAIN, 'serve'], { env, cwd: folder })
    await until('the target is unhealthy', () => terminal.text().includes('is unhealthy: '))
    terminal.type(CTRL_C)
    expect(await terminal.code).toBe(0)
    return terminal.text()
  }
  expect(await look({})).toContain(`${ESCAPE}33mWARN ${ESCAPE}0m http://127.0.0.1:1 in pool blue of shop is unhealthy`)
  const plain = await look({ NO_COLOR: '1' })
  expect(plain).toContain(' WARN  http://127.0.0.1:1 in pool blue of shop is unhealthy')
  expect(plain).not.toContain(ESCAPE)
})

test('in a pipe every line is JSON: who has changed what, who has begun a rollout, each state and step, why it goes back, and where the traffic goes', async () => {
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const shop = service({ blue: [blue.url], green: [green.url] }, { split: { blue: 100, green: 0 } })
  const proxy = await startProcess({ services: { shop }, log: { access: false } }, temporaryFolder())
  await call(proxy, 'PUT', '/v1/services/shop/split', { weights: { blue: 1, green: 1 } })
  await call(proxy, 'PUT', '/v1/services/shop/split', { weights: { blue: 100, green: 0 } })
  const rollouts = '/v1/services/shop/rollouts'
  const steps = [{ weight: 20, until: 'promoted' }, 100]
  const { id } = await call<{ id: string }>(proxy, 'POST', rollouts, { to: 'green', strategy: 'canary', steps })
  await until('it waits at its first step', () =>
    proxy.output().includes(`rollout ${id} of shop to green is shifting at 20 %`),
  )
  await call(proxy, 'POST', `${rollouts}/current/abort`)
  await until('it is over', () => proxy.output().includes('is rolled back'))
  await proxy.close()
  const texts = proxy.output().trimEnd().split('\n')
  const lines = texts.map((line) => JSON.parse(line) as Record<string, unknown>)
  const changes = lines.filter(({ event, kind, actor }) => event === 'change' && kind === 'split' && actor === 'local')
  expect(changes).toEqual([
    expect.objectContaining({
      level: 'info',
      service: 'shop',
      revision: 2,
      splits: { shop: { before: { blue: 100, green: 0 }, after: { blue: 1, green: 1 } } },
    }),
    expect.objectContaining({ revision: 3 }),
  ])
  expect(lines.filter(({ msg }) => String(msg).includes('listening'))).toEqual([])
  const told = lines
    .filter(({ event, actor }) => event === 'rollout' || actor === `rollout ${id}`)
    .map(({ level, msg }) => `${level} ${String(msg).replaceAll(id, 'ID')}`)
  const to = 'rollout ID of shop to green'
  for (const line of [
    `info ${to} begins at 0 %`,
    `info ${to} is shifting at 20 %`,
    'info shop shifted to blue=4, green=1 by rollout ID, asked for by local; split of shop: blue=100, green=0 -> blue=4, green=1',
    `warn ${to} is rolling back at 0 %: aborted by local`,
    'info shop shifted to blue=100, green=0 by rollout ID, asked for by local; split of shop: blue=4, green=1 -> blue=100, green=0',
    `warn ${to} is rolled back at 0 %: aborted by local`,
  ]) {
    expect(told).toContain(line)
    // Each once.
    expect(told.filter((one) => one === line)).toHaveLength(1)
  }
})

test.skipIf(python === null)('under log.level error nothing is said of what goes well', async () => {
  const text = await served({}, 'error')
  expect(text.split('\n').filter((line) => line !== '' && line !== '^C' && !line.includes(' 200 GET '))).toEqual([])
})

test.skipIf(python === null).each([40, 80, 200])('tables fit a terminal of %s columns', async (columns) => {
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const long = 'a-service-with-a-name-that-is-longer-than-most'
  const pools = { blue: [blue.url], 'green-with-a-long-name': [green.url] }
  const proxy = await startProxy({
    services: { shop: service(pools), [long]: service(pools, { routes: [{ host: 'b', path: '/' }] }) },
  })
  const status = inTerminal(python!, [process.execPath, MAIN, 'status'], {
    columns,
    env: { TURNOUT_ADMIN: proxy.admin },
  })
  expect(await status.code).toBe(0)
  expect(status.text()).toContain('shop')
  for (const line of status.text().split('\n')) expect(line.length).toBeLessThanOrEqual(columns)
})

const WAITING: readonly [argv: string, shows: RegExp, code: number, says: string][] = [
  ['status --watch', /shop/, 0, ''],
  ['events --follow', /shop/, 0, ''],
  ['rollout show shop --watch', /blue → green/, 1, 'turnout: only the watching has ended; rollout '],
  ['drain shop blue --wait', /the visitors that it has are let in for/, 1, 'turnout: only the waiting has ended: '],
]

test.skipIf(python === null).each(WAITING)(
  'Ctrl-C ends turnout %s, and nothing else',
  async (argv, shows, code, says) => {
    const [blue, green] = [await startNamed('blue'), await startNamed('green')]
    const more = { split: { blue: 90, green: 10 }, drain: { timeout: '10m' }, sticky: { pool: true } }
    const proxy = await startProxy({ services: { shop: service({ blue: [blue.url], green: [green.url] }, more) } })
    const isOfRollout = argv.startsWith('rollout')
    if (isOfRollout) {
      const steps = [{ weight: 20, until: 'promoted' }, 100]
      await call(proxy, 'POST', '/v1/services/shop/rollouts', { to: 'green', strategy: 'canary', steps })
    }
    const env = { TURNOUT_ADMIN: proxy.admin }
    const terminal = inTerminal(python!, [process.execPath, MAIN, ...argv.split(' ')], { columns: 120, env })
    await until('it shows what it waits for', () => shows.test(terminal.text()))
    terminal.type(CTRL_C)
    expect(await terminal.code).toBe(code)
    expect(terminal.text()).toContain(says)
    expect(terminal.text()).not.toMatch(/AbortError|\bat .*\.js|This operation was aborted/)
    // What was begun goes on.
    if (isOfRollout)
      expect(await call(proxy, 'GET', '/v1/services/shop/rollouts/current')).toMatchObject({ endedAtMs: null })
    if (argv.startsWith('drain')) {
      const { pools } = await call<{ pools: object[] }>(proxy, 'GET', '/v1/services/shop/status')
      expect(pools[0]).toMatchObject({ name: 'blue', admin: 'drain' })
    }
  },
)
