/**
 * `npm run bench:all`: every bench, one after the other, each writing its own section of bench/RESULTS.md; `-- NAME …` runs
 * only those. More than an hour and a half, on a machine that does nothing else. A bench that fails does not hide the next; what is
 * given after the names (`--quick`, `--rounds 3`) goes to each of them.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const BENCHES: Readonly<Record<string, readonly string[]>> = {
  peers: ['main.ts', '--peers'],
  own: ['main.ts'],
  before: ['before.ts'],
  profile: ['profile.ts'],
  latency: ['latency.ts'],
  cold: ['cold.ts'],
  switch: ['switch.ts'],
  fleet: ['switch.ts', '--instances', '3'],
  redis: ['redis.ts'],
  change: ['change.ts'],
  rollout: ['rollout.ts'],
  'rollout-fleet': ['rollout.ts', '--instances', '3'],
  kills: ['kills.ts'],
  'kills-fleet': ['kills.ts', '--instances', '3'],
  upgrade: ['upgrade.ts'],
  judged: ['judged.ts'],
  steering: ['steering.ts'],
  tunnels: ['tunnels.ts'],
  hold: ['hold.ts'],
  size: ['variants.ts', 'size'],
  log: ['variants.ts', 'log'],
  workers: ['variants.ts', 'workers'],
  idle: ['idle.ts'],
  soak: ['soak.ts'],
  attacks: ['attacks.ts'],
}

const given = process.argv.slice(2)
const firstOption = given.findIndex((word) => word.startsWith('--'))
const names = firstOption < 0 ? given : given.slice(0, firstOption)
const options = firstOption < 0 ? [] : given.slice(firstOption)
const unknown = names.filter((name) => !(name in BENCHES))
if (unknown.length > 0 || options.includes('--help')) {
  console.error(`usage: node bench/all.ts [${Object.keys(BENCHES).join(' | ')}] … [options of each]`)
  process.exit(options.includes('--help') ? 0 : 2)
}

const failed: string[] = []
for (const name of names.length > 0 ? names : Object.keys(BENCHES)) {
  const [file, ...words] = BENCHES[name]
  const path = fileURLToPath(new URL(file, import.meta.url))
  console.error(`\n== ${name}`)
  const child = spawn(process.execPath, [path, ...words, ...options], { stdio: ['ignore', 'inherit', 'inherit'] })
  const [code] = await once(child, 'exit')
  if (code !== 0) failed.push(name)
}
if (failed.length > 0) console.error(`\nfailed: ${failed.join(', ')}`)
process.exitCode = failed.length > 0 ? 1 : 0
