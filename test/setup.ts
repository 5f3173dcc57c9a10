/** What each test file begins with: files that share a process leave no memory behind. */
import { afterAll, vi } from 'vitest'
import { giveBackMemory } from './helpers/shared-memory.ts'

afterAll(giveBackMemory)

/** By itself it waits for a second, which is little on a machine that does other things. Files that share a process share `vi`. */
const { waitFor } = vi as { waitFor: typeof vi.waitFor & { isPatient?: true } }
if (waitFor.isPatient === undefined) {
  const patient: typeof vi.waitFor = (holds, options) =>
    waitFor(holds, { timeout: 60_000, ...(typeof options === 'number' ? { timeout: options } : options) })
  vi.waitFor = Object.assign(patient, { isPatient: true as const })
}
