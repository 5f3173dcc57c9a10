/**
 * A whole exchange without a socket: a downstream and targets that only take notes. What it does is its own; how it looks on
 * a wire is tested with real ones.
 */
import { beforeEach, describe, expect, test, vi } from 'vitest'
import type { AnswerLines, Downstream } from '../../../src/dataplane/exchange/downstream.ts'
import { Exchange } from '../../../src/dataplane/exchange/exchange.ts'
import type { Framing } from '../../../src/dataplane/http1/body.ts'
import { ResponseHead } from '../../../src/dataplane/http1/response-head.ts'
import type { Plane } from '../../../src/dataplane/plane.ts'
import { RetryBudget } from '../../../src/dataplane/upstream/retry-budget.ts'
import type { RawUser, RequestToSend, Upstream, UpstreamUser } from '../../../src/dataplane/upstream/upstream.ts'
import type { ErrorCode } from '../../../src/errors.ts'
import {
  allocateSharedMemory,
  CELL,
  EDGES,
  FIELD,
  FIELDS,
  type SharedMemory,
  SIDE,
  TRIAL,
  trialOffset,
} from '../../../src/metrics/layout.ts'
import type { ServicePlan } from '../../../src/table/plan.ts'
import type { ServiceStatus } from '../../../src/table/status.ts'
import type { TargetTable } from '../../../src/table/types.ts'
import { makePlan, makeStatus, type StatusOptions } from '../../table/make.ts'
import { makePlane } from '../make-plane.ts'

const text = (buffer: Buffer, at: number, end: number) => buffer.latin1Slice(at, end)

/** What a side has taken, as it is seen from a mark on. */
class Progress {
  takenBytes = 0
  #markBytes = 0
  mark(): void {
    this.#markBytes = this.takenBytes
  }
  get hasMoved(): boolean {
    return this.takenBytes !== this.#markBytes
  }
}

class NotedDownstream extends Progress implements Downstream {
  readonly peer = '192.0.2.1'
  readonly tls = false
  readonly trusted = false
  readonly cell = 0
  readonly sink = null
  user!: Downstream['user']
  ties: Downstream['ties'] = null
  ended = false
  endsByClose = false
  isFull = false
  unsentBytes = 0
  notes: string[] = []
  /** `Set-Cookie` that came with the answer. */
  cookieLine = ''
  note(line: string): void {
    this.notes.push(line)
  }
  forwardedLines(): string {
    return ''
  }
  interim({ status }: ResponseHead): void {
    this.note(`interim ${status}`)
  }
  head({ status }: ResponseHead, framing: Framing, { cookieLine }: AnswerLines, isOpen: boolean): void {
    this.cookieLine = cookieLine
    this.note(`head ${status} ${framing}${isOpen ? '' : ' closes'}`)
  }
  body(buffer: Buffer, at: number, end: number, trailers: string | null): void {
    this.note(`body ${text(buffer, at, end)}${trailers === null ? '' : '.'}`)
  }
  refuse(code: ErrorCode): void {
    this.note(`refuse ${code}`)
  }
  page(): void {
    this.note('page')
  }
  redirect(): void {
    this.note('redirect')
  }

  options(): void {
    this.note('options')
  }
  switchProtocols(): void {
    this.note('switch')
  }
  endTunnel(): void {
    this.note('end tunnel')
  }
  exchangeEnded(isWhole: boolean): void {
    this.note(isWhole ? 'ended' : 'cut')
  }
  destroy(): void {
    this.note('destroy')
    this.user.onGone()
  }
  left = false
  hasLeft(): boolean {
    return this.left
  }
  pause(): void {
    this.note('pause')
  }
  resume(): void {
    this.note('resume')
  }
}

class NotedUpstream extends Progress implements Upstream {
  readonly connections: { readonly target: TargetTable }
  readonly sink = null
  readonly isBound = false
  ties = null
  user: UpstreamUser | null
  raw1: RawUser | null = null
  begun = false
  isHttp11 = true
  requestSent = true
  isHeld = false
  isGone = false
  isFull = false
  unsentBytes = 0
  undelivered = 0
  notes: string[] = []
  sent: RequestToSend | null = null
  constructor(target: TargetTable, user: UpstreamUser | null) {
    super()
    this.connections = { target }
    this.user = user
  }
  send(request: RequestToSend): void {
    this.sent = request
    this.requestSent = request.bodyDone
    this.notes.push(`send ${request.method} ${request.target} ${request.whole}`.trim())
  }
  body(buffer: Buffer, at: number, end: number, trailers: string | null): void {
    this.requestSent = trailers !== null
    this.notes.push(`body ${text(buffer, at, end)}${trailers === null ? '' : '.'}`)
  }
  moved(): void {}
  end(done?: () => void): void {
    this.notes.push('end')
    done?.()
  }
  handOver(user: RawUser): void {
    this.raw1 = user
  }
  raw(buffer: Buffer, at: number, end: number): void {
    this.notes.push(`raw ${text(buffer, at, end)}`)
  }
  pause(): void {
    this.notes.push('pause')
  }
  resume(): void {
    this.notes.push('resume')
  }
  bind(): void {}
  release(): void {
    this.user = null
    this.notes.push('release')
  }
  destroy(): void {
    this.user = null
    this.isGone = true
    this.notes.push('destroy')
  }
  /** The connection opens. */
  connect(): void {
    this.user!.onConnected()
  }
  /** A final head comes. */
  head(lines: string, framing: Framing): void {
    this.begun = true
    const head = new ResponseHead(16_384, 100)
    expect(head.parse(`HTTP/1.1 ${lines}\r\n\r\n`)).toBeGreaterThan(0)
    this.user!.answer.onHead(head, framing)
  }
  piece(body: string, isLast: boolean): void {
    this.begun = true
    this.user?.answer.onBody(Buffer.from(body), 0, body.length, isLast ? '' : null)
  }
  /** The connection breaks, as far as its user hears of it. */
  close(): void {
    const { user } = this
    this.user = null
    ;(this.raw1 ?? user)?.onClosed()
  }
}

