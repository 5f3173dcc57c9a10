/** What a start leaves for later while its store is away is in the log once it has come to nothing. */
import pino from 'pino'
import { expect, test, vi } from 'vitest'
import type { ControlEvent } from '../../src/change.ts'
import { TurnoutError } from '../../src/errors.ts'
import { startFile, startRollouts, unseat } from '../../src/serve/without-store.ts'
import { movableClock } from '../admin/stand-in.ts'

/** A start with this file while the store is away; `back` says that it is not any more. */
async function startedAway(startLate: () => Promise<void>) {
  const said: string[] = []
  const log = pino({ level: 'info' }, { write: (line: string) => void said.push(line) })
  let tell = (_event: ControlEvent): void => expect.unreachable('nobody listens')
  const control = {
    subscribe(listener: typeof tell) {
      tell = listener
      return () => {}
    },
  }
  const clock = movableClock()
  const file = { start: () => Promise.reject(new TurnoutError('store_unavailable')), startLate }
  const store = { local: { told: () => ({ serves: true }) } }
  await startFile(file as never, {}, { store, control, clock, log } as never)
  expect(said).toEqual([expect.stringContaining('it is applied once the store is back')])
  const event = { id: 1, atMs: 0, type: 'store', service: null, message: '' } as const
  return { said, clock, away: (away: boolean) => tell({ ...event, data: { away } }) }
}

test('a file is applied once the store can be written, also where it can only be read when it is back', async () => {
  let tries = 0
  const { said, clock, away } = await startedAway(async () => {
    if (++tries < 3) throw new TurnoutError('store_unavailable')
  })
  away(false)
  expect(tries).toBe(1)
  await vi.waitFor(() => {
    clock.move(500)
    expect(tries).toBe(3)
  })
  expect(said).toHaveLength(1)
})

test('a file that is refused once the store is back is told in the log, with each fault', async () => {
  const refused = new TurnoutError('invalid', 'no', [{ pointer: '/services/shop', message: 'is no good' }])
  const { said, away } = await startedAway(() => Promise.reject(refused))
  away(true)
  away(false)
  await vi.waitFor(() => expect(said).toHaveLength(2))
  const { level, msg } = JSON.parse(said[1]) as { level: number; msg: string }
  expect(level).toBe(50)
  expect(msg).toMatch(/^the config file was not applied:\n/)
  expect(msg).toContain('/services/shop: is no good')
})

test.each([
  ['a bug', new TypeError('a bug'), 1],
  ['a store that is away, which control tells', new TurnoutError('store_unavailable'), 0],
])(
  'what keeps rollouts from being taken up (%s) is told once, and they are tried again',
  async (_what, error, lines) => {
    const said: object[] = []
    const log = { error: (...given: unknown[]) => void said.push(given) } as never
    const clock = movableClock()
    let tries = 0
    const seat = {
      start: () => Promise.reject(new TurnoutError('store_unavailable')),
      async reseat(between = async () => {}) {
        await between()
        if (++tries % 4 !== 0) throw error
      },
    }
    const tried = (count: number) =>
      vi.waitFor(() => {
        clock.move(500)
        expect(tries).toBe(count)
      })
    let dropped = 0
    void unseat(seat, { control: { disown: async () => {} }, clock, log }, () => void dropped++)
    await tried(4)
    expect([said.length, dropped]).toEqual([lines, 4])
    await startRollouts(seat, { store: { local: { told: () => ({ serves: true }) } as never }, clock, log })
    await tried(8)
    expect(said).toHaveLength(2 * lines)
  },
)
