/** Metrics that are given from outside, beside real traffic: posted ones here. */
import { describe, expect, test } from 'vitest'
import type { ToldRollout } from '../../src/rollout/told.ts'
import { call, service, startProcess, type Proxy as TestProxy, temporaryFolder } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { current, ROLLOUTS, startAlike, turnout } from '../helpers/rollouts.ts'
import { startNamed } from '../helpers/upstream.ts'

const isOver = ({ state }: ToldRollout): boolean => state === 'done' || state === 'rolledBack'

const begin = (proxy: TestProxy, metrics: readonly object[], more: object = {}) => {
  const verdict = { margin: 0.2, metrics }
  return call(proxy, 'POST', ROLLOUTS, { to: 'green', steps: [50], keep: 20, bake: '100ms', verdict, ...more })
}

interface Posted {
  readonly counted: boolean
  readonly reason: string | null
}
const post = (proxy: TestProxy, body: object) => call<Posted>(proxy, 'POST', `${ROLLOUTS}/current/metrics`, body)

/** Posts for both pools again and again until the rollout is over. */
async function postUntilOver(proxy: TestProxy, greenBad: number): Promise<ToldRollout> {
  let told = await current(proxy)
  await until('it is over', async () => {
    for (const [pool, bad] of [
      ['green', greenBad],
      ['blue', 2],
    ] as const) {
      await post(proxy, { name: 'conversion', pool, good: 40 - bad, bad }).catch((error: unknown) => {
        if (!String(error).includes('is over')) throw error
      })
    }
    told = await current(proxy)
    return isOver(told)
  })
  return told
}

describe('counts that are posted', () => {
  test('send a version back that is worse by them, however well it answers', async () => {
    const proxy = await startAlike()
    await begin(proxy, [{ name: 'conversion' }])
    const told = await postUntilOver(proxy, 30)
    expect(told.state).toBe('rolledBack')
    expect(told.reason).toMatch(
      /^\d+ of \d+ of green were bad by conversion, \d+ of \d+ of blue: of equal versions fewer than 1 in 1,000/,
    )
    const [metric] = told.verdict!.metrics
    expect(metric).toMatchObject({ name: 'conversion', evidence: 1, lastError: null })
    expect(metric.canary!.bad).toBeGreaterThan(metric.control!.bad)
    const { out } = await turnout(proxy, 'rollout', 'show', 'shop')
    expect(out).toMatch(/^ {2}conversion: green \d+ bad of \d+, blue \d+ of \d+; worse$/m)
    await expect(post(proxy, { name: 'conversion', pool: 'green', good: 1, bad: 0 })).rejects.toThrow(/409.*is over/)
  })

  test('let a version pass that is equal by them', async () => {
    const proxy = await startAlike()
    await begin(proxy, [{ name: 'conversion' }])
    expect(await postUntilOver(proxy, 2)).toMatchObject({ state: 'done', reason: null })
  })

  test('are waited for in every step, unless the metric is optional', async () => {
    const waits = await startAlike()
    await begin(waits, [{ name: 'conversion' }])
    const isMissing = async () => (await current(waits)).verdict?.metric === 'conversion'
    await until('all but the metric has passed', isMissing)
    expect(await current(waits)).toMatchObject({
      state: 'shifting',
      weight: 50,
      verdict: {
        outcome: 'insufficient',
        sentence: 'too little for a verdict on conversion: 0 of 0 of green were bad by conversion, 0 of 0 of blue',
      },
    })
    const impatient = await startAlike()
    const patience = { insufficientAfter: '3s', onInsufficient: 'rollback' }
    await begin(impatient, [{ name: 'conversion' }], patience)
    await until('it is over', async () => isOver(await current(impatient)))
    // On a busy machine three seconds may be too short for the latency as well, which is told first.
    const { reason } = await current(impatient)
    expect(reason).toMatch(/^no verdict in time: (too little for a verdict on conversion|no difference so far)/)
    const goes = await startAlike()
    await begin(goes, [{ name: 'conversion', optional: true }])
    await until('it is done', async () => (await current(goes)).state === 'done')
  })
})

