/** What the targets of a rollout are asked again, while it runs and before its end. */
import { lookup } from 'node:dns'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import type { AnswerSpec } from '../../src/config/schema-gates.ts'
import { Asker } from '../../src/rollout/gates/asker.ts'
import type { About, Means } from '../../src/rollout/gates/gate.ts'
import { GateLog } from '../../src/rollout/gates/gate-log.ts'
import { StillVersion, stillVersion } from '../../src/rollout/gates/still-version.ts'
import { startUpstream } from '../helpers/upstream.ts'
import { makePlan, makeStatus } from '../table/make.ts'

const never = new AbortController().signal

/** A rollout to green, of one target that answers this. Its pauses end at once, and are long by its own time. */
async function startRollout(answer: string, asked: AnswerSpec) {
  const { url } = await startUpstream((request, response) => {
    request.resume()
    response.end(answer)
  })
  const plan = makePlan({ pools: [{ name: 'green', version: '2.0', targets: [url] }], weights: { green: 1 } })
  const status = makeStatus(plan)
  const asker = new Asker(lookup)
  onTestFinished(() => asker.close())
  let nowMs = 0
  const pause = async () => {
    nowMs += 20_000
  }
  const means = { asker, pause, steadyMs: () => nowMs } as Partial<Means> as Means
  const about = {
    rollout: { to: 'green', state: 'shifting', plan: { batches: null } },
    spec: { announces: asked },
    version: '2.0',
    targets: {},
    status: () => status,
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
