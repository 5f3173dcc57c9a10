/** The connections of a worker by target: what becomes of those that nobody will ask for again. */
import type net from 'node:net'
import { expect, test } from 'vitest'
import type { Upstream, UpstreamUser } from '../../../src/dataplane/upstream/upstream.ts'
import { allocateSharedMemory, FIELD, sumField } from '../../../src/metrics/layout.ts'
import type { TargetTable } from '../../../src/table/types.ts'
import { until } from '../../helpers/raw.ts'
import { startTcp } from '../../helpers/upstream.ts'
import { makePlane } from '../make-plane.ts'
import { GET } from './get.ts'

/** A target that answers when it is told to, and a lease of a connection to it on which a request is under way. */
async function leaseOne() {
  const open = new Set<net.Socket>()
  const server = await startTcp((socket) => {
    open.add(socket)
    socket.on('error', () => {}).on('close', () => open.delete(socket))
    socket.on('end', () => socket.end()).resume()
  })
  const memory = allocateSharedMemory(1)
  const plane = makePlane({ targets: [server.url], memory })
  const [target] = plane.tables.current().services.get('shop')!.pools[0].targets
  let lease: Upstream | null = null
  let [isAsked, isAnswered] = [false, false]
  const user: UpstreamUser = {
    onConnected: () => {
      isAsked = true
      lease!.send(GET)
    },
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
  await until('it is asked', () => isAsked && open.size === 1)
  const release = async () => {
    for (const socket of open) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
    await until('it is answered', () => isAnswered)
    lease!.release()
  }
  const counted = () => sumField(memory, target.slot, FIELD.connections)
  return { plane, target, user, open, release, counted }
}

test('when a place is given to another target, idle connections to the one before are closed', async () => {
  const { plane, target, open, release } = await leaseOne()
  await release()
  expect(open.size).toBe(1)
  plane.targets.connectionsOf({ ...target, url: 'http://192.0.2.1:80' })
  await until('it is closed', () => open.size === 0)
})

test('when a place gets another address, a connection in use is closed once its answer is over', async () => {
  const { plane, target, open, release, counted } = await leaseOne()
  plane.targets.connectionsOf({ ...target, alternate: '192.0.2.1' })
  expect([open.size, counted()]).toEqual([1, 1])
  await release()
  await until('it is closed', () => open.size === 0)
  expect(counted()).toBe(0)
})

test('a place is known to speak HTTP/1.1 also when its connections are gone and forgotten, and another in its slot is not', async () => {
  const { plane, target, user, open, release, counted } = await leaseOne()
  /** Whether a fresh connection knows it, before any answer; the connection is gone then, and a sweep later its target is forgotten. */
  const isKnown = (at: TargetTable) => {
    const lease = plane.targets.connectionsOf(at).open(user)!
    const { isHttp11 } = lease
    lease.destroy()
    plane.targets.sweep()
    return isHttp11
  }
  await release()
  for (const socket of open) socket.destroy()
  await until('it is gone', () => counted() === 0)
  plane.targets.sweep()
  expect([isKnown(target), isKnown({ ...target })]).toEqual([true, true])
  expect([isKnown({ ...target, address: '127.0.0.2' }), isKnown(target)]).toEqual([false, false])
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
