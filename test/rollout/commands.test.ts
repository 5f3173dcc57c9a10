/** Hook programs and the end of those that ask for them; what they are told and say is in test/e2e/rollout-gates.test.ts. */
import { chmodSync, existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { Commands } from '../../src/rollout/gates/commands.ts'
import { temporaryFolder } from '../helpers/proxy.ts'

test('a program is not started when its rollout ends while it is looked for, and is waited for until then', async () => {
  const folder = temporaryFolder()
  const [program, trace] = [join(folder, 'migrate'), join(folder, 'ran')]
  writeFileSync(program, `#!/bin/sh\ntouch ${trace}\n`)
  chmodSync(program, 0o755)
  const commands = new Commands([folder], systemClock)
  const ended = new AbortController()
  const run = commands.run([program], { event: 'BeforeInstall', key: 'r-1' }, 5_000, ended.signal)
  ended.abort(new Error('over'))
  const outcome = expect(run).rejects.toThrow('over')
  await commands.close()
  await outcome
  await setTimeout(200)
  expect(existsSync(trace)).toBe(false)
})
