/**
 * `export`: the services that run, as a config file that `apply` takes back unchanged. What is of the process (listeners, limits …) only its own file says. Secrets are not in it: a variable stands for each, and is told.
 */
import { pathOf } from './admin.ts'
import type { Described } from './noun-actions.ts'
import type { Call, Verb } from './verb.ts'

/** Prints the services that run as a config file. */
export const exportVerb: Verb = {
  name: 'export',
  args: '',
  summary: 'Print the services that run as a config file that apply takes back, without secrets',
  argsCount: [0, 0],
  options: { service: { type: 'string', multiple: true } },
  optionsHelp: [['--service SERVICE', 'Only this service, again for each']],
  examples: ['export > turnout.yaml', 'export --service shop'],
  async run(call) {
    // Of all verbs only this one needs the schema, which takes a while to load.
    const { writtenFile, yamlOf } = await import('../config/written-file.ts')
    const services = Object.fromEntries((await asked(call)).map(({ name, spec }) => [name, spec]))
    const { config, variables } = writtenFile(services)
    call.print(call.json ? JSON.stringify(config) + '\n' : yamlOf(config))
    if (!call.json)
      call.note('these are the services; listeners and what else is of the process stand in its own config file')
    if (variables.length > 0) call.note(`secrets are not in it; apply reads them from ${variables.join(', ')}`)
  },
}

async function asked({ admin, options }: Call): Promise<readonly Described[]> {
  const names = options['service'] as readonly string[] | undefined
  if (names === undefined) return (await admin.call<{ services: Described[] }>('GET', pathOf('services'))).services
  return Promise.all(names.map((name) => admin.call<Described>('GET', pathOf('services', name))))
}
