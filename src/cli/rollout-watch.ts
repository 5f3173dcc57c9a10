/**
 * Watches a rollout to its end: on a terminal as a block that is drawn in place (rollout-screen.ts), elsewhere as a line whenever something
 * has changed, and one a minute, since some CI systems end a job that says nothing for long.
 *
 * Ctrl-C ends the watching and nothing else; that is told, and the exit code is 1, for the release has not been seen to the end. While
 * the admin API is away, which a restart of Turnout makes it, it is waited for.
 */
import { isOver } from '../rollout/rollout.ts'
import { pathOf } from './admin.ts'
import { plain } from './columns.ts'
import { CliFailure, outOfReach } from './failure.ts'
import { pause } from './pause.ts'
import { Redraw, wrapped } from './redraw.ts'
import { type PoolsView, screenOf } from './rollout-screen.ts'
import { lineOf, type RolloutView } from './rollout-words.ts'
import type { Call } from './verb.ts'

const LOOK_MS = 500
const AWAY_MS_MAX = 30_000
const SILENCE_MS_MAX = 60_000

/** One try may take so long. */
const TRY_MS_MAX = 10_000

/** What one look has seen. */
interface Seen {
  readonly told: RolloutView
  /** null where nobody looks at it, and before the first look. */
  readonly status: PoolsView | null
}

/** Shows what was seen last, and why nothing newer is known. */
type Show = (seen: Seen, away: string | null) => void

/** Follows a rollout to its end; fails with 4 when it was rolled back. */
export async function watch(call: Call, begun: RolloutView): Promise<void> {
  const screen = call.isTerminal && !call.json ? new Redraw(call) : null
  const show = screen === null ? inLines(call) : onScreen(call, screen)
  let seen: Seen = { told: begun, status: null }
  for (;;) {
    show(seen, null)
    if (isOver(seen.told)) break
    await pause(call, LOOK_MS)
    const next = await look(call, seen, show)
    if (next === null) {
      screen?.leave()
      throw goesOn(seen.told)
    }
    seen = next
  }
  const { id, state, reason } = seen.told
  if (state === 'rolledBack') throw new CliFailure(4, `rollout ${id} was rolled back: ${reason}`)
}

const goesOn = ({ id, service }: RolloutView): CliFailure =>
  new CliFailure(1, `only the watching has ended; rollout ${id} of ${service} goes on.`, [
    `turnout rollout show ${service} --watch watches it again, turnout rollout abort ${service} takes it back.`,
  ])

/** What is seen next; waits while the API is away. null when the user has ended the watching. */
async function look(call: Call, seen: Seen, show: Show): Promise<Seen | null> {
  const { clock, signal } = call
  const untilMs = clock.monotonicMs() + AWAY_MS_MAX
  while (!signal.aborted) {
    const leftMs = untilMs - clock.monotonicMs()
    try {
      return await within(call, Math.max(1, Math.min(leftMs, TRY_MS_MAX)), see(call, seen.told))
    } catch (error) {
      if (!(error instanceof CliFailure) || error.exitCode !== 3 || clock.monotonicMs() >= untilMs) throw error
      show(seen, `${error.message} It is waited for, ${Math.ceil((untilMs - clock.monotonicMs()) / 1_000)} s more.`)
    }
    await pause(call, LOOK_MS)
  }
  return null
}

async function see({ admin, isTerminal, json }: Call, { service, id }: RolloutView): Promise<Seen> {
  const [told, status] = await Promise.all([
    admin.call<RolloutView>('GET', pathOf('services', service, 'rollouts', id)),
    isTerminal && !json ? admin.call<PoolsView>('GET', pathOf('services', service, 'status')) : null,
  ])
  return { told, status }
}

/** What comes within a time, or null when the user ends the verb before. */
function within<T>({ clock, signal, admin }: Call, limitMs: number, asked: Promise<T>): Promise<T | null> {
  return new Promise((resolve, reject) => {
    const end = (): void => resolve(null)
    const cancel = clock.after(limitMs, () => reject(outOfReach(admin.url, 'no answer in time')))
    signal.addEventListener('abort', end)
    asked.then(resolve, reject).finally(() => {
      cancel()
      signal.removeEventListener('abort', end)
    })
  })
}

function onScreen({ size, clock }: Call, screen: Redraw): Show {
  return ({ told, status }, away) => {
    const { columns } = size()
    const last = away ?? (isOver(told) ? null : 'Ctrl-C ends the watching, not the rollout.')
    const lines = screenOf(told, status, columns, clock.nowMs())
    screen.draw([...lines, ...(last === null ? [] : wrapped(last, columns - 1, '  '))])
  }
}

/** For what is no terminal: what has changed, and now and then that nothing has. */
function inLines(call: Call): Show {
  let last = ''
  let saidMs = 0
  let wasAway = false
  return ({ told }, away) => {
    if (away !== null && !wasAway) call.note(away)
    if (away === null && wasAway) call.note('The admin API is there again.')
    wasAway = away !== null
    if (away !== null) return
    const { state, weight, step, reason, verdict } = told
    const text = call.json ? JSON.stringify(told) : [state, weight, step, reason].join(' ')
    const nowMs = call.clock.monotonicMs()
    if (text === last && nowMs - saidMs < SILENCE_MS_MAX) return
    if (call.json) call.print(`${text}\n`)
    else call.print(`${plain(lineOf(told))}\n`)
    // What is told of a change says why it is; where there is none, the verdict says how far it is.
    if (!call.json && text === last && verdict !== null)
      call.print(`${plain(`  ${verdict.outcome}: ${verdict.sentence}`)}\n`)
    last = text
    saidMs = nowMs
  }
}
