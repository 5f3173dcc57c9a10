/** The event stream: catching up, going on live, heartbeat, bounds, end; and the list. */
import { connect, type Socket } from 'node:net'
import { expect, onTestFinished, test, vi } from 'vitest'
import { HEARTBEAT_EVERY_MS, STREAMS_MAX } from '../../src/admin/events.ts'
import { anEvent, movableClock, type StandIn, startAdmin } from './stand-in.ts'

interface Stream {
  readonly response: Response
  /** Everything that was received so far. */
  text(): string
  readonly ended: Promise<void>
  stop(): void
}

async function follow(admin: StandIn, query = '', headers: Record<string, string> = {}): Promise<Stream> {
  const abort = new AbortController()
  const response = await fetch(`${admin.url}/v1/events${query}`, { headers, signal: abort.signal })
  let text = ''
  const read = async () => {
    for await (const chunk of response.body!) text += Buffer.from(chunk).toString()
  }
  const ended = read().catch(() => {})
  onTestFinished(() => abort.abort())
  return { response, text: () => text, ended, stop: () => abort.abort() }
}

const idsIn = (text: string) => [...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id))

test('a stream tells what happens, as id, event and data lines', async () => {
  const admin = await startAdmin()
  const stream = await follow(admin)
  expect(stream.response.headers.get('content-type')).toBe('text/event-stream')
  admin.control.publish(anEvent('two\nlines', { was: 'healthy' }))
  await vi.waitFor(() => expect(stream.text()).toContain('id: 2'))
  const [, id, event, data] = /id: (.*)\nevent: (.*)\ndata: (.*)\n\n/.exec(stream.text())!
  expect([id, event]).toEqual(['2', 'health'])
  expect(JSON.parse(data)).toMatchObject({ id: 2, type: 'health', message: 'two\nlines', data: { was: 'healthy' } })
})

test('without a beginning a stream tells only what is new', async () => {
  const admin = await startAdmin()
  const stream = await follow(admin)
  admin.control.publish(anEvent('new'))
  await vi.waitFor(() => expect(idsIn(stream.text())).toEqual([2]))
})

test('a stream catches up after ?after, or after Last-Event-ID, which wins', async () => {
  const admin = await startAdmin()
  for (const message of ['a', 'b', 'c']) admin.control.publish(anEvent(message))
  const byQuery = await follow(admin, '?after=2')
  const byHeader = await follow(admin, '?after=0', { 'last-event-id': '3' })
  const all = await follow(admin, '?after=0')
  admin.control.publish(anEvent('d'))
  await vi.waitFor(() => {
    expect(idsIn(byQuery.text())).toEqual([3, 4, 5])
    expect(idsIn(byHeader.text())).toEqual([4, 5])
    expect(idsIn(all.text())).toEqual([1, 2, 3, 4, 5])
  })
})

test('an id of an earlier process gives everything that is kept', async () => {
  const admin = await startAdmin()
  const stream = await follow(admin, '', { 'last-event-id': '900' })
  await vi.waitFor(() => expect(idsIn(stream.text())).toEqual([1]))
})

test('a malformed beginning is refused', async () => {
  const { call } = await startAdmin()
  expect((await call('GET', '/v1/events', undefined, { 'last-event-id': 'x' })).status).toBe(400)
  expect((await call('GET', '/v1/events?after=x')).body.errors[0].pointer).toBe('/after')
  expect((await call('GET', '/v1/events?fellow=false')).body.errors[0].pointer).toBe('/fellow')
})

test('?follow=false answers a list', async () => {
  const { call, control } = await startAdmin()
  control.publish(anEvent('a'))
  const all = await call('GET', '/v1/events?follow=false')
  expect(all.body.events.map((event: { id: number }) => event.id)).toEqual([1, 2])
  const later = await call('GET', '/v1/events?follow=false&after=1')
  expect(later.body.events).toMatchObject([{ id: 2, message: 'a', service: 'shop' }])
})

test('an idle stream gets a comment every 15 s', async () => {
  const clock = movableClock()
  const admin = await startAdmin({ clock })
  const stream = await follow(admin)
  const comments = () => stream.text().match(/^: /gm)?.length ?? 0
  clock.move(HEARTBEAT_EVERY_MS - 1)
  clock.move(1)
  await vi.waitFor(() => expect(comments()).toBe(1))
  clock.move(HEARTBEAT_EVERY_MS)
  await vi.waitFor(() => expect(comments()).toBe(2))
})

