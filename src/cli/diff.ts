import { differencesInWords, sendFile } from './config-file.ts'
import type { Verb } from './verb.ts'

/** Shows where a config file differs from what runs. */
export const diff: Verb = {
  name: 'diff',
  args: 'FILE',
  summary: 'Show where a config file differs from what runs; nothing is changed',
  argsCount: [1, 1],
  examples: ['diff turnout.yaml'],
  async run(call) {
    const [file] = call.args
    const outcome = await sendFile(call, file, ['dryRun', 'prune'])
    const { changes, kept, others = [] } = outcome
    if (call.json) return call.print(JSON.stringify(outcome) + '\n')
    const lines = [
      ...differencesInWords(changes),
      ...differencesInWords(kept, ' (kept: changed by others since the file was applied)'),
      ...others.map((name) => `${name} (not in the file)`),
    ]
    const said = lines.length > 0 ? lines : [`${file} says what runs`]
    call.print(said.map((line) => line + '\n').join(''))
  },
}
