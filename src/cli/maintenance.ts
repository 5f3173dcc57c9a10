/** `maintenance on|off`: visitors of a service are answered by its maintenance page, or served again; and how `status` tells of it. */
import { pathOf } from './admin.ts'
import { number, timeOf } from './columns.ts'
import { usageFailure } from './failure.ts'
import { CHANGE, insisting } from './insist.ts'
import { type Outcome, printOutcome } from './outcome.ts'
import type { Verb } from './verb.ts'

const SWITCHES: readonly string[] = ['on', 'off']

/** The maintenance of a service (admin/maintenance.ts). */
export interface MaintenanceView {
  readonly sinceMs: number | null
  readonly answered: number
}

/** Of a service that is in maintenance, or was. */
export function maintenanceLine({ maintenance }: { readonly maintenance?: MaintenanceView }): string[] {
  if (maintenance === undefined) return []
  const { sinceMs, answered } = maintenance
  if (sinceMs === null && answered === 0) return []
  const state = sinceMs === null ? 'off' : `on since ${timeOf(sinceMs)}`
  return [`maintenance: ${state}; its page has answered ${number(answered)}`]
}

/** Switches the maintenance page of a service on or off. */
export const maintenance: Verb = {
  name: 'maintenance',
  args: 'on|off SERVICE',
  summary: 'Answer the visitors of a service by its maintenance page, or serve them again',
  argsCount: [2, 2],
  options: CHANGE.options,
  optionsHelp: CHANGE.help,
  examples: ['maintenance on shop', 'maintenance off shop'],
  async run(call) {
    const [state, service] = call.args
    if (!SWITCHES.includes(state)) throw usageFailure(`maintenance is on or off, not "${state}".`)
    const on = state === 'on'
    const path = insisting(pathOf('services', service, 'maintenance'), call)
    const outcome = await call.admin.call<Outcome>('PUT', path, { on })
    const what = on ? 'visitors are answered by the maintenance page' : 'visitors are served'
    printOutcome(call, `${service}: ${what}`, outcome)
  },
}