let memory: SharedMemory
let plane: Plane
let opened: NotedUpstream[]
/** How many connections are idle, at whatever target is asked. */
let idle: number
let downstream: NotedDownstream
let exchange: Exchange

const TARGETS = ['http://192.0.2.7:80', 'http://192.0.2.8:80']

beforeEach(() => start())

function start(trial?: ServiceStatus['trial'], plan: Partial<ServicePlan> = {}): void {
  memory = allocateSharedMemory(1)
  opened = []
  idle = 0
  plane = makePlane({ targets: TARGETS, memory, trial, plan })
  const budget = new RetryBudget()
  const leases = (target: TargetTable) => ({
    isCrowded: false,
    takeIdle() {
      if (idle === 0) return null
      idle--
      const upstream = new NotedUpstream(target, null)
      opened.push(upstream)
      return upstream
    },
    takeBound: () => null,
    open(user: UpstreamUser) {
      const upstream = new NotedUpstream(target, user)
      opened.push(upstream)
      return upstream
    },
  })
  Object.assign(plane, { targets: { connectionsOf: leases, retryBudgetOf: () => budget } })
  downstream = new NotedDownstream()
  exchange = new Exchange(plane, downstream)
}

/** The service is another one from now on. */
function change(more: Partial<ServicePlan>, options: StatusOptions = {}): void {
  const plan = makePlan({ pools: [{ name: 'blue', version: '1', targets: TARGETS }], weights: { blue: 1 }, ...more })
  const epoch = plane.tables.table.epoch + 1
  plane.tables.prepare({ epoch, revision: epoch, services: { shop: { plan, status: makeStatus(plan, options) } } })
  Atomics.store(memory.cells, CELL.epoch, epoch)
}

/** Begins a request; `whole` is null when its body is still to come. */
function begin(line: string, whole: string | null = '', more = ''): void {
  const head = `${line} HTTP/1.1\r\nHost: a\r\n${more}\r\n`
  expect(plane.requestHead.parse(head)).toBeGreaterThan(0)
  downstream.user = exchange.upload
  exchange.begin(head, { whole: whole ?? '', done: whole !== null, trailers: '' }, null)
}

const piece = (body: string, isLast: boolean) =>
  downstream.user.onRequestBody(Buffer.from(body), 0, body.length, isLast ? '' : null)

const passDeadline = () => {
  plane.time.nowMs = exchange.deadlineMs
  exchange.onDeadline()
}

/** Passes the time that an answer has, which is two halves. How long that was. */
const passAnswer = () => {
  const startMs = plane.time.nowMs
  passDeadline()
  passDeadline()
  return plane.time.nowMs - startMs
}

const timeouts = () => plane.tables.current().services.get('shop')!.timeouts

/** Over all targets. */
const counted = (field: number) => memory.targets.reduce((sum, n, at) => (at % FIELDS === field ? sum + n : sum), 0)

test('a request goes to a target, and its answer to the client; then the connection is free and the request is counted', () => {
  begin('GET /x')
  expect(opened[0].notes).toEqual([])
  opened[0].connect()
  expect(opened[0].notes).toEqual(['send GET /x'])
  opened[0].head('200 OK\r\nContent-Length: 4', 'length')
  opened[0].piece('ab', false)
  opened[0].piece('cd', true)
  expect(downstream.notes).toEqual(['head 200 length', 'body ab', 'body cd.', 'ended'])
  expect(opened[0].notes).toEqual(['send GET /x', 'release'])
  expect([counted(FIELD.requests), counted(FIELD.attemptsGood), counted(FIELD.inFlight)]).toEqual([1, 1, 0])
})

test('a body that is still to come waits until a connection is open, and then passes piece by piece', () => {
  begin('POST /x', null, 'Content-Length: 4\r\n')
  expect(downstream.notes).toEqual(['pause'])
  opened[0].connect()
  expect(downstream.notes).toEqual(['pause', 'resume'])
  piece('ab', false)
  opened[0].isFull = true
  piece('c', false)
  expect(downstream.notes).toEqual(['pause', 'resume', 'pause'])
  opened[0].user!.onDrain()
  piece('d', true)
  expect(opened[0].notes).toEqual(['send POST /x', 'body ab', 'body c', 'body d.'])
})

