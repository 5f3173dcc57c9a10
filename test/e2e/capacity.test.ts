/** Limits on the requests of a target and a pool, and the queue of those that find no room, in whole processes with real sockets. */
import net from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { metric } from '../helpers/admin.ts'
import { ask, openLine, startLoad } from '../helpers/load.ts'
import { askAdmin, call, service, startProxy, type Proxy as TestProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { startRaw, startUpstream } from '../helpers/upstream.ts'
import { followWorkers } from '../helpers/worker-inspector.ts'

interface Gate {
  readonly url: string
  readonly port: number
  /** Requests that are at the target now, and the most that ever were. */
  readonly now: () => number
  readonly most: () => number
  /** Paths in the order of their coming. */
  readonly paths: readonly string[]
  readonly bodies: readonly string[]
  /** Answers the request that has been there for longest. */
  pass(): void
  /** Answers all that are there, and from now on whoever comes, after a moment. */
  open(): void
  close(): Promise<void>
}

/** A target that answers when it is told to. */
async function startGate(name = 'gate'): Promise<Gate> {
  const held: (() => void)[] = []
  const paths: string[] = []
  const bodies: string[] = []
  let [now, most, isOpen] = [0, 0, false]
  const upstream = await startUpstream((request, response) => {
    paths.push(request.url!)
    most = Math.max(most, ++now)
    let body = ''
    request.on('data', (bytes) => {
      body += bytes
    })
    response.on('close', () => now--)
    const answer = () => response.end(name)
    request.on('end', () => {
      bodies.push(body)
      if (isOpen) setTimeout(answer, 5)
      else held.push(answer)
    })
  })
  return {
    ...upstream,
    paths,
    bodies,
    now: () => now,
    most: () => most,
    pass: () => held.shift()?.(),
    open() {
      isOpen = true
      for (const answer of held.splice(0)) answer()
    },
  }
}

interface Limits {
  readonly requestsPerTarget?: number
  readonly requestsPerPool?: number
  readonly queue?: { readonly requests?: number; readonly for?: string }
}

const limited = (pools: Record<string, string[]>, capacity: Limits, workers = 1, more: object = {}) =>
  startProxy({ workers, services: { shop: service(pools, { capacity, ...more }) } })

interface QueueView {
  readonly depth: number
  readonly served: number
  readonly shed: Record<string, number>
}

async function queueOf(proxy: TestProxy, pool = 'blue'): Promise<QueueView> {
  const status = await call<{ pools: { name: string; queue: QueueView }[] }>(proxy, 'GET', '/v1/services/shop/status')
  return status.pools.find(({ name }) => name === pool)!.queue
}

const depthIs = (proxy: TestProxy, depth: number, pool = 'blue') =>
  until(`${depth} wait`, async () => (await queueOf(proxy, pool)).depth === depth)

test('a target with a limit of 2 never has more, and the others are answered in the order of their coming', async () => {
  const target = await startGate()
  // However long a busy machine takes for all of it, nobody's wait is over.
  const proxy = await limited({ blue: [target.url] }, { requestsPerTarget: 2, queue: { for: '1m' } })
  const answers = []
  for (let n = 0; n < 10; n++) {
    answers.push(ask(proxy.port, { method: 'GET', path: `/${n}` }))
    if (n < 2) await until('it is there', () => target.paths.length === n + 1)
    else await depthIs(proxy, n - 1)
  }
  for (let n = 0; n < 10; n++) {
    await until(`${n} has come`, () => target.paths.length > n)
    target.pass()
  }
  expect((await Promise.all(answers)).map(({ status }) => status)).toEqual(Array(10).fill(200))
  expect(target.paths).toEqual(Array.from({ length: 10 }, (_, n) => `/${n}`))
  expect(target.most()).toBe(2)
  // A worker tells what it has counted a moment after the answer.
  await until('eight were served from the queue', async () => (await queueOf(proxy)).served === 8)
  expect(await queueOf(proxy)).toMatchObject({ depth: 0, served: 8, shed: { full: 0, time: 0, left: 0 } })
  const metrics = await (await fetch(`${proxy.admin}/metrics`)).text()
  expect(metrics).toMatch(/^turnout_queued_total\{service="shop",pool="blue",version="[^"]*"\} 8$/m)
})

test('several workers together keep to the limits of targets and of their pool, and lose nothing', async () => {
  const [a, b] = [await startGate(), await startGate()]
  const [one, two] = [a, b]
  const proxy = await limited({ blue: [a.url, b.url] }, { requestsPerTarget: 3, requestsPerPool: 5 }, 3)
  let most = 0
  const watch = setInterval(() => {
    most = Math.max(most, one.now() + two.now())
  }, 1)
  onTestFinished(() => clearInterval(watch))
  one.open()
  two.open()
  const lines = await Promise.all(Array.from({ length: 40 }, () => openLine(proxy.port)))
  const statuses = await Promise.all(
    lines.map(async (line) => {
      const seen: number[] = []
      for (let n = 0; n < 15; n++) {
        const answer = await line!.ask({ method: 'GET', path: '/' })
        seen.push(answer === null || answer === 'unsent' ? 0 : answer.status)
      }
      line!.close()
      return seen
    }),
  )
  expect(new Set(statuses.flat())).toEqual(new Set([200]))
  expect(Math.max(a.most(), b.most())).toBeLessThanOrEqual(3)
  expect(most).toBeLessThanOrEqual(5)
  expect((await queueOf(proxy)).served).toBeGreaterThan(100)
})

test('beyond the queue the answer is 503 at once, and after its time for who waits; neither is held against the target', async () => {
  const target = await startGate()
  const proxy = await limited({ blue: [target.url] }, { requestsPerTarget: 1, queue: { requests: 1, for: '700ms' } })
  const first = ask(proxy.port, { method: 'GET', path: '/first' })
  await until('the first is there', () => target.now() === 1)
  const startedMs = performance.now()
  const second = ask(proxy.port, { method: 'GET', path: '/second' })
  await depthIs(proxy, 1)
  expect(await metric(proxy, 'turnout_queue_depth', 'pool="blue"')).toBe(1)
  const third = await ask(proxy.port, { method: 'GET', path: '/third' })
  expect(third).toMatchObject({ status: 503, body: expect.stringContaining('overloaded') })
  expect(third.head).toMatch(/\r\nRetry-After: 1\r\n/)
  expect(third.head).toMatch(/\r\nX-Turnout-Error: overloaded\r\n/)
  expect(await second).toMatchObject({ status: 503, body: expect.stringContaining('overloaded') })
  expect(performance.now() - startedMs).toBeGreaterThan(650)
  target.open()
  expect((await first).status).toBe(200)
  expect(await queueOf(proxy)).toMatchObject({ depth: 0, served: 0, shed: { full: 1, time: 1, left: 0 } })
  expect(target.paths).toEqual(['/first'])
  const attempts = async () => {
    const { pools } = await call<{ pools: { attempts: { good: number } }[] }>(proxy, 'GET', '/v1/services/shop/status')
    return pools[0].attempts
  }
  // It is counted a moment after the client has its answer.
  await until('the first is counted', async () => (await attempts()).good > 0)
  expect(await attempts()).toMatchObject({ started: 1, good: 1, failed: 0 })
  const metrics = await (await fetch(`${proxy.admin}/metrics`)).text()
  expect(await metric(proxy, 'turnout_queue_shed_total', 'reason="full"')).toBe(1)
  expect(metrics).toContain('turnout_shed_total{reason="queue_full"} 1\n')
  expect(metrics).toContain('turnout_shed_total{reason="queue_time"} 1\n')
  expect(metrics).toContain('turnout_rejected_total{code="overloaded"} 2\n')
})

test('who leaves, by a reset or by ending its side, makes room in the queue', async () => {
  const target = await startGate()
  const proxy = await limited({ blue: [target.url] }, { requestsPerTarget: 1 })
  const first = ask(proxy.port, { method: 'GET', path: '/first' })
  await until('the first is there', () => target.now() === 1)
  const leave = [(socket: net.Socket) => socket.resetAndDestroy(), (socket: net.Socket) => socket.end()]
  let text = ''
  for (const goes of leave) {
    const socket = net.connect(proxy.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      text += bytes
    })
    socket.write('GET /left HTTP/1.1\r\nHost: test\r\n\r\n')
    await depthIs(proxy, 1)
    goes(socket)
    await depthIs(proxy, 0)
  }
  await until('who only ended its side has an answer', () => text.includes('HTTP/1.1 503 '))
  target.open()
  expect((await first).status).toBe(200)
  expect(target.paths).toEqual(['/first'])
  expect((await queueOf(proxy)).shed).toEqual({ full: 0, time: 0, left: 2 })
})

test('who leaves while nothing more is read of them makes room in the queue, too', async () => {
  const target = await startGate()
  const proxy = await limited({ blue: [target.url] }, { requestsPerTarget: 1, queue: { for: '10m' } })
  const first = ask(proxy.port, { method: 'GET', path: '/first' })
  await until('the first is there', () => target.now() === 1)
  const get = 'GET /left HTTP/1.1\r\nHost: test\r\n\r\n'
  const post = 'POST /left HTTP/1.1\r\nHost: test\r\n'
  const asks = [
    `${get}${get}`,
    `${post}Content-Length: 100000\r\n\r\nabc`,
    `${post}Content-Length: 3\r\nExpect: 100-continue\r\n\r\n`,
  ]
  const leave = [(socket: net.Socket) => socket.resetAndDestroy(), (socket: net.Socket) => socket.end()]
  for (const goes of leave) {
    for (const asked of asks) {
      const socket = net.connect(proxy.port, '127.0.0.1')
      socket.on('error', () => {})
      socket.write(asked)
      await depthIs(proxy, 1)
      goes(socket)
      await depthIs(proxy, 0)
      socket.destroy()
    }
  }
  target.open()
  expect((await first).status).toBe(200)
  expect(target.paths).toEqual(['/first'])
})

test('who resets in the middle of a request makes room once the target has lost that request, and not before', async () => {
  const busy = new Set<net.Socket>()
  const seen: number[] = []
  const target = await startRaw(
    (socket, text) => {
      if (!text.endsWith('\r\n\r\n')) return
      busy.add(socket)
      // What the kernel has told by then may come to us in another order.
      setImmediate(() => setImmediate(() => seen.push(busy.size)))
    },
    (socket) => {
      socket.on('close', () => busy.delete(socket))
      socket.on('end', () => socket.destroy())
    },
  )
  // One worker: what two of them send by two cores, the kernel may deliver in another order.
  const proxy = await limited({ blue: [target.url] }, { requestsPerTarget: 2 })
  const send = () => {
    const socket = net.connect(proxy.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write('GET / HTTP/1.1\r\nHost: test\r\n\r\n')
    return socket
  }
  let underWay = [send(), send()]
  for (let round = 1; round <= 10; round++) {
    await until('two are at the target', () => seen.length === 2 * round)
    const waiting = [send(), send()]
    await depthIs(proxy, 2)
    for (const socket of underWay) socket.resetAndDestroy()
    underWay = waiting
  }
  await until('the last two are', () => seen.length === 22)
  expect(Math.max(...seen)).toBe(2)
  for (const socket of underWay) socket.resetAndDestroy()
  await until('nobody is', async () => busy.size === 0 && (await metric(proxy, 'turnout_in_flight')) === 0)
  expect((await queueOf(proxy)).shed).toEqual({ full: 0, time: 0, left: 0 })
})

test('what a new version fails waits for room at the pool that rescues it, and is given the failure where no more may wait', async () => {
  const [target, bad] = [
    await startGate(),
    await startUpstream((_, response) => void response.writeHead(502, { 'content-length': 3 }).end('bad')),
  ]
  const proxy = await limited(
    { blue: [target.url], green: [bad.url] },
    { requestsPerTarget: 1, queue: { requests: 2, for: '1m' } },
    1,
    {
      rescue: true,
      rules: [{ name: 'new', when: { header: { 'x-new': '1' } }, to: 'green' }],
    },
  )
  const askNew = (path: string) => ask(proxy.port, { method: 'GET', path, headers: { 'x-new': '1' } })
  const first = ask(proxy.port, { method: 'GET', path: '/first' })
  await until('the first is there', () => target.now() === 1)
  const answers = [askNew('/1')]
  await depthIs(proxy, 1)
  answers.push(askNew('/2'))
  await depthIs(proxy, 2)
  expect(await askNew('/3')).toMatchObject({ status: 502, body: 'bad' })
  target.open()
  expect((await first).status).toBe(200)
  for (const answer of answers) expect(await answer).toMatchObject({ status: 200, body: 'gate' })
  expect(target.paths).toEqual(['/first', '/1', '/2'])
  expect(target.most()).toBe(1)
  // What is counted at the end of a request may come a moment after its answer.
  await until('both have waited', async () => (await queueOf(proxy)).served === 2)
  expect(await queueOf(proxy)).toMatchObject({ depth: 0, shed: { full: 1 } })
  await until('nothing is under way', async () => (await metric(proxy, 'turnout_in_flight')) === 0)
  // Room at the new version is free again, too.
  for (let n = 0; n < 3; n++) expect((await askNew('/again')).body).toBe('gate')
})

test('an answer that nobody wants has the room of its request until it is over', async () => {
  const asked: net.Socket[] = []
  const green = await startRaw((socket, text) => {
    if (!text.endsWith('\r\n\r\n')) return
    asked.push(socket)
    socket.write('HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nbo')
  })
  const blue = await startGate('blue')
  blue.open()
  const rules = [{ name: 'staff', when: { header: { 'x-staff': '1' } }, to: 'green' }]
  const pools = { blue: [blue.url], green: [green.url] }
  const proxy = await limited(pools, { requestsPerTarget: 1 }, 1, { rules, rescue: true })
  const rescued = () => ask(proxy.port, { method: 'GET', headers: { 'X-Staff': '1' } })
  expect((await rescued()).body).toBe('blue')
  const second = rescued()
  await depthIs(proxy, 1, 'green')
  expect(asked).toHaveLength(1)
  asked[0].write('dy')
  expect((await second).body).toBe('blue')
  const third = rescued()
  await depthIs(proxy, 1, 'green')
  asked[1].destroy()
  expect((await third).body).toBe('blue')
  expect(asked).toHaveLength(3)
})

test('who waits is decided anew: by a switch it goes to the other pool, and by a limit that is lifted to the same', async () => {
  const [blue, green] = [await startGate('blue'), await startGate('green')]
  const proxy = await limited({ blue: [blue.url], green: [green.url] }, { requestsPerTarget: 1 })
  await call(proxy, 'POST', '/v1/services/shop/switch?force=true', { to: 'blue' })
  const answers = [1, 2, 3].map(() => ask(proxy.port, { method: 'GET', path: '/' }))
  await depthIs(proxy, 2)
  await call(proxy, 'POST', '/v1/services/shop/switch?force=true', { to: 'green' })
  await until('one is at green', () => green.now() === 1)
  await depthIs(proxy, 1, 'green')
  expect((await queueOf(proxy, 'blue')).depth).toBe(0)
  await call(proxy, 'PATCH', '/v1/services/shop', { capacity: null })
  await until('both are at green', () => green.now() === 2)
  blue.open()
  green.open()
  expect((await Promise.all(answers)).map(({ body }) => body).sort()).toEqual(['blue', 'green', 'green'])
  expect(blue.paths.length).toBe(1)
})

test('a target that dies while others wait for it loses none of them while another one lives', async () => {
  const [dying, living] = [await startGate('dying'), await startGate('living')]
  const proxy = await limited({ blue: [dying.url, living.url] }, { requestsPerTarget: 1 })
  const answers = Array.from({ length: 8 }, () => ask(proxy.port, { method: 'GET', path: '/' }))
  await depthIs(proxy, 6)
  await dying.close()
  living.open()
  expect((await Promise.all(answers)).map(({ status }) => status)).toEqual(Array(8).fill(200))
  expect(living.most()).toBe(1)
})

test('a switch to a pool that does not carry what is measured is refused with the numbers, and by force is made', async () => {
  const blues = await Promise.all([1, 2, 3, 4].map(() => startGate()))
  const green = await startGate()
  const pools = { blue: blues.map(({ url }) => url), green: [green.url] }
  const proxy = await limited(pools, { requestsPerTarget: 1 })
  for (const gate of [...blues, green]) gate.open()
  const load = startLoad(proxy.port, { connections: 4 })
  const to = (pool: string, query = '') =>
    askAdmin(proxy, 'POST', `/v1/services/shop/switch${query}`, JSON.stringify({ to: pool }))
  let answer = await to('green')
  await until('it is refused', async () => {
    await to('blue', '?force=true')
    answer = await to('green')
    return answer.status === 409
  })
  expect(JSON.parse(answer.text)).toMatchObject({
    code: 'over_capacity',
    detail: expect.stringMatching(
      /^green of shop would get about [0-9.]+ requests at once .* 1 healthy target carries 1\./,
    ),
  })
  expect((await to('green', '?force=true')).status).toBe(200)
  expect(new Set((await load.stop()).map(({ status }) => status))).toEqual(new Set([200]))
})

test('what a worker that dies had at a target, or in the queue, is free for the others at once', async () => {
  const threads = followWorkers()
  const target = await startGate()
  const proxy = await limited({ blue: [target.url] }, { requestsPerTarget: 2 }, 2)
  const isBack = async () => (await metric(proxy, 'turnout_worker_restarts_total', 'worker="0"')) === 1
  // The kernel spreads connections as it likes; of so many some are at either worker.
  const answers = Array.from({ length: 16 }, () => ask(proxy.port, { method: 'GET', path: '/' }))
  await depthIs(proxy, 14)
  threads.run(0, 'process.exit(1)')
  await until('the worker is replaced', isBack)
  const ended: number[] = []
  for (const answer of answers) void answer.then(({ status }) => ended.push(status))
  await until('all are answered, or lost with their worker', () => {
    target.pass()
    return ended.length === answers.length
  })
  expect(ended.every((status) => status === 200 || status === 0)).toBe(true)
  await depthIs(proxy, 0)
  const both = [1, 2].map(() => ask(proxy.port, { method: 'GET', path: '/after' }))
  await until('two are there at once', () => target.now() === 2)
  target.open()
  expect((await Promise.all(both)).map(({ status }) => status)).toEqual([200, 200])
})

test('pipelined requests wait one after the other, and an upload that waits arrives whole', async () => {
  const target = await startGate()
  const proxy = await limited({ blue: [target.url] }, { requestsPerTarget: 1 })
  const first = ask(proxy.port, { method: 'GET', path: '/first' })
  await until('the first is there', () => target.now() === 1)
  const body = 'x'.repeat(300_000)
  const upload = net.connect(proxy.port, '127.0.0.1')
  let uploaded = ''
  upload.on('data', (bytes) => {
    uploaded += bytes
  })
  upload.write(`POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: ${body.length}\r\n\r\n`)
  upload.write(body)
  await depthIs(proxy, 1)
  const line = net.connect(proxy.port, '127.0.0.1')
  let text = ''
  line.on('data', (bytes) => {
    text += bytes
  })
  line.write('GET /a HTTP/1.1\r\nHost: test\r\n\r\nGET /b HTTP/1.1\r\nHost: test\r\n\r\n')
  await depthIs(proxy, 2)
  target.open()
  await first
  await until('both are answered', () => text.split('HTTP/1.1 200 ').length === 3)
  await until('the upload is answered', () => uploaded.includes('HTTP/1.1 200 '))
  expect(target.paths).toEqual(['/first', '/upload', '/a', '/b'])
  expect(target.bodies[1]).toBe(body)
  upload.destroy()
  line.destroy()
})
