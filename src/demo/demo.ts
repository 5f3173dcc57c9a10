/**
 * The demo: a fleet and Turnout in front of it, in one process, with the state in memory so that nothing is left behind.
 *
 * Turnout's listeners share their port between workers, so starting on a port of another Turnout would succeed and split its
 * traffic; the demo therefore takes each port alone for a moment before it begins, and says whose port is taken.
 */
import { createServer } from 'node:net'
import type { Environment } from '../config/environment.ts'
import { parseSpec } from '../config/load.ts'
import type { Spec } from '../config/schema.ts'
import { serve } from '../serve.ts'
import { type Fleet, startFleet } from './fleet.ts'
import { REQUESTS_PER_SECOND, startTraffic } from './traffic.ts'

const PORT = 8080
const ADMIN_PORT = 9900

interface Ports {
  readonly proxy: number
  readonly admin: number
}

/** Why the demo cannot start, for people. */
export class DemoFailure extends Error {}

/**
 * Starts the demo and says what to try. TURNOUT_DEMO_PORT and TURNOUT_DEMO_ADMIN_PORT put it on other ports than 8080 and
 * 9900. Rejects with a `DemoFailure` when a port cannot be had.
 */
export async function startDemo(env: Environment, print: (text: string) => void): Promise<{ close(): Promise<void> }> {
  const ports = {
    proxy: portOf(env, 'TURNOUT_DEMO_PORT', PORT),
    admin: portOf(env, 'TURNOUT_DEMO_ADMIN_PORT', ADMIN_PORT),
  }
  await checkFree(ports.proxy, '0.0.0.0', 'TURNOUT_DEMO_PORT')
  await checkFree(ports.admin, '127.0.0.1', 'TURNOUT_DEMO_ADMIN_PORT')
  const fleet = await startFleet()
  try {
    const turnout = await serve({ spec: specOf(fleet, ports) })
    const endTraffic = startTraffic(`http://127.0.0.1:${ports.proxy}`, turnout.admin, 'demo')
    print(welcome(fleet, ports))
    return {
      async close() {
        await endTraffic()
        await turnout.close()
        await fleet.stop()
      },
    }
  } catch (error) {
    await fleet.stop()
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'EADDRINUSE') throw new DemoFailure(`${message}: somebody else was quicker.`)
    throw error
  }
}

function portOf(env: Environment, name: string, fallback: number): number {
  const port = Number(env[name] || fallback)
  if (Number.isInteger(port) && port > 0 && port < 65_536) return port
  throw new DemoFailure(`${name} must be a port, not "${env[name]}".`)
}

/** Takes a port alone and gives it back; rejects when it cannot be had. */
function checkFree(port: number, host: string, variable: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'is taken by another program' : `cannot be used (${error.code})`
      reject(new DemoFailure(`Port ${port} ${why}. Free it, or choose another: ${variable}=${port + 1} npm start`))
    })
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve()))
  })
}

function specOf({ targets }: Fleet, ports: Ports): Spec {
  const parsed = parseSpec(
    JSON.stringify({
      listeners: [{ address: `0.0.0.0:${ports.proxy}` }],
      admin: { address: `127.0.0.1:${ports.admin}` },
      store: 'memory:',
      log: { level: 'warn', access: false },
      // Far more than a demo needs, and within what any system allows, so that nothing is to be warned of.
      limits: { connectionsMax: 500, connectionsPerAddressMax: 500 },
      // A page that is open follows /events for ever; Ctrl-C must not wait for it.
      timeouts: { shutdown: '1s' },
      services: {
        demo: {
          routes: [{ host: '*', path: '/' }],
          pools: {
            blue: { version: '1.0', targets: targets.blue },
            green: { version: '1.1', targets: targets.green },
          },
          split: { blue: 100, green: 0 },
          // A pool without weight takes over only where it is named.
          failover: ['blue', 'green'],
          rules: [{ name: 'staff', when: { header: { 'x-internal': '1' } }, to: 'green' }],
          // So short that somebody watches it to the end.
          rollout: { steps: [20, 50], step: { for: '3s' }, bake: '3s' },
          health: { path: '/health', interval: '1s', timeout: '500ms', unhealthyAfter: 2, expectVersion: 'version' },
        },
      },
    }),
    { env: {}, source: 'demo' },
  )
  if ('faults' in parsed) throw new Error(`demo: ${parsed.faults.map(({ message }) => message).join('; ')}`)
  return parsed.spec
}

/** The commands to try, as they are printed: what it shows, and what to paste. */
export function commandsOf(fleet: Fleet, ports: Ports): readonly (readonly [shows: string, command: string])[] {
  const proxy = `http://localhost:${ports.proxy}/`
  const admin = ports.admin === ADMIN_PORT ? '' : `TURNOUT_ADMIN=http://127.0.0.1:${ports.admin} `
  const turnout = `${admin}npm run -s turnout --`
  const loop = (times: number): string => `for i in $(seq ${times}); do curl -s ${proxy}; done`
  const [green] = fleet.targets.green
  return [
    ['See which version answers', `curl -s ${proxy}`],
    ['Send only yourself to green, by a header', `curl -s -H 'x-internal: 1' ${proxy}`],
    ['Share the traffic by halves, and look', `${turnout} split demo blue=50 green=50 && ${loop(10)}`],
    [
      'Release a broken green, step by step: it goes back by itself after a few failed answers',
      `${turnout} switch demo blue && curl -s -X POST '${green}/break?share=0.3' && ${turnout} deploy demo --to green --watch; curl -s -X POST ${green}/mend`,
    ],
    ['Switch everyone to green, in one commit', `${turnout} switch demo green && ${loop(3)}`],
    ['Ask why a request goes where it goes', `${turnout} explain ${proxy} -H 'x-internal: 1'`],
    [
      'Kill green for 10 s: nobody notices, blue takes over',
      `curl -s -X POST ${green}/crash && ${loop(5)}; sleep 2; ${turnout} status`,
    ],
  ]
}

function welcome(fleet: Fleet, ports: Ports): string {
  const commands = commandsOf(fleet, ports).map(
    ([shows, command], index) => `  ${index + 1}. ${shows}\n     ${command}\n`,
  )
  return `Turnout is in front of a demo fleet.

  proxy   http://localhost:${ports.proxy}/
  admin   http://127.0.0.1:${ports.admin}/ (API, metrics)
  blue    1.0  ${fleet.targets.blue.join('  ')}
  green   1.1  ${fleet.targets.green.join('  ')}
  traffic ${REQUESTS_PER_SECOND} requests a second, while a rollout runs, so that there is something to judge

Worth trying, in another terminal, from this directory:

${commands.join('\n')}
Ctrl-C ends it all.
`
}