test('a refused connection is tried at the other target, and the client sees one answer', () => {
  begin('POST /x', 'small', 'Content-Length: 5\r\n')
  opened[0].close()
  expect(opened).toHaveLength(2)
  expect(opened[1].connections.target.url).not.toBe(opened[0].connections.target.url)
  opened[1].connect()
  opened[1].head('204 No Content', 'none')
  opened[1].piece('', true)
  expect(opened[1].notes).toEqual(['send POST /x small', 'release'])
  expect(downstream.notes).toEqual(['head 204 none', 'body .', 'ended'])
})

describe('a connection that breaks', () => {
  test('before any answer has a GET repeated once, and then refused', () => {
    begin('GET /x')
    opened[0].connect()
    opened[0].close()
    opened[1].connect()
    opened[1].close()
    expect(opened).toHaveLength(2)
    expect(downstream.notes).toEqual(['refuse upstream_closed', 'ended'])
  })

  test('before any answer has nothing repeated twice, whoever else there is', () => {
    const three = [...TARGETS, 'http://192.0.2.9:80']
    start(undefined, { pools: [{ name: 'blue', version: '1', targets: three }] })
    begin('GET /x')
    for (const at of [0, 1]) {
      opened[at].connect()
      opened[at].close()
    }
    expect(opened).toHaveLength(2)
    expect(downstream.notes).toEqual(['refuse upstream_closed', 'ended'])
  })

  test.each([
    ['within a moment was being closed as idle, which is no failure', 900, 0],
    ['later has failed the request', 1_100, 1],
  ])('before any answer, and was kept, %s; either has a GET repeated', (_what, afterMs, failures) => {
    idle = 1
    begin('GET /x')
    plane.time.nowMs += afterMs
    opened[0].close()
    expect(counted(FIELD.attemptsFailed)).toBe(failures)
    opened[1].connect()
    expect(opened[1].notes).toEqual(['send GET /x'])
  })

  test.each([
    ['one text', 'small', 2],
    ['a head, of a body that comes', null, 1],
  ])('before the request has left has a POST repeated that is %s', (_what, whole, connections) => {
    idle = 1
    begin('POST /x', whole, 'Content-Length: 5\r\n')
    opened[0].isHeld = true
    opened[0].close()
    expect(opened).toHaveLength(connections)
    opened[1]?.connect()
    expect(opened[1]?.notes ?? downstream.notes).toContain(
      whole === null ? 'refuse upstream_closed' : 'send POST /x small',
    )
  })

  test('before any answer has a POST refused at once', () => {
    begin('POST /x', 'small', 'Content-Length: 5\r\n')
    opened[0].connect()
    opened[0].close()
    expect(opened).toHaveLength(1)
    expect(downstream.notes).toEqual(['refuse upstream_closed', 'ended'])
  })

  test('within an answer shows as a cut, and is a failed attempt', () => {
    begin('GET /x')
    opened[0].connect()
    opened[0].head('200 OK\r\nContent-Length: 4', 'length')
    opened[0].piece('ab', false)
    opened[0].close()
    expect(downstream.notes).toEqual(['head 200 length', 'body ab', 'cut'])
    expect(counted(FIELD.attemptsFailed)).toBe(1)
  })

  test('behind a head of which nothing was given yet is an error of ours', () => {
    begin('GET /x')
    opened[0].connect()
    opened[0].head('200 OK\r\nTransfer-Encoding: chunked', 'chunked')
    opened[0].user!.onFault()
    expect(downstream.notes).toEqual(['head 200 chunked', 'refuse upstream_bad_response', 'ended'])
  })
})

describe('of a service that is switched under way', () => {
  const held = { id: 'h', sinceMs: 0, untilMs: Infinity, only: 'all', queueMax: 1, bytesMax: 100_000 } as const
  const maintenance = { sinceMs: 1 }
  /** A request on a kept connection, which its target closes at once. */
  const race = (line = 'GET /x') => {
    idle = 1
    begin(line)
    return () => opened[0].close()
  }

  test('one that lost the race with a kept connection is not given the page of a maintenance that began meanwhile', () => {
    const close = race()
    change({}, { maintenance })
    close()
    opened[1].connect()
    expect(opened[1].notes).toEqual(['send GET /x'])
  })

  test('nor is it once it was held after that', async () => {
    const close = race()
    change({}, { hold: held })
    close()
    expect([opened.length, exchange.phase]).toEqual([1, 'queued'])
    change({}, { maintenance })
    await vi.waitFor(() => expect(opened).toHaveLength(2))
    opened[1].connect()
    expect(opened[1].notes).toEqual(['send GET /x'])
  })

  test('one that was held before it had any target is', async () => {
    change({}, { hold: held })
    begin('GET /x')
    expect(exchange.phase).toBe('queued')
    change({}, { maintenance })
    await vi.waitFor(() => expect(downstream.notes).toEqual(['page', 'ended']))
  })

  test('one that asks for what is a link by then is sent back by that, whatever target it had before', async () => {
    const close = race('GET /x?way=blue')
    change({}, { hold: held })
    close()
    change({ link: 'way' })
    await vi.waitFor(() => expect(downstream.notes).toEqual(['redirect', 'ended']))
  })
})

