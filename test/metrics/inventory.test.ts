/** What of a fleet is put together for a scrape, and what is only shown again. */
import { expect, test } from 'vitest'
import { readScrape } from '../../src/metrics/families.ts'
import { Inventory } from '../../src/metrics/inventory.ts'
import { allocateSharedMemory } from '../../src/metrics/layout.ts'
import { UNCOUNTED } from '../../src/metrics/summary.ts'
import { movableClock } from '../admin/stand-in.ts'
import { add, snapshotOf } from './stand-in.ts'

const SHOP = { blue: ['http://a:1', 'http://b:1'], green: ['http://c:1'] }

test('a service that has not changed has the very same pools and labels in the next scrape, whatever has become of others', () => {
  const inventory = new Inventory()
  const first = snapshotOf({ shop: SHOP, cart: SHOP })
  const before = inventory.pools(first)
  expect(before.map(({ labels }) => `${labels.service} ${labels.pool} ${labels.version}`)).toEqual([
    'shop blue 1.0',
    'shop green 1.0',
    'cart blue 1.0',
    'cart green 1.0',
  ])
  expect(before[0].targets.map(({ labels }) => labels.target)).toEqual(['a:1', 'b:1'])
  const cart = { ...first.status['cart'] }
  const after = inventory.pools({ ...first, status: { ...first.status, cart } })
  expect(after.slice(0, 2).every((pool, n) => pool === before[n])).toBe(true)
  expect(after.slice(2).some((pool, n) => pool === before[n + 2])).toBe(false)
  const shop = { ...first.services['shop'] }
  expect(inventory.pools({ ...first, services: { ...first.services, shop } })[0]).not.toBe(before[0])
  const { shop: _gone, ...services } = first.services
  expect(inventory.pools({ ...first, services }).map(({ service }) => service)).toEqual(['cart', 'cart'])
})

test('of a target that nothing was counted of nothing is summed up', () => {
  const memory = allocateSharedMemory(2)
  const snapshot = snapshotOf({ shop: SHOP })
  add(memory, 1, 1, 'requests', 3)
  const { targets, moved } = readScrape(snapshot, new Inventory().pools(snapshot), memory, movableClock())
  expect(targets.map(({ tally }) => tally === UNCOUNTED)).toEqual([true, false, true])
  expect(moved).toEqual([targets[1]])
})
