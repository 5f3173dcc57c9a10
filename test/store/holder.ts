/** A child process of sqlite.test.ts: opens the store of its argument, says so, and holds it until it is killed. */
import { openStore } from '../../src/store/open.ts'

const store = await openStore(process.argv[2])
await store.isShared()
process.stdout.write('open\n')
// Held, so that it is not collected, and the lock with it.
setInterval(() => store, 60_000)
