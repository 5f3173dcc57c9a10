import { expect, test } from 'vitest'
import { openStore } from '../../src/store/open.ts'
import { describeStore, expectCode } from './contract.ts'

describeStore('the memory store', () => openStore('memory:'))

test('two memory stores share nothing', async () => {
  const [one, other] = [await openStore('memory:'), await openStore('memory:')]
  await one.put('key', 'value')
  expect(await other.get('key')).toBeNull()
})

test.each(['redis://127.0.0.1', 'rediss://127.0.0.1', 'sqlite:', 'mysql:x', ''])(
  'openStore refuses %j as invalid',
  async (url) => {
    await expectCode(openStore(url), 'invalid')
  },
)

test('openStore says that Redis comes later', async () => {
  await expect(openStore('redis://127.0.0.1')).rejects.toThrow('later version')
})
