import { expect, test } from 'vitest'
import { openStore } from '../../src/store/open.ts'
import { describeStore, expectCode } from './contract.ts'

describeStore('the memory store', () => openStore('memory:'))

test('two memory stores share nothing', async () => {
  const [one, other] = [await openStore('memory:'), await openStore('memory:')]
  await one.put('key', 'value')
  expect(await other.get('key')).toBeNull()
})

test.each(['redis://', 'redis:', 'rediss://a:b:c', 'sqlite:', 'mysql:x', ''])(
  'openStore refuses %j as invalid',
  async (url) => {
    await expectCode(openStore(url), 'invalid')
  },
)
