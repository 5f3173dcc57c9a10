import { once } from 'node:events'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { fieldAt } from '../../src/config/record.ts'
import { BODY_BYTES_MAX, probe } from '../../src/health/probe.ts'
import { literalAddresses } from '../helpers/literal-names.ts'
import { healthPlan, json, refusingUrl, startTarget } from './stand-in.ts'

const never = new AbortController().signal

async function judge(url: string, changes: Parameters<typeof healthPlan>[0] = {}, version = '1.0') {
  const { result, detail } = await probe(
    url,
    literalAddresses(url)[0],
    healthPlan(changes),
    version,
    systemClock,
    never,
  )
  return `${result}: ${detail}`
}

describe('a probe', () => {
  it('passes when the target answers with a listed status', async () => {
    const target = await startTarget(json({ status: 'ok' }))
    expect(await judge(target.url)).toBe('pass: GET /health passed')
    expect(
      await judge(target.url, {
        statuses: [
          [204, 204],
          [200, 201],
        ],
      }),
    ).toMatch(/^pass/)
  })

  it('fails when the target answers with another status', async () => {
    const target = await startTarget(json({}, 503))
    expect(await judge(target.url)).toBe('fail: GET /health answered 503')
  })

  it('fails when what it is made with cannot be loaded', async () => {
    vi.doMock('undici', () => {
      throw new Error('too many open files')
    })
    onTestFinished(() => void vi.doUnmock('undici'))
    const target = await startTarget(json({}))
    expect(await judge(target.url)).toMatch(/^fail: GET \/health failed: /)
  })

  it('fails when the target refuses the connection', async () => {
    expect(await judge(await refusingUrl())).toBe('fail: GET /health failed: connection refused')
  })

  it('fails when the target closes the connection without an answer', async () => {
    const target = await startTarget((request) => request.socket.destroy())
    expect(await judge(target.url)).toBe('fail: GET /health failed: the connection was closed before an answer')
  })

  it('fails, and never throws, when the URL cannot be used', async () => {
    expect(await judge('http://127.0.0.1:99999')).toMatch(/^fail: GET \/health failed: /)
  })

  it('that is given up fails too, and never throws: what is aborted has a number for a code', async () => {
    const target = await startTarget(() => {})
    const ended = new AbortController()
    const over = probe(target.url, literalAddresses(target.url)[0], healthPlan({}), '1.0', systemClock, ended.signal)
    await vi.waitFor(() => expect(target.sockets.size).toBe(1))
    ended.abort()
    expect(await over).toEqual({ result: 'fail', detail: expect.stringContaining('GET /health failed: ') })
  })

  it('fails at the deadline when the target hangs, and leaves no connection behind', async () => {
    const target = await startTarget(() => {})
    expect(await judge(target.url, { timeoutMs: 60 })).toBe('fail: GET /health took longer than 60 ms')
    await vi.waitFor(() => expect(target.sockets.size).toBe(0))
  })

  it('holds a target that drips its answer to the same deadline', async () => {
    const target = await startTarget((_request, response) => {
      response.writeHead(200)
      const timer = setInterval(() => response.write('.'), 5)
      response.on('close', () => clearInterval(timer))
    })
    expect(await judge(target.url, { timeoutMs: 80 })).toBe('fail: GET /health took longer than 80 ms')
    await vi.waitFor(() => expect(target.sockets.size).toBe(0))
  })

  it('fails when the body ends too early', async () => {
    const target = await startTarget((_request, response) => {
      response.writeHead(200, { 'content-length': '100' })
      response.write('half')
      setImmediate(() => response.socket?.destroy())
    })
    expect(await judge(target.url)).toBe('fail: GET /health failed: the body was cut short')
  })

  it('reads at most 64 KiB of a body, which is enough when only the status matters', async () => {
    const target = await startTarget((_request, response) => {
      response.writeHead(200)
      const more = () => {
        while (!response.destroyed && response.write('x'.repeat(16_384)));
      }
      response.on('drain', more)
      more()
    })
    expect(await judge(target.url)).toBe('pass: GET /health passed')
    expect(await judge(target.url, { json: [['a', 1]] })).toBe(
      `fail: GET /health answered more than ${BODY_BYTES_MAX} bytes`,
    )
    await vi.waitFor(() => expect(target.sockets.size).toBe(0))
  })

  it('does not follow a redirect, which passes only when it is listed', async () => {
    const target = await startTarget((request, response) => {
      if (request.url === '/health') response.writeHead(302, { location: '/fine' }).end()
      else response.end('fine')
    })
    expect(await judge(target.url)).toBe('fail: GET /health answered 302')
    expect(await judge(target.url, { statuses: [[200, 399]] })).toMatch(/^pass/)
    expect(target.seen.requests).toBe(2)
  })

  it('compares dotted fields of the JSON body', async () => {
    const target = await startTarget(json({ status: 'ok', db: { ok: true }, checks: [{ name: 'disk' }] }))
    const fields = [
      ['status', 'ok'],
      ['db.ok', true],
      ['checks.0', { name: 'disk' }],
    ] as const
    expect(await judge(target.url, { json: fields })).toMatch(/^pass/)
    expect(await judge(target.url, { json: [['db.ok', false]] })).toBe(
      'fail: GET /health answered db.ok = true, expected false',
    )
    expect(await judge(target.url, { json: [['db.up', true]] })).toBe(
      'fail: GET /health answered db.up = nothing, expected true',
    )
  })

  it('fails when JSON is expected and the body is none', async () => {
    const target = await startTarget((_request, response) => response.end('<html>'))
    expect(await judge(target.url, { json: [['a', 1]] })).toBe('fail: GET /health answered no valid JSON')
  })

  it('expects the version of the pool in the field that the plan names', async () => {
    const target = await startTarget(json({ build: { version: '1.0' } }))
    expect(await judge(target.url, { expectVersion: 'build.version' }, '1.0')).toMatch(/^pass/)
    expect(await judge(target.url, { expectVersion: 'build.version' }, '1.1')).toBe(
      'fail: GET /health answered build.version = "1.0", expected version "1.1"',
    )
  })

  it('asks with the Host of the plan, for the path with its query, on a connection of its own', async () => {
    const asked: unknown[] = []
    const target = await startTarget((request, response) => {
      asked.push([request.method, request.url, request.headers.host, request.headers.connection])
      response.end()
    })
    await judge(target.url, { host: 'shop.example.com', path: '/up?deep=1' })
    await judge(target.url, { host: 'shop.example.com', path: '/up?deep=1' })
    expect(asked).toEqual(Array(2).fill(['GET', '/up?deep=1', 'shop.example.com', 'close']))
    expect(target.seen.connections).toBe(2)
  })

  it('ends at once when it is no longer wanted', async () => {
    const target = await startTarget(() => {})
    const ended = new AbortController()
    const run = probe(
      target.url,
      literalAddresses(target.url)[0],
      healthPlan({ timeoutMs: 60_000 }),
      '',
      systemClock,
      ended.signal,
    )
    await vi.waitFor(() => expect(target.seen.requests).toBe(1))
    ended.abort()
    expect((await run).result).toBe('fail')
    const [socket] = target.sockets
    if (socket !== undefined) await once(socket, 'close')
  })
})

describe('a dotted field', () => {
  it('finds own fields only', () => {
    expect(fieldAt({ a: { b: [7] } }, 'a.b.0')).toBe(7)
    expect(fieldAt({}, 'constructor.name')).toBeUndefined()
    expect(fieldAt('text', 'length')).toBeUndefined()
    expect(fieldAt(null, 'a')).toBeUndefined()
  })
})
