/** What `serve --check` looks at beside the text of the file: all that would stop a start, each fault told, whatever else is wrong. */
import type { Spec } from '../config/schema.ts'
import { checkFree } from '../dataplane/downstream/listener.ts'
import { checkLookups } from '../lookups/lookups.ts'
import { checkStore } from '../store/open.ts'
import { addressOf, planListeners } from './listener-plan.ts'
import { Sealing } from './sealing.ts'
import { startFailure } from './start-failure.ts'
import { storeUrl } from './store-url.ts'

/** Below it a port needs a right of its own. */
const PRIVILEGED = 1_024

/** Why a start would fail, for people; none when it would go well. A port that is taken is no fault (`takenAddresses`). */
export async function startFaults(
  spec: Spec,
  places: { readonly directory: string; readonly stateDirectory: string },
  secretKey: string | undefined,
): Promise<string[]> {
  const faults: string[] = []
  const look = (work: () => unknown) =>
    Promise.resolve()
      .then(work)
      .catch((error: unknown) => void faults.push(startFailure(error)))
  await look(() => planListeners(spec.listeners, places.directory))
  for (const at of [...spec.listeners, spec.admin]) await look(() => checkAddress(addressOf(at)))
  await look(() => checkLookups(spec, places.directory))
  await look(() => checkStore(storeUrl(spec.store, places)))
  await look(() => new Sealing(secretKey))
  return [...new Set(faults)]
}

/** Addresses that somebody listens on by now, in words: a Turnout that is to be replaced, or what would stop the start. */
export async function takenAddresses({ listeners, admin }: Pick<Spec, 'listeners' | 'admin'>): Promise<string[]> {
  const taken: string[] = []
  for (const at of [...listeners, admin]) {
    const { host, port } = addressOf(at)
    if (port === 0) continue
    await checkFree({ host, port }).catch((error: NodeJS.ErrnoException) => {
      const but = 'unless that is the Turnout which is to be upgraded, a start fails until it ends (ss -ltnp names it)'
      if (error.code === 'EADDRINUSE') taken.push(`${at.address} is taken by another process: ${but}`)
    })
  }
  return taken
}

/** Whether this machine has the address, and lets us have the port. Others are asked for any port: this is no word about who has theirs. */
async function checkAddress({ host, port }: ReturnType<typeof addressOf>): Promise<void> {
  const isPrivileged = port > 0 && port < PRIVILEGED
  await checkFree({ host, port: isPrivileged ? port : 0 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EADDRINUSE') throw error
  })
}
