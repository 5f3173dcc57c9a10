/**
 * The wall clock of a Turnout process, to be set by a test: a preloaded file puts another `Date` in the place of the real one, in
 * every thread, that looks into a file for how far it is off. Monotonic clocks and timers stay as they are, as on a real machine.
 */
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const PRELOAD = `
const { readFileSync } = require('node:fs')
const RealDate = Date
const now = () => RealDate.now() + Number(readFileSync(process.env.TEST_CLOCK_FILE, 'latin1'))
globalThis.Date = class Date extends RealDate {
  constructor(...parts) {
    if (parts.length === 0) super(now())
    else super(...parts)
  }
  static now() {
    return now()
  }
}
`

/** What to start the process with, and how to set its clock so many ms off the real one. */
export function settableClock(folder: string) {
  const [preload, file] = [join(folder, 'clock.cjs'), join(folder, 'clock-is-off-by')]
  const set = (offMs: number): void => {
    // It may be read at any moment, so it is never half written.
    writeFileSync(file + '.new', String(offMs))
    renameSync(file + '.new', file)
  }
  set(0)
  writeFileSync(preload, PRELOAD)
  return { nodeOptions: ['--require', preload], env: { TEST_CLOCK_FILE: file }, set }
}
