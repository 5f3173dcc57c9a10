/** A store file that another process holds. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { onTestFinished } from 'vitest'

/** Locks a store file for writing, by a process of its own; the returned function ends that. */
export async function lock(file: string): Promise<() => Promise<void>> {
  const text = `
    const { DatabaseSync } = require('node:sqlite')
    const database = new DatabaseSync(process.argv[1], { timeout: 10_000 })
    database.exec('BEGIN IMMEDIATE')
    process.stdout.write('locked')
    setInterval(() => database.isOpen, 60_000)`
  const child = spawn(process.execPath, ['-e', text, file], { stdio: ['ignore', 'pipe', 'inherit'] })
  const end = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  onTestFinished(end)
  await once(child.stdout, 'data')
  return end
}
