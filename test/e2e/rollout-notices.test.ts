/** Who is told of rollouts: of every end, and of every pause that waits for a person. */
import { expect, test } from 'vitest'
import type { Kept } from '../../src/rollout/kept.ts'
import { notify } from '../../src/rollout/news.ts'
import { startCalled } from '../helpers/hook.ts'
import { call, service, startProxy, type Proxy as TestProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { begin, current, ROLLOUTS, reached } from '../helpers/rollouts.ts'
import { startNamed } from '../helpers/upstream.ts'

interface Heard {
  readonly type: string
  readonly body: string
}

/** Somebody who is told; the first `deaf` calls are answered with 503. */
async function startChat(deaf = 0): Promise<{ url: string; heard: Heard[] }> {
  const heard: Heard[] = []
  let calls = 0
  const { url } = await startCalled((body, request) => {
    const isHeard = ++calls > deaf
    if (isHeard) heard.push({ type: String(request.headers['content-type']), body })
    return isHeard ? 200 : 503
  })
  return { url: `${url}/hooks/T0KEN`, heard }
}

async function startShop(): Promise<TestProxy> {
  const pools = { blue: [(await startNamed('blue')).url], green: [(await startNamed('green')).url] }
  return startProxy({ services: { shop: service(pools) } })
}

test('a chat hears of a pause of the plan, of one that a person made, and of the end, though it was away for a moment', async () => {
  const proxy = await startShop()
  const chat = await startChat(1)
  const steps = [{ weight: 0, until: 'promoted' }, 50]
  const { id } = await begin(proxy, { strategy: 'canary', steps, notify: [{ url: chat.url }] })
  const verb = (name: string) => call(proxy, 'POST', `${ROLLOUTS}/current/${name}`)
  await until('it has heard of the pause', () => chat.heard.length === 1)
  await verb('resume')
  await until('the next step is there', async () => (await current(proxy)).weight === 50)
  await verb('pause')
  await until('it has heard of that too', () => chat.heard.length === 2)
  await verb('abort')
  await until('it has heard of the end', () => chat.heard.length === 3)
  expect(chat.heard[0].type).toBe('application/json')
  expect(chat.heard.map(({ body }) => JSON.parse(body) as unknown)).toEqual([
    {
      text: `shop: rollout ${id} to green is paused: the step waits to be promoted`,
      service: 'shop',
      rollout: id,
      state: 'paused',
    },
    { text: `shop: rollout ${id} to green is paused: paused by local`, service: 'shop', rollout: id, state: 'paused' },
    {
      text: `shop: rollout ${id} to green is rolled back: aborted by local`,
      service: 'shop',
      rollout: id,
      state: 'rolledBack',
    },
  ])
})

test('who wants plain text gets the sentence alone', async () => {
  const proxy = await startShop()
  const chat = await startChat()
  const { id } = await begin(proxy, {
    strategy: 'all-at-once',
    bake: '0s',
    notify: [{ url: chat.url, format: 'text' }],
  })
  await reached(proxy, 'done')
  await until('it has heard', () => chat.heard.length === 1)
  expect(chat.heard).toEqual([{ type: 'text/plain; charset=utf-8', body: `shop: rollout ${id} to green is done` }])
})

test('that nobody has heard is logged, without the path of the address, which is its secret', async () => {
  const logged: string[] = []
  const log = { error() {}, warn: (...said: unknown[]) => void logged.push(JSON.stringify(said)) }
  const kept = {
    service: 'shop',
    rollout: { id: 'r-1', to: 'green', state: 'done', reason: null },
    wish: { spec: { notify: [{ url: 'https://chat.example/hooks/T0KEN?x=T0KEN' }] } },
  }
  notify('done', kept as unknown as Kept, { log, gates: { notify: async () => 'answered 404' } })
  await until('it is logged', () => logged.length === 1)
  expect(logged[0]).toContain('https://chat.example')
  expect(logged[0]).toContain('answered 404')
  expect(logged[0]).not.toContain('T0KEN')
})
