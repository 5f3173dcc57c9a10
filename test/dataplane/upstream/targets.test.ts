/** The connections of a worker by target: what becomes of those that nobody will ask for again. */
import type net from 'node:net'
import { expect, test } from 'vitest'
import type { Upstream, UpstreamUser } from '../../../src/dataplane/upstream/upstream.ts'
import type { TargetTable } from '../../../src/table/types.ts'
import { until } from '../../helpers/raw.ts'
import { startTcp } from '../../helpers/upstream.ts'
import { makePlane } from '../make-plane.ts'
import { GET } from './get.ts'

test('when a place is given to another target, idle connections to the one before are closed', async () => {
  const open = new Set<net.Socket>()
  const server = await startTcp((socket) => {
    open.add(socket)
    socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'))
    socket.on('error', () => {}).on('end', () => open.delete(socket) && socket.end())
  })
  const plane = makePlane({ targets: [server.url] })
  const [target] = plane.tables.current().services.get('shop')!.pools[0].targets
  let lease: Upstream | null = null
  let isAnswered = false
  const user: UpstreamUser = {
    onConnected: () => lease!.send(GET),
    onFault: () => {},
    onDrain: () => {},
    onClosed: () => {},
    answer: {
      sink: null,
      onInterim: () => {},
      onHead: () => {},
      onMoved: () => {},
      onBody: () => {
        isAnswered = true
      },
    },
  }
  lease = plane.targets.connectionsOf(target).open(user)
  await until('it is answered', () => isAnswered)
  lease!.release()
  expect(open.size).toBe(1)
  const other: TargetTable = { ...target, url: 'http://192.0.2.1:80' }
  plane.targets.connectionsOf(other)
  await until('it is closed', () => open.size === 0)
})

test('a place is the same in each table, and another by its port or by the host of its certificate', () => {
  const plane = makePlane({ targets: ['http://127.0.0.1:3000'] })
  const [target] = plane.tables.current().services.get('shop')!.pools[0].targets
  const first = plane.targets.connectionsOf(target)
  const again = { ...target }
  expect(plane.targets.connectionsOf(again)).toBe(first)
  // Known by the object from then on, so that nothing of it is compared for the next request.
  expect((first as unknown as { target: TargetTable }).target).toBe(again)
  const moved = plane.targets.connectionsOf({ ...target, port: 3001 })
  expect(moved).not.toBe(first)
  expect(plane.targets.connectionsOf({ ...target, port: 3001, host: 'a.test' })).not.toBe(moved)
})
