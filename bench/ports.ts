/**
 * Ports of the loopback address for what is started next, below those that systems give to whoever connects or asks for port 0:
 * one of these is somebody else's at times before it is listened on.
 */
import { createServer } from 'node:net'

function isFree(port: number): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

/** Gives one port after the other from `from` to below `to` that nobody listens on, from a random one on, as others do at the same time. */
export function portsIn(from: number, to: number): () => Promise<number> {
  let last = from + Math.floor(Math.random() * (to - from))
  return async () => {
    for (let tries = from; tries < to; tries++) {
      last = last + 1 < to ? last + 1 : from
      if (await isFree(last)) return last
    }
    throw new Error(`of the ports from ${from} to ${to} none is free`)
  }
}

/** A port that was free a moment ago. A node of a Redis Cluster takes the one that is 10,000 above, too, which is given to nobody. */
export const freePort = portsIn(10_240, 15_240)
