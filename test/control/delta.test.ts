/** What the workers are sent of a change: no more than what has changed. */
import { expect, test } from 'vitest'
import { BLUE, shop, startControl } from './stand-in.ts'

const rules = [{ name: 'staff', when: { header: { 'x-staff': '1' } }, to: 'green' }]

/** Control with a shop, and what the last change sent of its plan. */
async function start() {
  const started = await startControl()
  await started.make({ kind: 'service.put', service: 'shop', spec: shop({ rules }) })
  const sent = () => {
    const change = started.deltas.at(-1)!.services['shop']!
    expect(change.status).toBe(started.control.snapshot().status['shop'])
    return change.plan
  }
  return { ...started, sent }
}

test('of a new service, the whole plan', async () => {
  const { sent } = await start()
  expect(sent()).toMatchObject({
    name: 'shop',
    routes: [{ host: 'shop.test' }],
    rules: [{ name: 'staff' }],
    weights: { blue: 100 },
  })
})

test('of a split, the weights alone; of a state or of health, nothing of the plan', async () => {
  const { make, control, sent } = await start()
  await make({ kind: 'split', service: 'shop', weights: { blue: 1, green: 1 } })
  expect(sent()).toEqual({ weights: { blue: 1, green: 1 } })
  await make({ kind: 'pool.state', service: 'shop', pool: 'green', state: 'maint' })
  expect(sent()).toEqual({})
  await control.observe([{ service: 'shop', pool: 'blue', target: BLUE, health: 'healthy' }])
  expect(sent()).toEqual({})
})

test('of a service that is put anew, what reads otherwise, though all of it is new', async () => {
  const { make, sent } = await start()
  await make({
    kind: 'service.put',
    service: 'shop',
    spec: { ...structuredClone(shop({ rules })), debugHeaders: true },
  })
  expect(sent()).toEqual({ debugHeaders: true })
  await make({ kind: 'rules', service: 'shop', rules: [] })
  expect(sent()).toEqual({ rules: [] })
})

test('of a service that was away, the whole plan again', async () => {
  const { make, deltas, sent } = await start()
  await make({ kind: 'service.delete', service: 'shop' })
  expect(deltas.at(-1)!.services).toEqual({ shop: null })
  await make({ kind: 'service.put', service: 'shop', spec: shop() })
  expect(sent()).toMatchObject({ name: 'shop', rules: [] })
})