test('failures of one pool of two do not change how many new visitors belong to it: who was given an id keeps it', () => {
  const pools = ['blue', 'green'].map((name, at) => ({ name, version: '1', targets: [TARGETS[at]] }))
  start(undefined, { pools, weights: { blue: 1, green: 1 } })
  const tried = { blue: 0, green: 0 }
  while (Math.min(tried.blue, tried.green) < 10) {
    opened = []
    downstream = new NotedDownstream()
    exchange = new Exchange(plane, downstream)
    begin('GET /x', '', 'Sec-Fetch-Mode: navigate\r\n')
    const first = opened[0].connections.target.pool.name as keyof typeof tried
    tried[first]++
    if (first === 'green') opened[0].close()
    const last = opened.at(-1)!
    expect(last.connections.target.pool.name).toBe('blue')
    last.connect()
    last.head('204 No Content', 'none')
    last.piece('', true)
    expect(downstream.cookieLine).toMatch(`~shop~${first}~`)
  }
})

describe('an answer that is complete before its request', () => {
  const early = (contentLength: number, more = '') => {
    begin('POST /x', null, `Content-Length: ${contentLength}\r\n${more}`)
    opened[0].connect()
    piece('ab', false)
    opened[0].head('200 OK\r\nContent-Length: 2', 'length')
    opened[0].piece('ok', true)
    downstream.notes = []
    opened[0].notes = []
  }

  test.each(['', 'Expect: 100-continue\r\n'])(
    'has the rest that comes unasked still sent to a target that stays for it (%j)',
    (more) => {
      early(4, more)
      piece('cd', true)
      expect(opened[0].notes).toEqual(['body cd.', 'end', 'destroy'])
      expect(downstream.notes).toEqual(['ended'])
    },
  )

  test('has a small rest dropped when the target has gone, since the client was told that its connection stays', () => {
    early(4)
    opened[0].close()
    expect(downstream.notes).toEqual(['resume'])
    piece('cd', true)
    expect(downstream.notes).toEqual(['resume', 'ended'])
  })

  test('does not wait for a large rest that nobody wants', () => {
    early(10_000_000)
    opened[0].close()
    expect(downstream.notes).toEqual(['ended'])
  })

  test('says that the connection closes when the target does not stay', () => {
    begin('POST /x', null, 'Content-Length: 4\r\n')
    opened[0].connect()
    opened[0].head('413 Content Too Large\r\nConnection: close\r\nContent-Length: 0', 'length')
    expect(downstream.notes.at(-1)).toBe('head 413 length closes')
  })
})

test('a 101 makes a tunnel: bytes pass both ways, each side ends the other, and it is counted as a tunnel alone', () => {
  begin('GET /chat', '', 'Connection: Upgrade\r\nUpgrade: websocket\r\n')
  opened[0].connect()
  opened[0].head('101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket', 'none')
  expect(counted(FIELD.tunnels)).toBe(1)
  opened[0].raw1!.onRaw(Buffer.from('hello'), 0, 5)
  piece('hi', false)
  downstream.ended = true
  downstream.user.onEnded()
  opened[0].raw1!.onEnd()
  expect(downstream.notes).toEqual(['switch', 'resume', 'body hello', 'end tunnel', 'cut'])
  expect(opened[0].notes).toEqual(['send GET /chat', 'raw hi', 'end', 'end', 'destroy'])
  expect([FIELD.tunnels, FIELD.tunnelsClosed, FIELD.requests].map(counted)).toEqual([0, 1, 0])
})

test('a WebSocket of a judged version whose target takes nothing any more has failed, though its client ends first', () => {
  start({ pool: 'green', step: 3 })
  Atomics.store(memory.cells, CELL.step, 3)
  begin('GET /chat', '', 'Connection: Upgrade\r\nUpgrade: websocket\r\n')
  opened[0].connect()
  opened[0].head('101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket', 'none')
  opened[0].raw1!.onWriteFailed()
  downstream.ended = true
  downstream.user.onEnded()
  opened[0].raw1!.onEnd()
  expect(counted(FIELD.tunnelsEarly)).toBe(1)
})

