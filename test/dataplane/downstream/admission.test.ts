/** The caps on client connections as counts: what is one address, what is counted for all workers, and what is given back. */
import { expect, test } from 'vitest'
import { Admission } from '../../../src/dataplane/downstream/admission.ts'
import { shedField } from '../../../src/metrics/counters.ts'
import { ADDRESS_CELLS, allocateSharedMemory, WORKER_FIELD } from '../../../src/metrics/layout.ts'

const CAPS = { connectionsMax: 4, connectionsPerAddressMax: 2 }

test('an address is the same however it is written, and of IPv6 the network counts', () => {
  const admission = new Admission(allocateSharedMemory(1), 0, CAPS, 'secret')
  const cell = (address: string) => admission.cellOf(address, false)
  expect(cell('::ffff:10.0.0.1')).toBe(cell('10.0.0.1'))
  expect(cell('2001:db8:1:2::1')).toBe(cell('2001:db8:1:2:ffff:ffff:ffff:ffff'))
  expect(cell('2001:db8:1:2::1')).not.toBe(cell('2001:db8:1:3::1'))
  expect(cell('10.0.0.2')).not.toBe(cell('10.0.0.1'))
})

test('nobody can tell which addresses share a count without the secret', () => {
  const memory = allocateSharedMemory(1)
  const cells = ['a', 'b', 'c'].map((secret) => new Admission(memory, 0, CAPS, secret).cellOf('10.0.0.1', false))
  expect(new Set(cells).size).toBe(3)
})

test('addresses are spread over the cells', () => {
  const admission = new Admission(allocateSharedMemory(1), 0, CAPS, 'secret')
  const cells = new Set<number>()
  for (let i = 0; i < 10_000; i++) cells.add(admission.cellOf(`10.1.${i >> 8}.${i & 255}`, false))
  for (const cell of cells) expect(cell).toBeLessThan(ADDRESS_CELLS)
  // By chance 10,000 of 65,536 fall into about 9,290 different ones.
  expect(cells.size).toBeGreaterThan(9_100)
})

test('the caps hold for the sum of all workers, and what leaves makes room', () => {
  const memory = allocateSharedMemory(2)
  const [one, two] = [0, 1].map((index) => new Admission(memory, index, CAPS, 'secret'))
  const [a, b, c] = ['10.0.0.1', '10.0.0.2', '10.0.0.3'].map((address) => one.cellOf(address, false))
  expect([one.admit(a), two.admit(a), one.admit(a), two.admit(a)]).toEqual([true, true, false, false])
  expect([two.admit(b), two.admit(b), two.admit(c)]).toEqual([true, true, false])
  expect(memory.lanes[shedField('connections_per_address')]).toBe(1)
  expect(memory.lanes[WORKER_FIELD.clientConnections]).toBe(1)
  one.leave(a)
  expect([two.admit(a), one.admit(c)]).toEqual([true, false])
})

test('a trusted proxy is counted in all only', () => {
  const admission = new Admission(allocateSharedMemory(1), 0, CAPS, 'secret')
  const cell = admission.cellOf('10.0.0.1', true)
  expect([1, 2, 3, 4, 5].map(() => admission.admit(cell))).toEqual([true, true, true, true, false])
  for (let i = 0; i < 1_000; i++) admission.note(cell, 1)
  expect(admission.isCrowding(cell, 10)).toBe(false)
})

test('an address crowds a target with more requests under way than it may have', () => {
  const admission = new Admission(allocateSharedMemory(1), 0, CAPS, 'secret')
  const cell = admission.cellOf('10.0.0.1', false)
  for (let i = 0; i < 10; i++) admission.note(cell, 1)
  expect(admission.isCrowding(cell, 10)).toBe(false)
  admission.note(cell, 1)
  expect(admission.isCrowding(cell, 10)).toBe(true)
  admission.note(cell, -1)
  expect(admission.isCrowding(cell, 10)).toBe(false)
})
