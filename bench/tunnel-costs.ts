/**
 * What it costs that tunnels can be moved, for `bench/tunnels.ts`: memory of idle ones, and CPU per megabyte of what flows, with `drain.tunnels`
 * and with `tunnels: false`; one worker, on one core, load and targets on the other.
 */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Held } from './idle-clients.ts'
import { say } from './options.ts'
import { startTurnout } from './peers/turnout.ts'
import { startProbed } from './probed.ts'
import { cpuMicros, firstLine, LOAD_CORE, PROXY_CORE, residentBytes, startChild, waitForPort } from './process.ts'
import { ROOM, startTunnelTargets } from './tunnel-move.ts'

export const FLOWS = 8
export const FRAMES = [100, 16_000] as const
const WARM_MS = 1_000
export const KINDS = ['moved', 'not moved'] as const
export type Kind = (typeof KINDS)[number]
const serviceOf = (kind: Kind) => ({ drain: { tunnels: kind === 'moved' ? { over: '10s' } : false } })
const scriptOf = (name: string) => fileURLToPath(new URL(`./${name}.ts`, import.meta.url))

export interface Idle {
  readonly held: number
  /** Bytes of a tunnel, resident and in the worker's heap. */
  readonly resident: number
  readonly heap: number
}

interface Flow {
  readonly megabytesPerSecond: number
  /** CPU µs of a megabyte. */
  readonly cpu: number
}

/** By octets of payload in a frame, and by kind. */
type Flows = ReadonlyMap<number, ReadonlyMap<Kind, readonly Flow[]>>

/** Runs with a Turnout of one worker, and targets, that end with it. */
async function withFolder<T>(
  run: (config: { blue: number; green: number; folder: string; core: number }) => Promise<T>,
) {
  const folder = mkdtempSync(join(tmpdir(), 'turnout-bench-'))
  const { blue, green, stop } = await startTunnelTargets(LOAD_CORE)
  try {
    return await run({ blue, green, folder, core: PROXY_CORE })
  } finally {
    await stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** So many idle tunnels of a kind. */
export const measureIdle = (kind: Kind, tunnels: number): Promise<Idle> =>
  withFolder(async (config) => {
    const proxy = await startProbed(config, { weights: { blue: 1, green: 0 }, service: serviceOf(kind), process: ROOM })
    const hold = async (count: number) => {
      const words = [proxy.port, count, 'tunnel'].map(String)
      const holder = startChild([process.execPath, scriptOf('idle-clients'), ...words], { core: LOAD_CORE })
      const held: Held = JSON.parse(await firstLine(holder))
      if (held.failure !== null) say(`${kind}: ${held.failure}`)
      return { held: held.held, stop: holder.stop }
    }
    const memory = async () => {
      const { heapUsed } = (await proxy.ask('collect')).at(-1)!
      return { heapUsed, resident: residentBytes(proxy.pid) ?? Number.NaN }
    }
    try {
      // Some that come and go, so that code and pools of memory are there.
      await (await hold(Math.min(500, tunnels))).stop()
      await sleep(WARM_MS)
      const before = await memory()
      const { held, stop } = await hold(tunnels)
      const after = await memory()
      await stop()
      const each = (part: 'resident' | 'heapUsed') => (after[part] - before[part]) / held
      return { held, resident: each('resident'), heap: each('heapUsed') }
    } finally {
      await proxy.stop()
    }
  })

/**
 * What flows with and without, in one proxy, whose service is set so by turns: two processes of the same kind differ by more than the kinds do.
 * As many pairs for each size of frame; each kind comes first as often as second.
 */
export const measureFlows = (pairs: number, seconds: number): Promise<Flows> =>
  withFolder(async (config) => {
    const proxy = await startTurnout(config, { weights: { blue: 1, green: 0 }, process: ROOM })
    // Clients are served before the admin API is there.
    await waitForPort(proxy.adminPort, proxy.child)
    const measured = new Map(FRAMES.map((frame) => [frame, new Map(KINDS.map((kind) => [kind, [] as Flow[]]))]))
    try {
      // One pair more than is asked for: in the first, code is still being compiled.
      for (let pair = -1; pair < pairs; pair++) {
        for (const frame of FRAMES) {
          for (const kind of pair % 2 === 0 ? KINDS : KINDS.toReversed()) {
            await setService(proxy.adminPort, serviceOf(kind))
            const flow = await measureFlow(proxy, frame, seconds)
            if (pair >= 0) measured.get(frame)!.get(kind)!.push(flow)
            const [rate, cpu] = [Math.round(flow.megabytesPerSecond), Math.round(flow.cpu)]
            say(`${kind} ${pair + 1}/${pairs}, frames of ${frame}: ${rate} MB/s, ${cpu} µs/MB`)
          }
        }
      }
      return measured
    } finally {
      await proxy.stop()
    }
  })

async function setService(adminPort: number, patch: object): Promise<void> {
  const answer = await fetch(`http://127.0.0.1:${adminPort}/v1/services/shop`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/merge-patch+json' },
    body: JSON.stringify(patch),
  })
  if (!answer.ok) throw new Error(`the service is not changed: ${answer.status} ${await answer.text()}`)
}

async function measureFlow(proxy: { port: number; pid: number }, frame: number, seconds: number): Promise<Flow> {
  const words = [proxy.port, frame, FLOWS].map(String)
  const receiver = startChild([process.execPath, scriptOf('tunnel-flow'), ...words], {
    core: LOAD_CORE,
    messages: true,
  })
  const look = async () => {
    receiver.process.send('look')
    const [bytes] = (await once(receiver.process, 'message')) as [number]
    if (bytes <= 0) throw new Error('nothing flows')
    return { bytes, cpu: cpuMicros(proxy.pid) ?? Number.NaN, ms: performance.now() }
  }
  try {
    await sleep(WARM_MS)
    const before = await look()
    await sleep(seconds * 1_000)
    const after = await look()
    const megabytes = (after.bytes - before.bytes) / 1e6
    return {
      megabytesPerSecond: (megabytes * 1_000) / (after.ms - before.ms),
      cpu: (after.cpu - before.cpu) / megabytes,
    }
  } finally {
    await receiver.stop()
  }
}
