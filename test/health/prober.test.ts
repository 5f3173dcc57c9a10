import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { Counters } from '../../src/dataplane/counters.ts'
import { createHealth } from '../../src/health/health.ts'
import { createProber, PROBES } from '../../src/health/prober.ts'
import { allocateSharedMemory } from '../../src/metrics/layout.ts'
import type { Address } from '../../src/names/address.ts'
import { fakeControl, healthPlan, json, refusingUrl, standingClock, startTarget } from './stand-in.ts'

const ok = json({ status: 'ok' })
const broken = json({ status: 'broken' }, 500)

function start(fake: ReturnType<typeof fakeControl>, clock = systemClock, memory = allocateSharedMemory(2)) {
  const health = createHealth({ control: fake.control, clock, memory, random: Math.random })
  onTestFinished(() => health.stop())
  return { health, memory }
}

const eventually = (check: () => void) => vi.waitFor(check, { timeout: 5000, interval: 5 })

describe('active probes', () => {
  it('find a healthy, a failing and a refusing target, and tell each change once', async () => {
    const up = await startTarget(ok)
    const down = await startTarget(broken)
    const refusing = await refusingUrl()
    const fake = fakeControl({ shop: { health: healthPlan(), targets: [up.url, down.url, refusing] } })
    start(fake)
    await eventually(() => {
      expect(fake.target('shop', up.url).health).toBe('healthy')
      expect(fake.target('shop', down.url).health).toBe('unhealthy')
      expect(fake.target('shop', refusing).health).toBe('unhealthy')
    })
    const requests = up.seen.requests
    await eventually(() => expect(up.seen.requests).toBeGreaterThan(requests + 3))
    expect(fake.batches.flat()).toHaveLength(3)
    expect(fake.batches.flat().find(({ target }) => target === down.url)?.detail).toBe('GET /health answered 500')
  })

  it('go to an address that a name has got, and to one that has gone no more, though no event tells of either', async () => {
    const [one, two] = [await startTarget(ok), await startTarget(ok)]
    const place = ({ url }: { url: string }): Address => {
      const port = Number(new URL(url).port)
      const srv = { host: 'a.test', ip: '127.0.0.1', port, weight: 1 }
      return { address: `127.0.0.1:${port}`, alternate: null, srv }
    }
    const url = 'srv+http://_web._tcp.test'
    const fake = fakeControl({ shop: { health: healthPlan(), targets: [url] } })
    fake.setAddresses('shop', url, [place(one)])
    start(fake)
    await eventually(() => expect(fake.target('shop', url).health).toBe('healthy'))
    fake.setAddresses('shop', url, [place(two)])
    await eventually(() => expect(fake.target('shop', url).addresses).toMatchObject([{ health: 'healthy' }]))
    const requests = one.seen.requests
    const later = two.seen.requests
    await eventually(() => expect(two.seen.requests).toBeGreaterThan(later + 3))
    expect(one.seen.requests).toBe(requests)
  })

  it('begin at once where there are few, and spread over half a second where there are many', () => {
    const targets = Array.from({ length: 200 }, (_, n) => `http://127.0.0.1:${n + 1}`)
    const first = (count: number) => {
      const { control } = fakeControl({
        shop: { health: healthPlan({ intervalMs: 1000 }), targets: targets.slice(0, count) },
      })
      const delays: number[] = []
      const after = (delayMs: number) => {
        delays.push(delayMs)
        return () => {}
      }
      const clock = { ...systemClock, after }
      createProber({ control, clock, random: () => 1 }, { add() {}, settled: async () => {} }).sync()
      return delays
    }
    expect(first(2)).toEqual([5, 10])
    const many = first(200)
    expect([many.length, many[99], Math.max(...many)]).toEqual([200, 500, 500])
  })

  it('have all been made once, when that is waited for, whatever they said', async () => {
    const up = await startTarget(ok)
    const refusing = await refusingUrl()
    const fake = fakeControl({ shop: { health: healthPlan({ healthyAfter: 1 }), targets: [up.url, refusing] } })
    const { health } = start(fake)
    await health.probed()
    expect(up.seen.requests).toBeGreaterThan(0)
    expect(fake.target('shop', up.url).health).toBe('healthy')
    // And of nobody.
    await start(fakeControl({})).health.probed()
  })

  it('see a target go down and come back', async () => {
    const target = await startTarget(ok)
    const fake = fakeControl({ shop: { health: healthPlan(), targets: [target.url] } })
    start(fake)
    await eventually(() => expect(fake.target('shop', target.url).health).toBe('healthy'))
    target.answerWith(broken)
    await eventually(() => expect(fake.target('shop', target.url).health).toBe('unhealthy'))
    target.answerWith(ok)
    await eventually(() => expect(fake.target('shop', target.url).health).toBe('healthy'))
  })

  it('see a target that hangs within unhealthyAfter intervals', async () => {
    const target = await startTarget(ok)
    const plan = healthPlan({ intervalMs: 300, timeoutMs: 100 })
    const fake = fakeControl({ shop: { health: plan, targets: [target.url] } })
    start(fake)
    await eventually(() => expect(fake.target('shop', target.url).health).toBe('healthy'))
    const requests = target.seen.requests
    await eventually(() => expect(target.seen.requests).toBe(requests + 1))
    target.answerWith(() => {})
    const startedMs = performance.now()
    await eventually(() => expect(fake.target('shop', target.url).health).toBe('unhealthy'))
    // The exact bound is a law of state.ts; here timers may be late by an interval on a busy machine.
    expect(performance.now() - startedMs).toBeLessThan((plan.unhealthyAfter + 1) * plan.intervalMs)
  })

  it('do not believe the first passes of a target that was known to be unhealthy', async () => {
    const target = await startTarget(ok)
    const fake = fakeControl({ shop: { health: healthPlan({ healthyAfter: 5 }), targets: [target.url] } })
    fake.setHealth('shop', target.url, 'unhealthy')
    start(fake)
    await eventually(() => expect(fake.target('shop', target.url).health).toBe('healthy'))
    expect(target.seen.requests).toBeGreaterThanOrEqual(5)
  })

  it('leave out maint targets and pools, but not standby and draining ones', async () => {
    const targets = await Promise.all([0, 1, 2].map(() => startTarget(ok)))
    const [maint, standby, drain] = targets
    const fake = fakeControl({ shop: { health: healthPlan(), targets: targets.map(({ url }) => url) } })
    fake.setAdmin('shop', maint.url, 'maint')
    fake.setAdmin('shop', standby.url, 'standby')
    fake.setAdmin('shop', drain.url, 'drain')
    start(fake)
    await eventually(() => expect(Math.min(standby.seen.requests, drain.seen.requests)).toBeGreaterThan(3))
    expect(maint.seen.requests).toBe(0)
    fake.setAdmin('shop', maint.url, 'ready')
    await eventually(() => expect(fake.target('shop', maint.url).health).toBe('healthy'))
    fake.setPoolAdmin('shop', 'maint')
    await eventually(() => expect(standby.sockets.size).toBe(0))
  })

  it('follow the spec: new targets are probed, gone ones are not, unchanged ones keep their state', async () => {
    const kept = await startTarget(ok)
    const gone = await startTarget(ok)
    const added = await startTarget(ok)
    const health = healthPlan()
    const fake = fakeControl({ shop: { health, targets: [kept.url, gone.url] } })
    start(fake)
    await eventually(() => expect(fake.target('shop', gone.url).health).toBe('healthy'))
    await eventually(() => expect(fake.target('shop', kept.url).health).toBe('healthy'))
    fake.set({ shop: { health, targets: [kept.url, added.url] } })
    await eventually(() => expect(fake.target('shop', added.url).health).toBe('healthy'))
    const requests = gone.seen.requests
    const [now, then] = [kept.seen.requests, kept.seen.requests + 4]
    await eventually(() => expect(kept.seen.requests).toBeGreaterThanOrEqual(then))
    expect(now).toBeGreaterThan(0)
    expect(gone.seen.requests).toBe(requests)
    expect(fake.batches.flat().filter(({ target }) => target === kept.url)).toHaveLength(1)
  })

  it('take up a changed plan at once', async () => {
    const target = await startTarget(json({ version: '1.1' }))
    const slow = healthPlan({ intervalMs: 3_600_000 })
    const fake = fakeControl({ shop: { health: slow, targets: [target.url] } })
    start(fake)
    await eventually(() => expect(fake.target('shop', target.url).health).toBe('healthy'))
    const strict = healthPlan({ expectVersion: 'version' })
    fake.set({ shop: { health: strict, version: '1.0', targets: [target.url] } })
    await eventually(() => expect(fake.target('shop', target.url).health).toBe('unhealthy'))
    fake.set({ shop: { health: { ...strict, intervalMs: 41 }, version: '1.1', targets: [target.url] } })
    await eventually(() => expect(fake.target('shop', target.url).health).toBe('healthy'))
  })

  it('tell anew of who is as healthy as before once something else is asked, and only when that has passed', async () => {
    const target = await startTarget(json({ version: '1.0' }))
    const fake = fakeControl({ shop: { health: healthPlan(), targets: [target.url] } })
    start(fake)
    await eventually(() => expect(fake.target('shop', target.url).health).toBe('healthy'))
    const question = () => fake.target('shop', target.url).addresses[0].question
    const first = question()
    expect(first).toBeTypeOf('string')
    const rarely = healthPlan({ unhealthyAfter: 1_000, intervalMs: 30 })
    fake.set({ shop: { health: rarely, targets: [target.url] } })
    const requests = target.seen.requests
    await eventually(() => expect(target.seen.requests).toBeGreaterThan(requests + 2))
    expect(fake.batches.flat()).toHaveLength(1)
    const strict = { ...rarely, expectVersion: 'version' }
    fake.set({ shop: { health: strict, version: '2.0', targets: [target.url] } })
    const later = target.seen.requests
    await eventually(() => expect(target.seen.requests).toBeGreaterThan(later + 2))
    expect(fake.target('shop', target.url).health).toBe('healthy')
    expect(question()).toBe(first)
    target.answerWith(json({ version: '2.0' }))
    await eventually(() => expect(question()).not.toBe(first))
    expect(fake.batches.flat().map(({ health }) => health)).toEqual(['healthy', 'healthy'])
  })

  it('report again what control has refused', async () => {
    const target = await startTarget(ok)
    const fake = fakeControl({ shop: { health: healthPlan(), targets: [target.url] } })
    fake.refuse(true)
    start(fake)
    await eventually(() => expect(fake.batches.length).toBeGreaterThan(1))
    fake.refuse(false)
    await eventually(() => expect(fake.target('shop', target.url).health).toBe('healthy'))
  })

  it('do not let a crowd of hanging targets keep the others waiting', async () => {
    const hanging = await startTarget(() => {})
    const up = await startTarget(ok)
    const crowd = Object.fromEntries(
      Array.from({ length: PROBES.quickMax + 50 }, (_, index) => [
        `s${index}`,
        { health: healthPlan({ timeoutMs: 20_000 }), targets: [hanging.url] },
      ]),
    )
    const fake = fakeControl({ ...crowd, shop: { health: healthPlan(), targets: [up.url] } })
    start(fake)
    await eventually(() => expect(hanging.seen.requests).toBe(PROBES.quickMax + 50))
    const requests = up.seen.requests
    await eventually(() => expect(up.seen.requests).toBeGreaterThan(requests + 2))
  })

  it('end with everything that they opened', async () => {
    const target = await startTarget(() => {})
    const fake = fakeControl({ shop: { health: healthPlan({ timeoutMs: 60_000 }), targets: [target.url] } })
    const { health } = start(fake)
    await eventually(() => expect(target.seen.requests).toBe(1))
    await health.stop()
    expect(fake.listeners.size).toBe(0)
    await eventually(() => expect(target.sockets.size).toBe(0))
    expect(fake.batches).toEqual([])
  })
})

