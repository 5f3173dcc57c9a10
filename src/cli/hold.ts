/**
 * `hold` and `release`: the requests of a service wait in order, and go on.
 *
 * A hold ends by itself, so a script that dies between the two leaves nobody waiting for good.
 */
import { pathOf } from './admin.ts'
import { secondsLeft } from './columns.ts'
import { usageFailure } from './failure.ts'
import { CHANGE, insisting } from './insist.ts'
import { type Outcome, printOutcome } from './outcome.ts'
import { type Call, durationGiven, type Verb, wholeNumber } from './verb.ts'

/** Which requests wait, and how many: of `hold`, and of `switch --hold`. */
export const WAITING = {
  options: { only: { type: 'string' }, queue: { type: 'string' } },
  help: [
    ['--only writes', 'Hold only what is not safe by its method, and upgrades'],
    ['--queue NUMBER', 'Requests that may wait; default 10000'],
  ],
} as const

/** What is asked of a hold by options of these names, as it is posted. */
export function holdOf({ for: duration, only, queue }: Call['options']): object {
  if (typeof duration === 'string') durationGiven(duration, '--for', '30s')
  if (only !== undefined && only !== 'writes' && only !== 'all') throw usageFailure('--only must be writes, or all.')
  return { for: duration, only, queue: typeof queue === 'string' ? wholeNumber(queue, '--queue') : undefined }
}

/** Has the requests of a service wait. */
export const hold: Verb = {
  name: 'hold',
  args: 'SERVICE',
  summary: 'Let the requests of a service wait, in order, until it is released',
  argsCount: [1, 1],
  options: { for: { type: 'string' }, ...WAITING.options, ...CHANGE.options },
  optionsHelp: [
    ['--for DURATION', 'When the hold ends by itself; default 30s, at most 10m'],
    ...WAITING.help,
    ...CHANGE.help,
  ],
  examples: ['hold shop --for 10s', 'hold shop --only writes'],
  async run(call) {
    const [service] = call.args
    const path = insisting(pathOf('services', service, 'hold'), call)
    const outcome = await call.admin.call<Outcome & { untilMs: number }>('POST', path, holdOf(call.options))
    const left = secondsLeft(outcome.untilMs, call.clock.nowMs())
    printOutcome(call, `${service}: held for ${left} at most; turnout release ${service} ends it`, outcome)
  },
}

/** Lets them go on. */
export const release: Verb = {
  name: 'release',
  args: 'SERVICE',
  summary: 'Let the held requests of a service go on',
  argsCount: [1, 1],
  options: CHANGE.options,
  optionsHelp: CHANGE.help,
  examples: ['release shop'],
  async run(call) {
    const [service] = call.args
    const path = insisting(pathOf('services', service, 'release'), call)
    printOutcome(call, `${service}: released`, await call.admin.call<Outcome>('POST', path))
  },
}
