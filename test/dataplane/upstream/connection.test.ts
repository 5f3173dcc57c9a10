/** A connection to a target and whoever has it: who has let go of it hears nothing more. */
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { TargetConnections } from '../../../src/dataplane/upstream/target-connections.ts'
import type { RawUser, UpstreamUser } from '../../../src/dataplane/upstream/upstream.ts'
import { until } from '../../helpers/raw.ts'
import { startTcp } from '../../helpers/upstream.ts'
import { makePlane } from '../make-plane.ts'

/** A connection that was handed over, and what its users are told from then on. */
async function handedOver() {
  const accepted = Promise.withResolvers<Socket>()
  const server = await startTcp((socket) => accepted.resolve(socket.on('error', () => {})))
  const plane = makePlane({ targets: [server.url] })
  const [target] = plane.tables.current().services.get('shop')!.pools[0].targets
  const told: string[] = []
  const nothing = () => {}
  const opened = Promise.withResolvers<void>()
  const user: UpstreamUser = {
    onConnected: opened.resolve,
    onFault: nothing,
    onDrain: nothing,
    onClosed: () => told.push('user'),
    answer: { sink: null, onInterim: nothing, onHead: nothing, onMoved: nothing, onBody: nothing },
  }
  const connection = new TargetConnections(plane, target).open(user)!
  await opened.promise
  const onClosed = () => told.push('raw user')
  const raw: RawUser = { onRaw: nothing, onEnd: nothing, onDrain: nothing, onWriteFailed: nothing, onClosed }
  connection.handOver(raw)
  return { connection, told, closed: once(connection.socket, 'close'), far: await accepted.promise }
}

test('whoever destroys a connection that was handed over is not told that it has closed', async () => {
  const { connection, told, closed } = await handedOver()
  connection.destroy()
  await closed
  expect(told).toEqual([])
})

test('who has a connection that is reset is told so once', async () => {
  const { far, told, closed } = await handedOver()
  far.resetAndDestroy()
  await closed.catch(() => {})
  await until('it is told', () => told.length > 0)
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
  expect(told).toEqual(['raw user'])
})

test('of a busy worker it is known whether what was sent last has left', async () => {
  const { connection } = await handedOver()
  for (let n = 0; n < 8; n++) connection.out.text('busy')
  await new Promise(setImmediate)
  expect(connection.isHeld).toBe(false)
  connection.out.text('held')
  expect(connection.isHeld).toBe(true)
  await new Promise(setImmediate)
  expect(connection.isHeld).toBe(false)
  connection.destroy()
})
