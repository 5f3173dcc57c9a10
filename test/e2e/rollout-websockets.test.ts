/** WebSockets in the verdict: a new version that ends them at once goes back, and one that ends as many as the live one does not. */
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { metric } from '../helpers/admin.ts'
import { http } from '../helpers/http.ts'
import { startLoad } from '../helpers/load.ts'
import { call, service, startProxy, type Proxy as TestProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { current, ROLLOUTS } from '../helpers/rollouts.ts'

/** A target that answers requests well, and ends every `n`-th WebSocket as soon as it is open; 0: none, below: it has none at all. */
async function startTarget(every: number): Promise<string> {
  const server = http.createServer((_, response) => response.end('well'))
  let count = 0
  if (every >= 0) {
    new WebSocketServer({ server }).on('connection', (socket) => {
      if (every > 0 && ++count % every === 0) socket.close(1011)
      else socket.on('message', () => socket.send('here'))
    })
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function startShop(blue: number, green: number, verdict: object): Promise<TestProxy> {
  const pools = { blue: [await startTarget(blue)], green: [await startTarget(green)] }
  const proxy = await startProxy({ services: { shop: service(pools, { sticky: false, visitor: [] }) } })
  const steps = [{ weight: 40, until: 'promoted', for: '1h' }]
  await call(proxy, 'POST', ROLLOUTS, { to: 'green', strategy: 'canary', steps, verdict })
  await until('it is tried', async () => (await current(proxy)).weight === 40)
  const load = startLoad(proxy.port, { connections: 2, pauseMs: () => 20 })
  onTestFinished(async () => void (await load.stop()))
  return proxy
}

/** Opens WebSockets one after the other on some lanes until it is ended; each says something, and closes once it has lasted so long. */
function visit(port: number, lastsMs: number): () => Promise<unknown> {
  let isEnded = false
  const once = () =>
    new Promise<void>((done) => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/`)
      socket.on('open', () => {
        socket.send('hello')
        setTimeout(() => socket.close(1000), lastsMs)
      })
      socket.on('error', () => {})
      socket.on('close', () => done())
    })
  const lanes = Array.from({ length: 6 }, async () => {
    while (!isEnded) await once()
  })
  return () => {
    isEnded = true
    return Promise.all(lanes)
  }
}

test.each([
  ['ends each at once', 1],
  ['has lost them', -1],
])('a version that %s is sent back, though its answers are well', async (_, green) => {
  const proxy = await startShop(0, green, { earlyClose: '200ms' })
  const end = visit(proxy.port, 100)
  await until('it is back', async () => (await current(proxy)).state === 'rolledBack')
  const { reason, harm } = await current(proxy)
  await end()
  expect(reason).toMatch(/answers of green failed, 0 of/)
  expect(harm.failed).toBeGreaterThan(5)
  if (green > 0) expect(await metric(proxy, 'turnout_tunnels_early_closed_total', 'green')).toBeGreaterThan(5)
})

test('as many as the live version ends are no fault, nor is what a client closes by itself; one that lasts counts while it is open', async () => {
  const proxy = await startShop(8, 8, { earlyClose: '100ms' })
  const lasting = new WebSocket(`ws://127.0.0.1:${proxy.port}/`)
  onTestFinished(() => lasting.terminate())
  const end = visit(proxy.port, 10)
  const failed = async () => (await current(proxy)).verdict!
  await until('many have ended', async () => (await failed()).canary.failed > 25)
  await end()
  const { state, verdict } = await current(proxy)
  // It holds when that is much for the live version.
  expect(['shifting', 'holding']).toContain(state)
  // An eighth of them, and no answer of the other requests.
  expect(verdict!.canary.failed).toBeLessThan(verdict!.canary.requests / 2)
  expect(lasting.readyState).not.toBe(WebSocket.CONNECTING)
})
