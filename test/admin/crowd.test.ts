/** More connections to the admin API than it serves: each is told so, nobody is cut off, and room is made. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { openLine } from '../helpers/load.ts'
import { startAdmin } from './stand-in.ts'

const MAX = 4

/** An API whose connections are `agedMs` older than they are. */
async function start() {
  let agedMs = 0
  const clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + agedMs }
  const { url } = await startAdmin({ connectionsMax: MAX, clock })
  const open = async () => (await openLine(Number(new URL(url).port)))!
  const age = (ms: number): void => {
    agedMs += ms
  }
  /** A connection with a call that stays under way. */
  const follow = async () => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    socket.write('GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
    await once(socket, 'data')
    return socket
  }
  return { open, follow, age }
}

const HEADERS = { Host: '127.0.0.1' }
const read = { method: 'GET', path: '/v1/services', headers: HEADERS }
const switching = {
  method: 'POST',
  path: '/v1/services/shop/switch',
  body: '{"to":"green"}',
  headers: { ...HEADERS, 'Content-Type': 'application/json' },
}

test('calls on more connections than are served are answered 503 with when to come again, and none is cut off', async () => {
  const { open, follow, age } = await start()
  const taken = await Promise.all(Array.from({ length: MAX }, follow))
  const late = await Promise.all(Array.from({ length: 2 * MAX }, open))
  for (const line of late) {
    const answer = await line.ask(switching)
    expect(answer).toMatchObject({ status: 503, body: expect.stringContaining('"code":"overloaded"') })
    expect(answer).toMatchObject({ head: expect.stringMatching(/\r\nretry-after: 1\r\n/i) })
  }
  expect(await late[0].ask({ ...read, path: '/healthz' })).toMatchObject({ status: 200 })
  // One that was refused keeps its connection, and is served on it once there is room.
  age(1_000)
  expect(await late[0].ask(switching)).toMatchObject({ status: 503 })
  taken[0].destroy()
  await expect.poll(async () => late[0].ask(switching)).toMatchObject({ status: 200 })
  for (const line of late) line.close()
  for (const socket of taken) socket.destroy()
})

test('a connection that has waited for no answer for a while makes room, and no other', async () => {
  const { open, follow, age } = await start()
  const busy = await follow()
  const [idle, ...young] = await Promise.all(Array.from({ length: MAX - 1 }, open))
  expect(await idle.ask(read)).toMatchObject({ status: 200 })
  age(1_000)
  for (const line of young) expect(await line.ask(read)).toMatchObject({ status: 200 })
  const late = await open()
  await expect.poll(() => idle.closed).toBe(true)
  expect(await late.ask(switching)).toMatchObject({ status: 200 })

  const tooLate = await open()
  expect(await tooLate.ask(switching)).toMatchObject({ status: 503 })
  for (const line of young) expect(await line.ask(switching)).toMatchObject({ status: 200 })
  expect(busy.closed).toBe(false)
  for (const line of [late, tooLate, ...young]) line.close()
  busy.destroy()
})