describe('a deadline', () => {
  test('that passes while the target thinks is a 504', () => {
    begin('POST /x')
    opened[0].connect()
    expect(passAnswer()).toBeCloseTo(timeouts().responseMs)
    expect(downstream.notes).toEqual(['refuse upstream_timeout', 'ended'])
    expect(opened[0].isGone).toBe(true)
  })

  test('is as far away as ever after each interim answer of a target that is at work', () => {
    begin('POST /x')
    opened[0].connect()
    const startMs = plane.time.nowMs
    const first = exchange.deadlineMs
    passDeadline()
    const head = new ResponseHead(16_384, 100)
    expect(head.parse('HTTP/1.1 102 Processing\r\n\r\n')).toBeGreaterThan(0)
    opened[0].user!.answer.onInterim(head)
    expect(exchange.deadlineMs - first).toBeCloseTo(first - startMs)
    passDeadline()
    expect(downstream.notes).toEqual(['interim 102'])
    passDeadline()
    expect(downstream.notes.slice(1)).toEqual(['refuse upstream_timeout', 'ended'])
  })

  test('is as far away as ever after each piece of an answer', () => {
    begin('GET /x')
    opened[0].connect()
    opened[0].head('200 OK\r\nContent-Length: 4', 'length')
    opened[0].piece('ab', false)
    const first = exchange.deadlineMs
    plane.time.nowMs += 1_000
    opened[0].piece('c', false)
    expect(exchange.deadlineMs).toBeCloseTo(first + 1_000)
    passAnswer()
    expect(downstream.notes.slice(-1)).toEqual(['cut'])
  })

  test('that passes while the client sends is a 408', () => {
    begin('POST /x', null, 'Content-Length: 4\r\n')
    opened[0].connect()
    passDeadline()
    expect(downstream.notes.slice(2)).toEqual(['refuse request_timeout', 'ended'])
  })

  describe('of a client that asks whether to send its body', () => {
    const HALF_MS = 1_000
    beforeEach(() => {
      start(undefined, { timeouts: { connectMs: 1_000, responseMs: 2 * HALF_MS, idleMs: 60_000 } })
      begin('POST /x', null, 'Content-Length: 4\r\nExpect: 100-continue\r\n')
      opened[0].connect()
    })
    const interim = (status: number) => {
      const head = new ResponseHead(16_384, 100)
      expect(head.parse(`HTTP/1.1 ${status} No\r\n\r\n`)).toBeGreaterThan(0)
      opened[0].user!.answer.onInterim(head)
    }
    const leftMs = () => exchange.deadlineMs - plane.time.nowMs

    test('is that of the target, who fails the request when it says nothing', () => {
      expect(leftMs()).toBeCloseTo(HALF_MS)
      plane.time.nowMs += 500
      interim(102)
      expect(leftMs()).toBeCloseTo(HALF_MS)
      passAnswer()
      expect(downstream.notes.slice(-2)).toEqual(['refuse upstream_timeout', 'ended'])
      expect([FIELD.attemptsFailed, FIELD.timeouts].map(counted)).toEqual([1, 1])
    })

    test('is that of the client where the target may speak HTTP/1.0, which knows no 100', () => {
      opened[0].isHttp11 = false
      passAnswer()
      expect(downstream.notes.slice(-2)).toEqual(['refuse request_timeout', 'ended'])
      expect([FIELD.attemptsFailed, FIELD.timeouts].map(counted)).toEqual([0, 0])
    })

    test.each(['was told to', 'does so unasked'])('is that of the client once it sends or %s', (how) => {
      if (how === 'was told to') interim(100)
      else piece('ab', false)
      expect(leftMs()).toBeCloseTo(plane.timeouts.bodyMs)
      passDeadline()
      expect(downstream.notes.slice(-2)).toEqual(['refuse request_timeout', 'ended'])
      expect(counted(FIELD.attemptsFailed)).toBe(0)
    })

    test('is that of the target again once all has come', () => {
      interim(100)
      piece('abcd', true)
      expect(leftMs()).toBeCloseTo(HALF_MS)
    })
  })

  test('is moved on by a target that takes some of its request, and is a 504 for one that takes nothing', () => {
    begin('POST /x', null, 'Content-Length: 4\r\n')
    opened[0].connect()
    opened[0].isFull = true
    piece('ab', false)
    opened[0].takenBytes++
    passDeadline()
    opened[0].isFull = false
    opened[0].undelivered = 2
    piece('cd', true)
    passDeadline()
    opened[0].takenBytes++
    passDeadline()
    expect(downstream.notes).toEqual(['pause', 'resume', 'pause'])
    passDeadline()
    expect(downstream.notes.slice(3)).toEqual(['refuse upstream_timeout', 'ended'])
  })

  test('is not moved on by what a target has taken before it had all of its request', () => {
    begin('POST /x', null, 'Content-Length: 4\r\n')
    opened[0].connect()
    piece('abcd', true)
    opened[0].takenBytes = 4
    opened[0].undelivered = 2
    expect(passAnswer()).toBeCloseTo(timeouts().responseMs)
    expect(downstream.notes.slice(2)).toEqual(['refuse upstream_timeout', 'ended'])
  })

  test('is moved on by a client that takes some of its answer, and ends one that takes nothing', () => {
    begin('GET /x')
    opened[0].connect()
    downstream.isFull = true
    downstream.unsentBytes = 10
    opened[0].head('200 OK\r\nContent-Length: 4', 'length')
    opened[0].piece('ab', false)
    expect(opened[0].notes.at(-1)).toBe('pause')
    downstream.takenBytes++
    passDeadline()
    expect(downstream.notes).not.toContain('destroy')
    passDeadline()
    expect(downstream.notes.slice(-2)).toEqual(['destroy', 'cut'])
    expect(counted(FIELD.aborted)).toBe(1)
  })

  test('is not moved on by what a client has taken before what little waits for it now', () => {
    begin('GET /x')
    opened[0].connect()
    opened[0].head('200 OK\r\nContent-Length: 4', 'length')
    opened[0].piece('ab', false)
    downstream.takenBytes = 2
    downstream.unsentBytes = 1
    expect(passAnswer()).toBeCloseTo(timeouts().idleMs)
    expect(downstream.notes.slice(-2)).toEqual(['destroy', 'cut'])
  })

  describe('of an answer that has begun before its request was whole', () => {
    const failures = () => [FIELD.attemptsFailed, FIELD.timeouts].map(counted)
    const answerBegins = (more = '') => {
      begin('POST /x', null, `Content-Length: 4\r\n${more}`)
      opened[0].connect()
      if (more === '') piece('ab', false)
      opened[0].head('200 OK\r\nContent-Length: 4', 'length')
      opened[0].piece('ab', false)
    }

    test('is that of a client that sends nothing more, and no failure of the target that waits for it', () => {
      answerBegins()
      passAnswer()
      expect(downstream.notes.slice(-1)).toEqual(['cut'])
      expect([counted(FIELD.attemptsGood), ...failures()]).toEqual([1, 0, 0])
    })

    test.each(['has not all that was sent', 'has all of it'])('is that of a target that %s', (what) => {
      answerBegins()
      if (what === 'has all of it') piece('cd', true)
      else opened[0].unsentBytes = 1
      passAnswer()
      expect(downstream.notes.slice(-1)).toEqual(['cut'])
      expect(failures()).toEqual([1, 1])
    })

    test('is that of a target that has not asked for the rest, where its client waits to be told', () => {
      answerBegins('Expect: 100-continue\r\n')
      passAnswer()
      expect(failures()).toEqual([1, 1])
    })
  })
})

