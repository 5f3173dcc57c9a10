/** What the targets of a rollout are asked again, while it runs and before its end. */
import { lookup } from 'node:dns'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import type { AnswerSpec } from '../../src/config/schema-gates.ts'
import { Asker } from '../../src/rollout/gates/asker.ts'
import type { About, Means } from '../../src/rollout/gates/gate.ts'
import { GateLog } from '../../src/rollout/gates/gate-log.ts'
import { stillSame } from '../../src/rollout/gates/still-same.ts'
import { stillThere } from '../../src/rollout/gates/still-there.ts'
import { StillVersion, stillVersion } from '../../src/rollout/gates/still-version.ts'
import { startUpstream } from '../helpers/upstream.ts'
import { makePlan, makeStatus } from '../table/make.ts'

const never = new AbortController().signal

/**
 * A rollout to green, of one target that answers this, and some of weight 0 that are always well. Its pauses end at once, and are long by its
 * own time.
 */
async function startRollout(answer: string, asked: AnswerSpec, isOut = (_nowMs: number) => false, weightless = 0) {
  const start = () =>
    startUpstream((request, response) => {
      request.resume()
      response.end(answer)
    })
  const { url } = await start()
  const others = await Promise.all(Array.from({ length: weightless }, async () => (await start()).url))
  const green = { version: '2.0', targets: [url, ...others] }
  const plan = makePlan({ pools: [{ name: 'green', ...green }], weights: { green: 1 } })
  const [well, out] = [{}, { targets: { [url]: { health: 'unhealthy' } as const } }].map((options) =>
    makeStatus(plan, options),
  )
  const asker = new Asker(lookup)
  onTestFinished(() => asker.close())
  let nowMs = 0
  const pause = async () => {
    nowMs += 20_000
  }
  const means = { asker, pause, steadyMs: () => nowMs } as Partial<Means> as Means
  const about = {
    rollout: { to: 'green', state: 'shifting', plan: { batches: null } },
    spec: { announces: asked, fingerprint: asked },
    version: '2.0',
    targets: { spec: { pools: { green: { ...green, weights: Object.fromEntries(others.map((its) => [its, 0])) } } } },
    status: () => (isOut(nowMs) ? out : well),
    log: new GateLog([], () => nowMs),
  } as unknown as About
  return { url, about, means }
}

describe('a target whose version is nested too deep to be written', () => {
  const asked = { path: '/', json: 'version' }
  const start = () => startRollout(`{"version":${'{"0":'.repeat(100_000)}1${'}'.repeat(100_000)}}`, asked)

  test('has not answered, and the end says so', async () => {
    const { url, about, means } = await start()
    const why = `GET / of ${url}: field version of its answer is nested too deep`
    await expect(stillVersion(about, means, never)).rejects.toThrow(why)
  })

  test('says nothing while the rollout runs', async () => {
    const { about, means } = await start()
    const [asked, tell, tellBroken] = [vi.spyOn(means.asker, 'getAt'), vi.fn(), vi.fn()]
    const versions = new StillVersion(means, never, tell, tellBroken)
    await vi.waitUntil(() => {
      versions.look(() => about, about.rollout)
      void means.pause(500, never)
      // It is asked again once what it has answered is known.
      return asked.mock.calls.length > 1
    })
    expect([tell, tellBroken].flatMap(({ mock }) => mock.calls)).toEqual([])
  })
})

test('what keeps from asking for a version is told, and ends no process', async () => {
  const { about, means } = await startRollout('2.0', { path: '/', json: 7 as unknown as string })
  const [tell, tellBroken] = [vi.fn(), vi.fn()]
  new StillVersion(means, never, tell, tellBroken).look(() => about, about.rollout)
  await vi.waitFor(() => expect(tellBroken).toHaveBeenCalledExactlyOnceWith(expect.any(TypeError)))
  expect(tell).not.toHaveBeenCalled()
})

describe.each([
  ['the version', stillVersion, 'version', '1 targets of green still answer version 2.0'],
  ['the fingerprint', stillSame, 'drift', 'all 1 targets of green answer "2.0" at /'],
  ['somebody alone', stillThere, 'targets', '1 targets of green take requests again'],
])('while no target takes requests, %s', (_what, ask, gate, answer) => {
  test('is waited for before the end', async () => {
    const { about, means } = await startRollout('2.0', { path: '/' }, (nowMs) => nowMs < 30_000)
    await ask(about, means, never)
    expect(about.log.entries).toMatchObject([{ gate, state: 'passed', reason: answer, endedAtMs: 40_000 }])
  })

  test('is waited for too where one of weight 0 has those whom it had before', async () => {
    const { about, means } = await startRollout('2.0', { path: '/' }, (nowMs) => nowMs < 30_000, 1)
    await ask(about, means, never)
    expect(about.log.entries).toMatchObject([{ gate, state: 'passed', endedAtMs: 40_000 }])
  })

  test('is waited for no longer than a minute', async () => {
    const { about, means } = await startRollout('2.0', { path: '/' }, () => true)
    await expect(ask(about, means, never)).rejects.toThrow(/^no target of green takes requests of whoever is new$/)
    expect(about.log.entries).toMatchObject([{ gate, state: 'failed', endedAtMs: 60_000 }])
  })
})
