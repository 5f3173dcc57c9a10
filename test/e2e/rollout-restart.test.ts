/** `kill -9` while a rollout runs, and a start on the same store: it goes on, is judged, and has its service for itself. */
import { expect, test } from 'vitest'
import { PACE_MS, startLoad } from '../helpers/load.ts'
import { call, type ProxyProcess, service, startProcess, temporaryFolder } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { begin, current, ROLLOUTS, reached } from '../helpers/rollouts.ts'
import { startNamed, startUpstream } from '../helpers/upstream.ts'

interface Spec {
  readonly split: Readonly<Record<string, number>>
  readonly pools: Readonly<Record<string, { readonly version: string; readonly targets: readonly string[] }>>
  readonly debugHeaders: boolean
}

const specOf = async (proxy: ProxyProcess) => (await call<{ spec: Spec }>(proxy, 'GET', '/v1/services/shop')).spec

/** Two versions, of which green can be broken, and a folder for what is to outlive a process. */
async function startFleet() {
  const blue = (await startNamed('blue')).url
  const state = { failing: false }
  const { url: green } = await startUpstream((request, response) => {
    request.resume()
    response.statusCode = state.failing ? 500 : 200
    response.end('green')
  })
  const folder = temporaryFolder()
  const shop = service({ blue: [blue], green: [green] }, { sticky: false, visitor: [] })
  const start = (changed: object = {}) =>
    startProcess({ store: 'sqlite:./turnout.db', services: { shop: { ...shop, ...changed } } }, folder)
  return { blue, green, state, start }
}

/** Begins a rollout, and kills the process in the first step of it, which lasts until somebody promotes it. */
async function killedAtFirstStep(proxy: ProxyProcess): Promise<string> {
  const { id } = await begin(proxy, { steps: [{ weight: 20, until: 'promoted', for: '1h' }] })
  await until('the first step is there', async () => (await current(proxy)).weight === 20)
  proxy.child.kill('SIGKILL')
  await proxy.exited()
  return id
}

test('it goes on where it was, nobody else moves its service, and it goes back when the new version fails', async () => {
  const { green, state, start } = await startFleet()
  const id = await killedAtFirstStep(await start())
  const second = await start()
  expect(await current(second)).toMatchObject({ id, state: 'shifting', weight: 20, step: 0 })
  expect((await specOf(second)).split).toEqual({ blue: 4, green: 1 })
  // The file says what it said before.
  expect(second.output()).not.toContain('waits until it is applied again')
  const running = /A rollout of shop is running/
  const split = { weights: { blue: 1, green: 1 } }
  await expect(call(second, 'PUT', '/v1/services/shop/split', split)).rejects.toThrow(running)
  const pool = { version: '9', targets: [green] }
  await expect(call(second, 'PUT', '/v1/services/shop/pools/green', pool)).rejects.toThrow(running)

  // It is judged in the step that it was in.
  startLoad(second.port, { connections: 8, pauseMs: () => PACE_MS })
  await until('answers of both versions are counted', async () => {
    const { verdict } = await current(second)
    return (verdict?.canary.requests ?? 0) > 0 && (verdict?.control.requests ?? 0) > 0
  })
  state.failing = true
  expect(await reached(second, 'rolledBack')).toMatchObject({ id, reason: expect.stringContaining('of green failed') })
  expect((await specOf(second)).split).toEqual({ blue: 100, green: 0 })
})

test('a file that was edited meanwhile stops no start, and waits until it is applied again', async () => {
  const { blue, start } = await startFleet()
  const id = await killedAtFirstStep(await start())
  const changed = { pools: { blue: { version: 'blue', targets: [blue] } }, split: { blue: 1 }, debugHeaders: true }
  const second = await start(changed)
  expect(await current(second)).toMatchObject({ id, state: 'shifting', weight: 20 })
  expect(await specOf(second)).toMatchObject({ split: { blue: 4, green: 1 }, debugHeaders: false })
  expect(second.output()).toContain('what the file says of them waits until it is applied again')
  await call(second, 'POST', `${ROLLOUTS}/${id}/abort`)
  second.child.kill('SIGHUP')
  await until('the file is applied', async () => (await specOf(second)).debugHeaders)
  expect(Object.keys((await specOf(second)).pools)).toEqual(['blue'])
})
