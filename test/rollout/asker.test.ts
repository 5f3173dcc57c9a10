/** How long whoever asks for a rollout waits for an answer, and what it does where it cannot ask. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { lookup } from 'node:dns'
import { realpathSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import { expect, onTestFinished, test, vi } from 'vitest'
import { Asker } from '../../src/rollout/gates/asker.ts'
import { startUpstream } from '../helpers/upstream.ts'

const require = createRequire(import.meta.url)
/** Moves the timers of undici, by ms, and nothing else: they go by a clock of their own. Where they are a link, Vitest has followed it. */
const { tick }: { tick(ms: number): void } = require(realpathSync(require.resolve('undici/lib/util/timers.js')))
function passTenMinutes(): void {
  // One that is new begins to count with its first tick.
  tick(1_000)
  tick(600_000)
}

const never = new AbortController().signal

function makeAsker(): Asker {
  const asker = new Asker(lookup)
  onTestFinished(() => asker.close())
  return asker
}

test.each<[string, (asker: Asker, url: string) => Promise<unknown>, unknown]>([
  ['hook', (asker, url) => asker.post(url, '{}', {}, never), 200],
  [
    'target',
    (asker, url) => {
      const address = { address: '127.0.0.1', alternate: null }
      return asker.getAt({ url, address }, '/', 3_600_000, never, {})
    },
    { status: 200, body: 'well' },
  ],
])('a %s that answers after ten minutes, and is through after ten more, has answered', async (_who, ask, answer) => {
  const { promise: heard, resolve: hear } = Promise.withResolvers<ServerResponse>()
  const { url } = await startUpstream((request, response) => {
    request.resume()
    hear(response)
  })
  const { promise: begun, resolve: begin } = Promise.withResolvers<unknown>()
  subscribe('undici:request:headers', begin)
  onTestFinished(() => void unsubscribe('undici:request:headers', begin))
  const asked = ask(makeAsker(), url)
  const response = await heard
  passTenMinutes()
  response.flushHeaders()
  await Promise.race([begun, asked])
  passTenMinutes()
  response.end('well')
  expect(await asked).toEqual(answer)
})

test('one that cannot load what it asks with tries again when it is asked again, and can be closed', async () => {
  vi.doMock('undici', () => {
    throw new Error('too many open files')
  })
  onTestFinished(() => void vi.doUnmock('undici'))
  const { url } = await startUpstream((_request, response) => response.end('well'))
  const [asker, closed] = [makeAsker(), makeAsker()]
  const get = (by: Asker) => by.get(new URL(url), 60_000, never)
  await expect(get(asker)).rejects.toThrow()
  const failed = expect(get(closed)).rejects.toThrow()
  await closed.close()
  await failed
  vi.doUnmock('undici')
  expect(await get(asker)).toEqual({ status: 200, body: 'well' })
})