describe('the sweep over the counters', () => {
  const targets = ['http://127.0.0.1:1', 'http://127.0.0.1:2']

  it('ejects a target that fails in any worker, in a service without probes too', async () => {
    const fake = fakeControl({ shop: { health: null, targets } })
    const { clock, advance } = standingClock()
    const { health, memory } = start(fake, clock)
    const [one, other] = [new Counters(memory, 0), new Counters(memory, 1)]
    advance(500)
    one.countAttempt(0, 'failed', false)
    other.countAttempt(0, 'failed', false)
    other.countAttempt(0, 'failed', false)
    other.countAttempt(1, 'good', true)
    advance(500)
    const sweptAtMs = clock.nowMs()
    advance(1)
    await eventually(() => expect(fake.target('shop', targets[0]).ejectedUntilMs).toBe(sweptAtMs + 10_000))
    expect(fake.target('shop', targets[1]).ejectedUntilMs).toBe(0)
    expect(fake.batches).toHaveLength(1)
    advance(5000)
    await health.stop()
    expect(fake.batches).toHaveLength(1)
  })

  it('ejects at the first sweep after failures, however long nothing has happened before', async () => {
    const fake = fakeControl({ shop: { health: null, targets } })
    const { clock, advance } = standingClock()
    const { memory } = start(fake, clock)
    const worker = new Counters(memory, 1)
    // Beyond every window, and a while after the last sweep.
    advance(604_500)
    worker.countAttempt(1, 'good', true)
    for (let n = 0; n < 5; n++) worker.countAttempt(0, 'failed', true)
    advance(501)
    await eventually(() => expect(fake.target('shop', targets[0]).ejectedUntilMs).toBeGreaterThan(clock.nowMs()))
    expect(fake.target('shop', targets[1]).ejectedUntilMs).toBe(0)
  })

  it.each([
    ['three connections in a row that it could not open', false, 3],
    ['five failures in a row', true, 5],
  ])('does not wait for its time when a worker has seen %s', async (_, connected, failures) => {
    const fake = fakeControl({ shop: { health: null, targets } })
    const { clock, advance } = standingClock()
    const { memory } = start(fake, clock)
    advance(500)
    const worker = new Counters(memory, 1)
    for (let n = 0; n < 100; n++) worker.countAttempt(0, 'good', true)
    const startMs = clock.nowMs()
    for (let n = 0; n < failures; n++) worker.countAttempt(0, 'failed', connected)
    await eventually(() => {
      advance(1)
      expect(fake.target('shop', targets[0]).ejectedUntilMs).toBeGreaterThan(0)
    })
    expect(fake.target('shop', targets[0]).ejectedUntilMs).toBeLessThan(startMs + 10_000 + 500)
  })

  it('leaves no timer behind', async () => {
    const fake = fakeControl({ shop: { health: healthPlan(), targets } })
    const { clock, timers } = standingClock()
    const { health } = start(fake, clock)
    expect(timers()).toBe(3)
    await health.stop()
    expect(timers()).toBe(0)
  })
})
