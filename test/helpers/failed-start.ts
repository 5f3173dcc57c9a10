/** Turnout as a process that is expected not to start. */
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { stringify } from 'yaml'
import { MAIN } from './built.ts'
import { testConfig } from './proxy.ts'

/** Runs `turnout serve` with this config until it ends; its exit code (null after a signal) and all that it wrote. */
export function failToStart(
  config: Record<string, unknown>,
  folder: string,
): Promise<{ readonly code: number | null; readonly output: string }> {
  const file = join(folder, 'turnout.yaml')
  writeFileSync(file, stringify({ ...testConfig(config), log: { level: 'info', access: false } }))
  const child = spawn(process.execPath, [MAIN, 'serve', '--config', file], { cwd: folder })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  let output = ''
  const collect = (bytes: Buffer) => {
    output += bytes
  }
  child.stdout.on('data', collect)
  child.stderr.on('data', collect)
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, output })))
}
