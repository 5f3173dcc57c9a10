/**
 * `apply`: applies what changed in a config file, and says what of the file differs from what runs and was kept, since others have changed
 * it after the file was applied last: that nothing was changed must not look as if the file ran now.
 */
import { differencesInWords, type FileOutcome, sendFile } from './config-file.ts'
import { CliFailure } from './failure.ts'
import { IF_MATCH } from './insist.ts'
import { assertLeft, LEAVE } from './leave.ts'
import { printOutcome } from './outcome.ts'
import type { Call, Verb } from './verb.ts'

/** Applies what changed in a config file. */
export const apply: Verb = {
  name: 'apply',
  args: 'FILE',
  summary: 'Apply what changed in a config file (- for standard input)',
  argsCount: [1, 1],
  options: {
    'dry-run': { type: 'boolean' },
    prune: { type: 'boolean' },
    force: { type: 'boolean' },
    ...LEAVE.options,
    ...IF_MATCH.options,
  },
  optionsHelp: [
    ['--dry-run', 'Only show what would change, and what would be kept'],
    ['--prune', 'Remove the services that the file no longer has'],
    [
      '--force',
      'The file wins wherever it differs from what runs, and is applied even where nobody would be left to answer',
    ],
    ...LEAVE.help,
    ...IF_MATCH.help,
  ],
  examples: ['apply turnout.yaml', 'apply turnout.yaml --dry-run', 'apply - < turnout.yaml'],
  async run(call) {
    const [file] = call.args
    const { options } = call
    if (options['dry-run'] === true) return dryRun(call, file)
    const outcome = await sendFile(call, file, insistence(call))
    printOutcome(call, `${file} applied`, outcome)
    if (!call.json) tellKept(call, outcome)
    assertLeft(call, outcome)
  },
}

const insistence = ({ options }: Call): string[] => ['force', 'prune'].filter((name) => options[name] === true)

async function dryRun(call: Call, file: string): Promise<void> {
  const outcome = await sendFile(call, file, ['dryRun', ...insistence(call)])
  if (call.json) call.print(JSON.stringify(outcome) + '\n')
  else {
    const lines = differencesInWords(outcome.changes)
    const said = lines.length > 0 ? [`${file} would change:`, ...lines] : [`${file} would change nothing`]
    call.print(said.map((line) => line + '\n').join(''))
    tellKept(call, outcome)
  }
  if (outcome.refused !== undefined) throw new CliFailure(1, `it would be refused: ${outcome.refused}`)
}

function tellKept(call: Call, { kept = [], others = [] }: FileOutcome): void {
  if (kept.length > 0) {
    call.note('the file differs from what runs, which was changed by others since the file was applied, and is kept:')
    for (const line of differencesInWords(kept)) call.note(`  ${line}`)
    call.note('with --force the file wins.')
  }
  if (others.length > 0) call.note(`not in the file, and still there: ${others.join(', ')}`)
}
