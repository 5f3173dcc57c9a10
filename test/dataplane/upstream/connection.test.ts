/** A connection to a target and whoever has it: who has let go of it hears nothing more. */
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { TargetConnections } from '../../../src/dataplane/upstream/target-connections.ts'
import type { RawUser, UpstreamUser } from '../../../src/dataplane/upstream/upstream.ts'
import { startTcp } from '../../helpers/upstream.ts'
import { makePlane } from '../make-plane.ts'

test('whoever destroys a connection that was handed over is not told that it has closed', async () => {
  const server = await startTcp((socket) => socket.on('error', () => {}))
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
  const raw: RawUser = { onRaw: nothing, onEnd: nothing, onDrain: nothing, onClosed: () => told.push('raw user') }
  connection.handOver(raw)
  const closed = once(connection.socket, 'close')
  connection.destroy()
  await closed
  expect(told).toEqual([])
})
