/**
 * `dry-run`: what a proposed split, rules or the like would have made of the last requests. Nothing is changed.
 *
 * What is proposed stands in a file, as in a service of a config file (`rules: […]`, `split: {…}`), or in the command line as for
 * `split`. Of a whole config file the part of this service is taken, as far as it steers. The file is read here, since a piece of a config
 * is no config; the API checks what it says.
 */
import type { DryRunReport } from '../admin/dry-run.ts'
import { inDigits } from '../config/digits.ts'
import { readDocument } from '../config/document.ts'
import { isRecord, own } from '../config/record.ts'
import { STEERING } from '../config/schema.ts'
import { pathOf } from './admin.ts'
import { columns, percent, plain, timeOf } from './columns.ts'
import { textOfFile } from './config-file.ts'
import { CliFailure, usageFailure } from './failure.ts'
import { weightsOf } from './split.ts'
import type { Call, Verb } from './verb.ts'

/** Tells what a proposal would have made of the last requests. */
export const dryRun: Verb = {
  name: 'dry-run',
  args: 'SERVICE FILE | SERVICE POOL=WEIGHT…',
  summary: 'Tell what a split or rules would have made of the last requests; nothing is changed',
  argsCount: [2, Number.POSITIVE_INFINITY],
  examples: ['dry-run shop rules.yaml', 'dry-run shop blue=50 green=50', 'dry-run shop turnout.yaml --json'],
  async run(call) {
    const [service, ...rest] = call.args
    const isSplit = rest.length > 1 || rest[0].includes('=')
    const proposed = isSplit ? { weights: weightsOf(rest) } : await proposalIn(rest[0], service, call)
    const report = await call.admin.call<DryRunReport>('POST', pathOf('services', service, 'dry-run'), proposed)
    call.print(call.json ? JSON.stringify(report) + '\n' : inWords(report))
  },
}

async function proposalIn(file: string, service: string, { env }: Call): Promise<object> {
  const text = await textOfFile(file)
  const { value, findings } = readDocument(text, env)
  if (findings.length > 0) throw new CliFailure(1, `${file} cannot be read: ${findings[0].message}`)
  if (Array.isArray(value)) return { rules: value }
  if (!isRecord(value)) throw usageFailure(`${file} says nothing that could be tried, such as rules or a split.`)
  if (!Object.hasOwn(value, 'services')) return asProposal(value)
  const spec = isRecord(value['services']) ? own(value['services'], service) : undefined
  if (!isRecord(spec)) throw usageFailure(`${file} has no service ${service}.`)
  const steering = Object.entries(spec).filter(([key]) => (STEERING as readonly string[]).includes(key))
  return asProposal(Object.fromEntries(steering))
}

/** A pool that a file's `split` does not name has no weight; one that the `split` of a patch does not name keeps its own. */
function asProposal({ split, ...rest }: Readonly<Record<string, unknown>>): object {
  if (split === undefined) return rest
  return isRecord(split) ? { ...rest, weights: split } : { ...rest, split }
}

const some = (number: number, noun: string): string => `${inDigits(number)} ${noun}${number === 1 ? '' : 's'}`

function inWords(report: DryRunReport): string {
  const { refused, sample, moves } = report
  const lines = [seenOf(report)]
  if (sample.kept > 0) {
    lines.push(...ruleLines(report), '')
    lines.push(...poolTable(report).trimEnd().split('\n'), '', visitorLine(report))
    for (const { from, to, visitors, requests } of moves) {
      lines.push(
        `  ${from ?? 'nobody'} → ${to ?? 'nobody'}: ${some(visitors, 'visitor')}, ${some(requests, 'request')}`,
      )
    }
    lines.push(...troubleLines(report))
  }
  if (refused !== null) lines.push(`it would be refused just now: ${refused}`)
  return lines.map((line) => `${plain(line)}\n`).join('')
}

function seenOf({ service, sample: { requests, kept, sinceMs, marginPoints } }: DryRunReport): string {
  if (kept === 0 || sinceMs === null) return `${service}: no request was seen yet`
  const part =
    kept === requests
      ? ''
      : ` (${inDigits(kept)} of them kept, so a share is true to ${marginPoints.toFixed(1)} points)`
  return `${service}: the last ${some(requests, 'request')}, since ${timeOf(sinceMs)}${part}`
}

function ruleLines({ rules, gone }: DryRunReport): string[] {
  return [
    ...rules.map(({ name, to, deny, matched, caught, share, before, shadowedBy }) => {
      const what = to === null ? `would keep from ${deny}` : `would catch for ${to}`
      const now = before === caught ? ', as now' : `, ${inDigits(before)} now`
      const rest = shadowedBy.map((it) => `${inDigits(it.requests)} more match, and ${it.rule} comes first`)
      const none = matched === 0 ? ['none matches'] : []
      return [`rule ${name} ${what} ${percent(share)}: ${some(caught, 'request')}${now}`, ...rest, ...none].join('; ')
    }),
    ...gone.map(({ name, before }) => `rule ${name}, which catches ${some(before, 'request')} now, would be gone`),
  ]
}

function poolTable({ pools }: DryRunReport): string {
  const titles = ['AIMED NOW', 'PROPOSED', 'REQUESTS NOW', 'PROPOSED'].map((title) => ({ title, right: true }))
  const rows = pools.map(({ name, version, now, proposed }) => {
    const shares = [now.aimed, proposed.aimed, now.share, proposed.share].map(percent)
    return [name, version, ...shares]
  })
  return columns([{ title: 'POOL' }, { title: 'VERSION' }, ...titles], rows)
}

function visitorLine({ visitors: { seen, move, forward, backward } }: DryRunReport): string {
  if (seen === 0) return 'no visitor had a key'
  const where =
    move === 0
      ? ''
      : backward === 0
        ? ', all forward'
        : `: ${inDigits(forward)} forward, ${inDigits(backward)} backward`
  return `${inDigits(move)} of ${some(seen, 'visitor')} would move${where}`
}

function troubleLines({ pools, nobody }: DryRunReport): string[] {
  const elsewhere = pools.flatMap(({ name, proposed }) =>
    proposed.elsewhere === 0
      ? []
      : [
          `${some(proposed.elsewhere, 'request')} for ${name} would go elsewhere, since no target of it can take them now`,
        ],
  )
  const lost =
    nobody.proposed === 0
      ? []
      : [`${some(nobody.proposed, 'request')} would get no answer; now ${inDigits(nobody.now)}`]
  return [...elsewhere, ...lost]
}
