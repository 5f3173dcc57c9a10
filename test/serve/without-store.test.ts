/** What a start leaves for later while its store is away is in the log once it has come to nothing. */
import pino from 'pino'
import { expect, test, vi } from 'vitest'
import type { ControlEvent } from '../../src/change.ts'
import { TurnoutError } from '../../src/errors.ts'
import { startFile } from '../../src/serve/without-store.ts'

test('a file that is refused once the store is back is told in the log, with each fault', async () => {
  const said: string[] = []
  const log = pino({ level: 'info' }, { write: (line: string) => void said.push(line) })
  let tell = (_event: ControlEvent): void => expect.unreachable('nobody listens')
  const control = {
    subscribe(listener: typeof tell) {
      tell = listener
      return () => {}
    },
  }
  const refused = new TurnoutError('invalid', 'no', [{ pointer: '/services/shop', message: 'is no good' }])
  const file = {
    start: () => Promise.reject(new TurnoutError('store_unavailable')),
    startLate: () => Promise.reject(refused),
  }
  const store = { local: { told: () => ({ serves: true }) } }
  await startFile(file as never, {}, { store, control, log } as never)
  expect(said).toEqual([expect.stringContaining('it is applied once the store is back')])
  const event = { id: 1, atMs: 0, type: 'store', service: null, message: '' } as const
  tell({ ...event, data: { away: true } })
  tell({ ...event, data: { away: false } })
  await vi.waitFor(() => expect(said).toHaveLength(2))
  const { level, msg } = JSON.parse(said[1]) as { level: number; msg: string }
  expect(level).toBe(50)
  expect(msg).toMatch(/^the config file was not applied:\n/)
  expect(msg).toContain('/services/shop: is no good')
})
