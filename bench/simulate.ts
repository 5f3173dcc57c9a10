/**
 * `npm run simulate`: what the verdict does to good and to bad releases, by thousands of seeded runs of the code that the product runs.
 *
 * Written to bench/SIMULATION.md and bench/plots: how soon a version that is worse is caught, how often an equal one is taken for worse, how whole
 * rollouts end, and what the published rules of others do on the same streams. The same seed gives the same figures anywhere.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { positive, readOptions, say } from './options.ts'
import { occasion, writeInto } from './report.ts'
import { caught, falseAlarms } from './simulation/alone.ts'
import { compared } from './simulation/compared.ts'
import { fleet } from './simulation/fleet.ts'
import type { Section } from './simulation/section.ts'
import { whole } from './simulation/whole.ts'

const SECTIONS: Readonly<Record<string, Section>> = { caught, alarms: falseAlarms, whole, compared, fleet }

const USAGE = `usage: npm run simulate -- [options]
  --runs N            runs of each row; A/A rows have ten times as many (default 1000)
  --seed N            of all chance (default 1)
  --only NAME         one section: ${Object.keys(SECTIONS).join(', ')}
  --into DIR          write the report and its plots there (default bench)`

const { values, quick, json } = readOptions(USAGE, null, {
  runs: { type: 'string' },
  seed: { type: 'string' },
  only: { type: 'string' },
  into: { type: 'string' },
})
const runs = positive('--runs', values['runs'] ?? (quick ? 20 : 1_000))
const seed = positive('--seed', values['seed'] ?? 1)
const only = values['only']
const into = values['into']
if (only !== undefined && !Object.hasOwn(SECTIONS, `${only}`)) throw new Error(`there is no section ${only}`)

const PREAMBLE = `# Simulation

Written by \`npm run simulate\`, never by hand; each section by itself. The same seed gives the same figures anywhere.
`

const isWritten = into !== undefined || !(quick || json)
const folder = into === undefined ? new URL('./', import.meta.url) : pathToFileURL(`${into}/`)
const plots = new URL('plots/', folder)
const names = Object.keys(SECTIONS)
for (const name of names.filter((each) => only === undefined || each === only)) {
  const { text, plots: files } = SECTIONS[name]({ runs, seed, say })
  console.log(`${text}\n`)
  if (!isWritten) continue
  const body = `${text}\n\n${occasion(new Date())}; seed ${seed}.`
  mkdirSync(plots, { recursive: true })
  writeInto(new URL('SIMULATION.md', folder), name, body, { order: names, preamble: PREAMBLE })
  for (const [file, svg] of Object.entries(files)) writeFileSync(new URL(file, plots), svg)
}