describe('of a version that is judged', () => {
  const [SLOT, STEP, EDGE_MS] = [0, 3, 10]
  /** How many answers are slow. */
  const slow = () => memory.trials[trialOffset(0, SLOT, SIDE.control) + TRIAL.slow]
  const wait = (ms: number) => {
    plane.time.nowMs += ms
    exchange.noteSlow()
  }

  beforeEach(() => {
    start({ pool: 'green', step: STEP })
    Atomics.store(memory.cells, CELL.step + SLOT, STEP)
    memory.edges.fill(EDGE_MS, SLOT * EDGES, SLOT * EDGES + EDGES)
    begin('GET /x')
  })

  test('the time that it takes to open a connection is none that it is slow by, nor as much again', () => {
    wait(60)
    opened[0].connect()
    wait(60 + EDGE_MS - 1)
    opened[0].head('204 No Content', 'none')
    expect(slow()).toBe(0)
  })

  test('what it takes beyond that is, before its answer has come', () => {
    wait(60)
    opened[0].connect()
    wait(60 + EDGE_MS)
    expect(slow()).toBe(1)
    opened[0].head('204 No Content', 'none')
    expect(slow()).toBe(1)
  })
})

describe('of a target that carries one request at once', () => {
  beforeEach(() => start(undefined, { capacity: ONE }))
  const ONE = { requestsPerTarget: 1, requestsPerPool: 0, queueMax: 10, queueMs: 1_000 }

  /** One more client asks. */
  function ask(line: string, whole: string | null = '', more = ''): NotedDownstream {
    downstream = new NotedDownstream()
    exchange = new Exchange(plane, downstream)
    begin(line, whole, more)
    return downstream
  }
  /** The answer comes to a request that was sent. */
  const answer = (upstream: NotedUpstream) => {
    upstream.head('200 OK\r\nContent-Length: 2', 'length')
    upstream.piece('ok', true)
  }
  /** Both targets have a request, to which they are connected. */
  const busy = () => {
    ask('GET /a')
    ask('GET /b')
    for (const upstream of opened) upstream.connect()
  }
  /** Turns are given behind what is under way. */
  const turns = () => Promise.resolve()
  const waiting = () => memory.waiting.reduce((sum, n) => sum + n, 0)

  test('the next one waits with its body, and is sent once the one before is answered; the wait is not the time of the target', async () => {
    busy()
    const third = ask('POST /c', null, 'Content-Length: 2\r\n')
    expect([third.notes, opened.length, waiting()]).toEqual([['pause'], 2, 1])
    plane.time.nowMs += 500
    answer(opened[0])
    await turns()
    expect([opened.length, waiting()]).toEqual([3, 0])
    opened[2].connect()
    downstream = third
    piece('ab', true)
    expect(opened[2].notes).toEqual(['send POST /c', 'body ab.'])
    const before = counted(FIELD.durationSumMs)
    plane.time.nowMs += 20
    answer(opened[2])
    expect(third.notes.at(-1)).toBe('ended')
    expect(counted(FIELD.durationSumMs) - before).toBeCloseTo(20)
    expect(counted(FIELD.queued)).toBe(1)
    expect(counted(FIELD.queuedSumMs)).toBeCloseTo(500)
  })

  test('one that has waited goes with its own fields, whoever has asked meanwhile', async () => {
    busy()
    ask('GET /c', '', 'X-Who: c\r\n')
    ask('GET /d', '', 'X-Who: d\r\n')
    answer(opened[0])
    await turns()
    opened[2].connect()
    expect([opened[2].sent!.target, opened[2].sent!.lines]).toEqual(['/c', expect.stringContaining('X-Who: c\r\n')])
  })

  test('one that has waited for as long as it may is refused, and nothing of it counts at a target', () => {
    busy()
    const third = ask('GET /c')
    // It is looked at on the way, in case its client has left.
    for (let looks = 0; looks < 2; looks++) {
      expect(third.notes).toEqual([])
      passDeadline()
    }
    expect(third.notes).toEqual(['refuse overloaded', 'ended'])
    expect([counted(FIELD.shedQueueTime), counted(FIELD.decided), counted(FIELD.attemptsStarted)]).toEqual([1, 2, 2])
    expect([counted(FIELD.queued), waiting()]).toEqual([0, 0])
  })

  test('what one is held for is no part of how long it may wait for room', async () => {
    // Looks at the queues read the time, which is moved by hand here.
    plane.time.tick = () => {}
    busy()
    const third = ask('GET /c')
    plane.time.nowMs += 700
    const sinceMs = plane.time.steadyMs()
    const hold = {
      id: 'h-1',
      sinceMs,
      untilMs: sinceMs + 60_000,
      only: 'all',
      queueMax: 10,
      bytesMax: 100_000,
    } as const
    const targets = Object.fromEntries(
      opened.map(({ connections: { target } }) => [target.url, { slots: [target.slot] }]),
    )
    change({ capacity: ONE }, { targets, hold })
    await vi.waitFor(() => expect([plane.holds.size, waiting()]).toEqual([1, 0]))
    plane.time.nowMs += 10_000
    change({ capacity: ONE }, { targets })
    await vi.waitFor(() => expect([plane.holds.size, waiting()]).toEqual([0, 1]))
    // It waits for the rest of its second, and no longer.
    plane.time.nowMs += 299
    exchange.onDeadline()
    expect(third.notes).toEqual([])
    plane.time.nowMs += 1
    exchange.onDeadline()
    expect([third.notes, counted(FIELD.shedQueueTime)]).toEqual([['refuse overloaded', 'ended'], 1])
  })

  test('one whose client has left unseen, since it is not read from, is refused when it is looked at', () => {
    busy()
    const third = ask('POST /c', null, 'Content-Length: 2\r\n')
    third.left = true
    passDeadline()
    expect(third.notes).toEqual(['pause', 'refuse overloaded', 'ended'])
    expect([counted(FIELD.shedQueueLeft), counted(FIELD.shedQueueTime), waiting()]).toEqual([1, 0, 0])
  })

  test('one whose client goes away leaves the queue', async () => {
    busy()
    const third = ask('GET /c')
    third.destroy()
    expect([third.notes.at(-1), waiting()]).toEqual(['cut', 0])
    answer(opened[0])
    await turns()
    expect(opened.length).toBe(2)
  })

  test('one whose connection is refused waits for another target, behind those that wait already', async () => {
    ask('GET /a')
    const second = ask('GET /b')
    opened[0].connect()
    plane.time.nowMs += 5
    const third = ask('GET /c')
    plane.time.nowMs += 5
    opened[1].close()
    expect([second.notes, waiting()]).toEqual([[], 2])
    await turns()
    opened[2].connect()
    expect(opened[2].notes).toEqual(['send GET /c'])
    expect(opened[2].connections.target).toBe(opened[1].connections.target)
    answer(opened[2])
    await turns()
    // That target has refused the one that waits.
    expect(opened.length).toBe(3)
    answer(opened[0])
    await turns()
    opened[3].connect()
    answer(opened[3])
    expect(opened[3].notes[0]).toBe('send GET /b')
    for (const { notes } of [second, third]) expect(notes.at(-1)).toBe('ended')
    expect([counted(FIELD.retriesConnect), counted(FIELD.inFlight), waiting()]).toEqual([1, 0, 0])
    expect(memory.permits.every((count) => count === 0)).toBe(true)
  })

  test('one that became a tunnel leaves its place to the next', async () => {
    busy()
    ask('GET /c')
    opened[0].head('101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket', 'none')
    await turns()
    expect(opened.length).toBe(3)
  })
})

