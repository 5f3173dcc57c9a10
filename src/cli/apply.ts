import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { pathOf } from './admin.ts'
import { CliFailure, Refusal } from './failure.ts'
import { type Outcome, printOutcome } from './outcome.ts'
import type { Verb } from './verb.ts'

/** Applies what changed in a config file; the API reads the text, so faults come with line and column. */
export const apply: Verb = {
  name: 'apply',
  args: 'FILE',
  summary: 'Apply what changed in a config file (- for standard input)',
  argsCount: [1, 1],
  examples: ['apply turnout.yaml', 'apply - < turnout.yaml'],
  async run(call) {
    const [file] = call.args
    const yaml = await (file === '-' ? text(process.stdin) : readFile(file, 'utf8')).catch((error: Error) => {
      throw new CliFailure(1, `${file} cannot be read: ${error.message}`)
    })
    try {
      const outcome = await call.admin.send<Outcome>('POST', pathOf('apply'), yaml, 'application/yaml')
      printOutcome(call, `${file} applied`, outcome)
    } catch (error) {
      throw error instanceof Refusal ? inFile(file, error) : error
    }
  },
}

/** The same refusal with each fault as `FILE:LINE:COLUMN: …`, which editors can follow. */
function inFile(file: string, { message, faults }: Refusal): CliFailure {
  const lines = faults.map((fault) => {
    const place = fault.line === undefined ? file : `${file}:${fault.line}:${fault.column ?? 1}`
    return `${place}: ${fault.pointer === '' ? '' : `${fault.pointer}: `}${fault.message}`
  })
  return new CliFailure(1, message, lines)
}
