/** `npm start`: runs the demo until Ctrl-C or SIGTERM; a second signal ends it at once. */
import { onEndSignal } from '../signals.ts'
import { DemoFailure, startDemo } from './demo.ts'

// Whoever reads what it says may go away.
process.stdout.on('error', () => {})
process.stderr.on('error', () => {})

const starting = startDemo(process.env, (text) => process.stdout.write(text))

async function end(): Promise<void> {
  await (await starting).close()
  process.exit(0)
}

onEndSignal(
  () => void end(),
  () => process.exit(1),
)

try {
  await starting
} catch (error) {
  if (!(error instanceof DemoFailure)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exit(1)
}
