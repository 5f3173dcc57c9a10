/**
 * What each test file begins with. Files that share a process leave the shared memory of their proxies behind, 90 MB of addresses each, which
 * nobody holds and V8 sees no haste to give back: some hundreds of it, and the system lets the process start no other one (ENOMEM).
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll } from 'vitest'

const BYTES_MAX = 2e9

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

afterAll(() => {
  if (process.memoryUsage().arrayBuffers > BYTES_MAX) collect()
})
