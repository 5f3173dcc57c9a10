/**
 * Shared memory that proxies of a test leave behind, 90 MB of addresses each: nobody holds it, and V8 sees no haste to give it back. Some hundreds of
 * it, and the system lets the process start no other one (ENOMEM); and what is given out a second time is written to, so it takes real memory.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const BYTES_MAX = 2e9

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Gives back what nobody holds, once there is much. */
export function giveBackMemory(): void {
  if (process.memoryUsage().arrayBuffers > BYTES_MAX) collect()
}
