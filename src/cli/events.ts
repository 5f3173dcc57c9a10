/**
 * `events`: what happened lately, and with `--follow` what happens from now on.
 *
 * Following is one stream after another: when one breaks, the next begins after the last event that was shown
 * (Last-Event-ID), so nothing is missed or told twice. Only the first connection may fail.
 */
import { pathOf } from './admin.ts'
import { plain, timeOf } from './columns.ts'
import { readEvents } from './event-stream.ts'
import { CliFailure } from './failure.ts'
import { pause } from './pause.ts'
import type { Call, Verb } from './verb.ts'

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
  options: { follow: { type: 'boolean', short: 'f' } },
  optionsHelp: [['-f, --follow', 'Go on with what happens from now on, until Ctrl-C']],
  examples: ['events', 'events --follow', 'events --follow --json'],
  async run(call) {
    if (call.options['follow'] === true) return follow(call)
    const answer = await call.admin.call<{ events: readonly EventView[] }>('GET', `${pathOf('events')}?follow=false`)
    if (call.json) return call.print(JSON.stringify(answer) + '\n')
    for (const event of answer.events) show(call, event)
  },
}

async function follow(call: Call): Promise<void> {
  const { admin, signal } = call
  let last = '0'
  for (let connections = 0; !signal.aborted; ) {
    let isConnected = false
    try {
      const stream = await admin.stream(pathOf('events'), { 'last-event-id': last }, signal)
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