test('one that has waited, and whose visitor has no key any more, is given an id of ours', async () => {
  const limited = { capacity: { requestsPerTarget: 1, requestsPerPool: 0, queueMax: 10, queueMs: 60_000 } }
  const ask = () => {
    downstream = new NotedDownstream()
    exchange = new Exchange(plane, downstream)
    begin('GET /x', '', 'Sec-Fetch-Mode: cors\r\nX-User-Id: a@b.c\r\n')
  }
  start(undefined, limited)
  for (let n = 0; n < 3; n++) ask()
  expect([opened.length, exchange.phase]).toEqual([2, 'queued'])
  change({ ...limited, visitor: [{ from: 'own' }] })
  await vi.waitFor(() => expect(opened).toHaveLength(3))
  opened[2].connect()
  opened[2].head('204 No Content', 'none')
  opened[2].piece('', true)
  expect(downstream.cookieLine).toMatch(/turnout=k~[0-9a-f]{20}~shop~blue~/)
})

describe('of the retry budget', () => {
  const CAPACITY = { requestsPerTarget: 1, requestsPerPool: 0, queueMax: 10, queueMs: 5_000 }
  beforeEach(() => start(undefined, { capacity: CAPACITY }))

  /** How many repeats have been spent, of the 30 that there are for so few requests. */
  const spent = (): number => {
    let left = 0
    while (plane.targets.retryBudgetOf(0).take(plane.time.nowMs)) left++
    return 30 - left
  }

  /** A request that a target has failed while the other one has no room; gives that room back. */
  const failWithoutRoom = (): (() => void) => {
    begin('GET /x')
    opened[0].connect()
    const [{ pool, slot }] = [opened[0].connections.target]
    const other = pool.targets.find((target) => target.slot !== slot)!
    expect(plane.permits.take(other, CAPACITY)).toBe(true)
    opened[0].close()
    expect([opened.length, exchange.phase]).toEqual([1, 'queued'])
    return () => {
      plane.permits.give(other.slot)
      plane.queues.freed()
    }
  }

  test('a repeat takes one, and gives it back when it is answered well', () => {
    for (const [status, cost] of [['500 No', 1] as const, ['200 OK', 0] as const]) {
      start(undefined, { capacity: CAPACITY })
      begin('GET /x')
      opened[0].connect()
      opened[0].close()
      opened[1].connect()
      opened[1].head(`${status}\r\nContent-Length: 0`, 'length')
      opened[1].piece('', true)
      expect([status, spent()]).toEqual([status, cost])
    }
  })

  test('one that waits for room and is sent then takes one, too', async () => {
    const free = failWithoutRoom()
    free()
    await vi.waitFor(() => expect(opened).toHaveLength(2))
    opened[1].connect()
    opened[1].close()
    expect(downstream.notes.slice(-2)).toEqual(['refuse upstream_closed', 'ended'])
    expect(spent()).toBe(1)
  })

  test.each(['time', 'left'] as const)('one that waits for room in vain takes none (%s)', (why) => {
    failWithoutRoom()
    exchange.unserved(why)
    expect(downstream.notes.slice(-2)).toEqual(['refuse overloaded', 'ended'])
    expect(spent()).toBe(0)
  })

  test('one that no connection can be had for takes none', () => {
    begin('GET /x')
    opened[0].connect()
    opened[0].close()
    opened[1].close()
    expect(downstream.notes.at(-1)).toBe('ended')
    expect(spent()).toBe(0)
  })
})