test(`stream ${STREAMS_MAX + 1} is refused until another one ends`, async () => {
  const admin = await startAdmin()
  const streams: Stream[] = []
  for (let n = 0; n < STREAMS_MAX; n++) streams.push(await follow(admin))
  const refused = await admin.call('GET', '/v1/events')
  expect([refused.status, refused.body.code]).toEqual([503, 'overloaded'])
  streams[0].stop()
  await vi.waitFor(async () => expect((await follow(admin)).response.status).toBe(200))
})

test('a reader that does not read is dropped, and the others go on', async () => {
  const admin = await startAdmin()
  const good = await follow(admin)
  const lazy = await new Promise<Socket>((resolve) => {
    const socket = connect(Number(new URL(admin.url).port), '127.0.0.1', () => {
      socket.write('GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n')
      socket.once('data', () => {
        socket.pause()
        resolve(socket)
      })
    })
  })
  onTestFinished(() => {
    lazy.destroy()
  })
  const dropped = vi.fn()
  lazy.on('close', dropped).on('error', () => {})
  const big = { filler: 'x'.repeat(256 * 1024) }
  // Kernel buffers on loopback hold some megabytes; the good reader is let catch up so that only the lazy one lags.
  for (let sent = 1; sent <= 100; sent++) {
    admin.control.publish(anEvent(`big ${sent}`, big))
    await vi.waitFor(() => expect(good.text().length).toBeGreaterThan(sent * 256 * 1024), { interval: 1 })
  }
  lazy.resume()
  await vi.waitFor(() => expect(dropped).toHaveBeenCalled())
  expect(lazy.bytesRead).toBeLessThan(100 * 256 * 1024)
  expect(idsIn(good.text())).toHaveLength(100)
})

test('closing the API ends every stream', async () => {
  const admin = await startAdmin()
  const stream = await follow(admin)
  await admin.close()
  await stream.ended
  await expect(fetch(`${admin.url}/healthz`)).rejects.toThrow()
})

test('events are told by service, by kind and by age, listed and as they come; what concerns several services is of each', async () => {
  const clock = movableClock()
  const admin = await startAdmin({ clock })
  const told = async (query: string) => {
    const { status, body } = await admin.call('GET', `/v1/events?follow=false&${query}`)
    expect(status).toBe(200)
    return body.events.map(({ message }: { message: string }) => message)
  }
  admin.control.publish(anEvent('old'))
  clock.move(60_000)
  const change = (message: string, data: object) => ({
    ...anEvent(message),
    type: 'change' as const,
    service: null,
    data: { ...data },
  })
  admin.control.publish(change('both', { services: ['shop', 'api'] }))
  admin.control.publish(change('others', { services: ['api'] }))
  admin.control.publish(change('from another instance', { kind: 'reload' }))
  admin.control.publish({ ...anEvent('a worker'), type: 'worker', service: null })
  expect(await told('service=shop&after=1')).toEqual(['old', 'both', 'from another instance'])
  expect(await told('service=shop&type=health')).toEqual(['old'])
  expect(await told('type=health,worker')).toEqual(['old', 'a worker'])
  expect(await told('type=health&since=30s')).toEqual([])
  expect((await told('since=30s')).at(0)).toBe('both')
  // Of one that is gone there is still something to tell; of one that never was there is not.
  expect(await told('service=api&type=change&since=30s')).toEqual(['both', 'others', 'from another instance'])
  const misspelt = await admin.call('GET', '/v1/events?follow=false&service=shpo')
  expect([misspelt.status, misspelt.body.detail]).toEqual([404, 'There is no service shpo (did you mean "shop"?).'])
  // A name that looks like a number, or like yes and no, is a name.
  for (const name of ['0', 'true']) {
    expect((await admin.call('GET', `/v1/events?follow=false&service=${name}`)).body.detail).toMatch(
      `There is no service ${name}`,
    )
  }
  expect((await admin.call('GET', '/v1/events?follow=no')).body.errors[0].pointer).toBe('/follow')
  expect((await admin.call('GET', '/v1/events?type=helth')).body.errors[0].pointer).toBe('/type')
  expect((await admin.call('GET', '/v1/events?since=noon')).body.errors[0].pointer).toBe('/since')
  const stream = await follow(admin, '?service=shop&since=30s')
  const resumed = await follow(admin, '?since=1ms&type=health', { 'last-event-id': '1' })
  admin.control.publish(change('of api', { services: ['api'] }))
  admin.control.publish(anEvent('live'))
  await vi.waitFor(() => {
    expect([...stream.text().matchAll(/"message":"([^"]*)"/g)].map(([, message]) => message)).toEqual([
      'both',
      'from another instance',
      'live',
    ])
    expect([...resumed.text().matchAll(/"message":"([^"]*)"/g)].map(([, message]) => message)).toEqual(['old', 'live'])
  })
})
