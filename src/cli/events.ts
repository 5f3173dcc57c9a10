/**
 * `events`: what happened lately, and with `--follow` what happens from now on.
 *
 * Following is one stream after another: when one breaks, the next begins after the last event that was shown
 * (Last-Event-ID), so nothing is missed or told twice. Only the first connection may fail.
 */
import { EVENT_TYPES } from '../config/event-types.ts'
import { didYouMean, nearest } from '../config/nearest.ts'
import { pathOf } from './admin.ts'
import { plain, timeOf } from './columns.ts'
import { readEvents } from './event-stream.ts'
import { CliFailure, usageFailure } from './failure.ts'
import { pause } from './pause.ts'
import { type Call, durationGiven, type Verb } from './verb.ts'

/** What the API tells of an event, as far as it is shown; the message names the service. */
interface EventView {
  readonly atMs: number
  readonly type: string
  readonly message: string
}

const RECONNECT_MS = 1000

/** Shows what happened, and goes on with `--follow`. */
export const events: Verb = {
  name: 'events',
  args: '',
  summary: 'Show what happened: changes, health, ejections, workers',
  argsCount: [0, 0],
  options: {
    follow: { type: 'boolean', short: 'f' },
    service: { type: 'string' },
    type: { type: 'string', multiple: true },
    since: { type: 'string' },
  },
  optionsHelp: [
    ['-f, --follow', 'Go on with what happens from now on, until Ctrl-C'],
    ['--service SERVICE', 'Only what is of this service'],
    ['--type KIND', `Only what is of this kind, again for each: ${EVENT_TYPES.join(', ')}`],
    ['--since DURATION', 'Only what is no older than this'],
  ],
  examples: ['events', 'events --follow', 'events --service shop --type health --since 10m', 'events --follow --json'],
  async run(call) {
    if (call.options['follow'] === true) return follow(call)
    const answer = await call.admin.call<{ events: readonly EventView[] }>(
      'GET',
      `${pathOf('events')}?${wanted(call, ['follow', 'false'])}`,
    )
    if (call.json) return call.print(JSON.stringify(answer) + '\n')
    for (const event of answer.events) show(call, event)
    // Else nobody can tell it from a verb that has failed.
    if (call.isTerminal && answer.events.length === 0) call.note(noneInWords(call))
  },
}

function noneInWords({ options }: Call): string {
  const isFiltered = ['service', 'type', 'since'].some((name) => options[name] !== undefined)
  return isFiltered ? 'no events of that kind; without filters there may be others' : 'no events'
}

/** The query of what is asked for, and one parameter more. */
function wanted({ options }: Call, more: readonly [string, string]): URLSearchParams {
  const { service, type, since } = options
  const query = new URLSearchParams([[...more]])
  if (typeof service === 'string') query.set('service', service)
  if (typeof since === 'string') {
    durationGiven(since, '--since', '10m')
    query.set('since', since)
  }
  const types = [type ?? []].flat().flatMap((given) => String(given).split(','))
  for (const each of types) {
    if ((EVENT_TYPES as readonly string[]).includes(each)) continue
    const meant = didYouMean(nearest(each, EVENT_TYPES)) || `: ${EVENT_TYPES.join(', ')}`
    throw usageFailure(`there are no events of the kind "${each}"${meant}.`)
  }
  if (types.length > 0) query.set('type', types.join(','))
  return query
}

async function follow(call: Call): Promise<void> {
  const { admin, signal } = call
  const path = `${pathOf('events')}?${wanted(call, ['after', '0'])}`
  let last = ''
  for (let connections = 0; !signal.aborted; ) {
    let isConnected = false
    try {
      const stream = await admin.stream(path, last === '' ? {} : { 'last-event-id': last }, signal)
      isConnected = true
      if (++connections > 1) call.note('Connected again.')
      for await (const { id, data } of readEvents(stream)) {
        last = id
        show(call, JSON.parse(data) as EventView)
      }
    } catch (error) {
      if (signal.aborted) return
      if (error instanceof CliFailure && (connections === 0 || error.exitCode !== 3)) throw error
    }
    if (isConnected && !signal.aborted) call.note('The connection to the admin API was lost; trying again.')
    await pause(call, RECONNECT_MS)
  }
}

function show({ json, print }: Call, event: EventView): void {
  const { atMs, type, message } = event
  const line = `${timeOf(atMs)}  ${type.padEnd(8)}  ${message}`
  print((json ? JSON.stringify(event) : plain(line)) + '\n')
}
