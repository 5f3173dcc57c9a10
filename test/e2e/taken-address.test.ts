/** Starting where somebody else listens already: refused, and the other is left alone. */
import { expect, test } from 'vitest'
import { service, startProxy } from '../helpers/proxy.ts'
import { startNamed } from '../helpers/upstream.ts'

test.each([1, 2])(
  'with %i workers each, a second proxy on the same address is refused, and the first serves on',
  async (workers) => {
    const [mine, other] = [await startNamed('mine'), await startNamed('other')]
    const first = await startProxy({ workers, services: { shop: service({ blue: [mine.url] }) } })
    const listeners = [{ address: `127.0.0.1:${first.port}` }]
    const second = startProxy({ workers, listeners, services: { shop: service({ blue: [other.url] }) } })
    await expect(second).rejects.toMatchObject({ code: 'EADDRINUSE' })
    for (let i = 0; i < 20; i++) {
      const answer = await fetch(first.url, { headers: { connection: 'close' } })
      expect(await answer.text()).toBe('mine')
    }
  },
)
