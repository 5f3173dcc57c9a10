/** `npm start`: runs the demo until Ctrl-C or SIGTERM; a second signal ends it at once. */
import { DemoFailure, startDemo } from './demo.ts'

const starting = startDemo(process.env, (text) => process.stdout.write(text))

let isEnding = false
async function end(): Promise<void> {
  if (isEnding) process.exit(1)
  isEnding = true
  await (await starting).close()
  process.exit(0)
}

process.on('SIGINT', end)
process.on('SIGTERM', end)

try {
  await starting
} catch (error) {
  if (!(error instanceof DemoFailure)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exit(1)
}