test('a copy that is much too long already when its client has the last of its answer is given up, and compared once', () => {
  const mirror = { pool: 'green', share: 100, compares: true, writes: false }
  const pool = (name: string, url: string) => ({ name, version: '1', targets: [url] })
  start(undefined, { pools: [pool('blue', TARGETS[0]), pool('green', TARGETS[1])], mirror })
  begin('GET /x')
  const [live, copy] = opened[0].connections.target.url === TARGETS[0] ? opened : [...opened].reverse()
  for (const upstream of [live, copy]) {
    upstream.connect()
    upstream.head('200 OK\r\nContent-Length: 400000', 'length')
  }
  copy.piece('x'.repeat(400_000), false)
  expect(copy.isGone).toBe(false)
  live.piece('ab', true)
  expect(copy.isGone).toBe(true)
  expect([FIELD.mirrors, FIELD.mirrorsFailed, FIELD.mirrorsCompared].map(counted)).toEqual([1, 0, 1])
})

test('a copy that lost the race with a kept connection is sent again to where it was sent, not to where its host is by now', () => {
  const mirror = { pool: 'green', share: 100, compares: true, writes: false }
  const pool = (name: string, url: string) => ({ name, version: '1', targets: [url] })
  start(undefined, { pools: [pool('blue', TARGETS[0]), pool('green', TARGETS[1])], mirror })
  const { connectionsOf } = plane.targets
  const asked: string[] = []
  plane.targets.connectionsOf = (target) => {
    asked.push(target.url)
    return connectionsOf(target)
  }
  idle = 2
  begin('GET /x')
  opened.find(({ connections }) => connections.target.url === TARGETS[1])!.close()
  expect([opened.length, asked.toSorted()]).toEqual([3, TARGETS])
})
