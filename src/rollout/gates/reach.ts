/** The check that hooks can be reached: a TCP connection to each, and no request; programs that are there and may be run. */
import type { LookupFunction } from 'node:net'
import { nameOf } from '../../config/hook-name.ts'
import { unansweredInWords } from '../../unanswered.ts'
import { type Found, failed, ok, skipped } from './check.ts'
import type { About, Means } from './gate.ts'

const WITHIN_MS = 3_000

/** Somebody listens wherever a hook is called, and every program can be run. */
export async function hooksReachable({ spec }: About, { commands, find }: Means): Promise<Found> {
  const hooks = spec.hooks ?? []
  if (hooks.length === 0) return skipped('there are no hooks')
  const faults = await Promise.all(
    hooks.map(async (hook) => {
      const { at, url, command = [] } = hook
      if (url === undefined) {
        const fault = await commands.faultOf(command)
        return fault === null ? [] : [`hook ${at}: ${fault}`]
      }
      const why = await connect(new URL(url), find)
      return why === null ? [] : [`hook ${at} at ${nameOf(hook)} cannot be reached: ${why}`]
    }),
  )
  const all = faults.flat()
  return all.length === 0 ? ok(`${hooks.length} of ${hooks.length} hooks can be reached`) : failed(all.join('; '))
}

/** Null when a connection was opened, else why not. It is closed at once. */
async function connect({ hostname: host, protocol, port }: URL, lookup: LookupFunction): Promise<string | null> {
  const { buildConnector } = await import('undici')
  // An address of IPv6 stands in brackets in a URL, and only there.
  const hostname = host.replace(/^\[(.*)\]$/, '$1')
  const open = buildConnector({ timeout: WITHIN_MS, lookup })
  // As for plain HTTP, since nothing but the connection is wanted.
  const where = { hostname, host: hostname, protocol: 'http:', port: port || (protocol === 'https:' ? '443' : '80') }
  return new Promise((resolve) => {
    open(where, (error, socket) => {
      socket?.destroy()
      resolve(error === null ? null : unansweredInWords(error))
    })
  })
}