test('what cannot be posted is refused, and says why', async () => {
  const proxy = await startAlike()
  await expect(post(proxy, { name: 'conversion', pool: 'green', good: 1, bad: 0 })).rejects.toThrow(/404.*no rollout/)
  const twice = begin(proxy, [{ name: 'a' }, { name: 'a' }])
  await expect(twice).rejects.toThrow(/422.*\/verdict\/metrics\/1\/name.*another metric has the name/)
  await begin(proxy, [{ name: 'conversion' }], { steps: [{ weight: 50, until: 'promoted', for: '1h' }] })
  const good = { name: 'conversion', pool: 'green', good: 1, bad: 0 }
  for (const [wrong, fault] of [
    [{ ...good, name: 'conversions' }, /422.*\/name.*did you mean \\"conversion\\"/],
    [{ ...good, name: 'zzz' }, /422.*known here: conversion/],
    [{ ...good, pool: 'grey' }, /422.*\/pool.*compares green with blue, not/],
    [{ ...good, bad: -1 }, /422.*\/bad.*at least 0/],
    [{ ...good, good: 1.5 }, /422.*\/good.*a whole number/],
    [{ ...good, good: 1e12 }, /422.*\/good.*at most/],
    [{ ...good, over: 'long' }, /422.*\/over.*duration/],
    [{ ...good, more: 1 }, /422.*unknown key/],
    [{ name: 'conversion', pool: 'green', good: 1 }, /422.*missing key \\"bad\\"/],
    [7, /422|400/],
  ] as const) {
    await expect(post(proxy, wrong as object)).rejects.toThrow(fault)
  }
  const keyed = (key: string, body: object) =>
    fetch(`${proxy.admin}${ROLLOUTS}/current/metrics`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': key },
      body: JSON.stringify(body),
    })
  expect((await keyed('a b', good)).status).toBe(400)
  expect((await keyed('one', good)).status).toBe(200)
  expect((await keyed('one', good)).status).toBe(200)
  expect((await keyed('one', { ...good, good: 2 })).status).toBe(409)
})

test('after kill -9 what is posted counts again, and a post that is sent once more does not count twice', async () => {
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const shop = service({ blue: [blue.url], green: [green.url] }, { sticky: false, visitor: [] })
  const folder = temporaryFolder()
  const serve = () => startProcess({ store: 'sqlite:./turnout.db', services: { shop } }, folder)
  const send = async (proxy: TestProxy, pool: string, key: string) => {
    const response = await fetch(`${proxy.admin}${ROLLOUTS}/current/metrics`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': key },
      body: JSON.stringify({ name: 'conversion', pool, good: 40, bad: 2 }),
    })
    return ((await response.json()) as Posted).counted
  }
  const first = await serve()
  await begin(first, [{ name: 'conversion' }], { steps: [{ weight: 50, until: 'promoted', for: '1h' }] })
  await until('the first step is there', async () => (await current(first)).weight === 50)
  expect([await send(first, 'green', 'a'), await send(first, 'blue', 'a2')]).toEqual([false, false])
  await until('green counts', async () => {
    await send(first, 'blue', String(Math.random()))
    return send(first, 'green', String(Math.random()))
  })
  expect(await send(first, 'green', 'b')).toBe(true)
  first.child.kill('SIGKILL')
  await first.exited()
  const second = await serve()
  expect([await send(second, 'green', 'b'), await send(second, 'blue', 'c')]).toEqual([false, false])
  await until('both sides have counts', async () => {
    const key = String(Math.random())
    for (const pool of ['green', 'blue']) await send(second, pool, `${pool}${key}`)
    const [metric] = (await current(second)).verdict!.metrics
    return metric.canary!.all > 0 && metric.control!.all > 0
  })
})
