/** `man`: the manual page, in roff, made of the usage texts as all help is. */
import { CODES, GLOBAL, type Listed, SERVE, SIGNALS, TOKEN } from './usage.ts'
import type { Verb } from './verb.ts'

/** The verb, which describes all of `verbs`. */
export const manVerb = (verbs: () => readonly Listed[]): Verb => ({
  name: 'man',
  args: '',
  summary: 'Print the manual page',
  argsCount: [0, 0],
  examples: ['man > /usr/local/share/man/man1/turnout.1', 'man | man -l -'],
  run: async (call) => call.print(manPage([SERVE, ...verbs()])),
})

/** Text that roff shows as it is. */
const shown = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('…', '...')
    .replaceAll(/[^\n -~]/gu, (letter) => `\\[u${letter.codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0')}]`)
    .replaceAll(/^([.'])/gm, '\\&$1')

const rows = (table: readonly (readonly [left: string, right: string])[]): string[] =>
  table.flatMap(([left, right]) => ['.TP', `.B ${shown(left)}`, shown(right)])

function manPage(verbs: readonly Listed[]): string {
  const lines = [
    '.TH TURNOUT 1',
    '.SH NAME',
    'turnout \\- reverse proxy that splits HTTP traffic between versions of a service',
    '.SH SYNOPSIS',
    '.B turnout',
    '.I VERB ...',
    '.SH DESCRIPTION',
    shown(`"${SERVE.name}" runs the proxy; every other verb asks the admin API of a running one. ${SIGNALS}`),
    '.SH VERBS',
    ...verbs.flatMap(aboutVerb),
    '.SH OPTIONS OF EVERY VERB',
    ...rows(GLOBAL),
    '.SH ENVIRONMENT',
    ...rows([
      ['TURNOUT_ADMIN', 'Where the admin API is.'],
      ['TURNOUT_TOKEN', TOKEN],
    ]),
    '.SH EXIT STATUS',
    shown(CODES),
  ]
  return lines.map((line) => `${line}\n`).join('')
}

const aboutVerb = ({ name, args, forms = [args], summary, optionsHelp = [], examples }: Listed): string[] => [
  `.SS ${name}`,
  ...forms.flatMap((form) => [`.B turnout ${shown(`${name} ${form}`.trim())}`, '.br']),
  `${shown(summary)}.`,
  ...rows(optionsHelp),
  '.PP',
  ...examples.flatMap((example) => [shown(`turnout ${example}`), '.br']),
]
