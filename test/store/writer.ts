/**
 * A child process of sqlite.test.ts: commits to the store of its first argument, waiting out other writers, and prints each
 * revision once its commit has resolved. With a number as second argument it ends after so many commits; the error that
 * ends it otherwise goes to standard output too, as JSON.
 */
import { writeSync } from 'node:fs'
import { isTurnoutError } from '../../src/errors.ts'
import { openStore } from '../../src/store/open.ts'
import { entry } from './entry.ts'

const [url, count = 'Infinity'] = process.argv.slice(2)
try {
  const store = await openStore(url)
  let position = await store.position()
  for (let written = 0; written < Number(count); ) {
    try {
      position = await store.commit(position, entry(position.revision + 1))
      writeSync(1, `${position.revision}\n`)
      written++
    } catch (error) {
      if (!isTurnoutError(error, 'stale_revision')) throw error
      position = await store.position()
    }
  }
  await store.close()
} catch (error) {
  const { code, message } = error as { code?: string; message: string }
  writeSync(1, `${JSON.stringify({ code, message })}\n`)
}
