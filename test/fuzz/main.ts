/**
 * `npm run fuzz`: our HTTP/1.1 codec beside Node's own llhttp, strict, on generated and bent messages. What is compared and
 * what is a fault stands in comparison.ts; the differences that are meant stand in reasons.ts, and are printed.
 * Exit code 1 with the shortest message that shows a fault, 2 for bad options.
 */
import { parseArgs } from 'node:util'
import { progressLine, reportLines } from './report.ts'
import { run } from './run.ts'

const USAGE = `usage: npm run fuzz -- [options]
  --messages N   how many messages (default 10,000,000; without limit when --seconds is given)
  --seconds S    end after S seconds, and after --messages if that comes first
  --seed N       the run to do; the same seed gives the same messages (default: by the clock)
  --first N      number of the first message (default 0)`
const MESSAGES = 10_000_000
const PROGRESS_SECONDS = 5

function number(name: string, text: string | undefined, otherwise: number): number {
  const value = text === undefined ? otherwise : Number(text.replaceAll(/[,_]/g, ''))
  if (text !== '' && Number.isInteger(value) && value >= 0) return value
  console.error(`--${name} must be a whole number\n${USAGE}`)
  process.exit(2)
}

const { values } = parseArgs({
  options: {
    messages: { type: 'string' },
    seconds: { type: 'string' },
    seed: { type: 'string' },
    first: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) console.log(USAGE)
else {
  const seconds = number('seconds', values.seconds, 0)
  const options = {
    messages: number('messages', values.messages, seconds > 0 ? Number.MAX_SAFE_INTEGER : MESSAGES),
    seconds,
    seed: number('seed', values.seed, Date.now() % 1_000_000_000),
    first: number('first', values.first, 0),
  }
  console.log(`seed ${options.seed}`)
  let printed = 0
  const report = run(options, (soFar) => {
    if (soFar.seconds - printed < PROGRESS_SECONDS) return
    printed = soFar.seconds
    console.log(progressLine(soFar))
  })
  for (const line of reportLines(report, options.seed)) console.log(line)
  process.exitCode = report.fault === null ? 0 : 1
}
