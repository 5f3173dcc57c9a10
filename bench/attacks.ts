/**
 * `node bench/attacks.ts`: what the attacks of test/attacks/ cost other clients. For each attack a fresh Turnout with one
 * worker; then rounds of calm and attack in turn, in which well-behaved clients are timed. The tests judge, with short rounds
 * and much tolerance; here are the figures. Fails when a request of the others failed, never because of a time.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Attacker } from '../test/attacks/attacker.ts'
import { ATTACKS, type AttackName, configOf } from '../test/attacks/attacks.ts'
import { besiege, type Round } from '../test/attacks/siege.ts'
import { Victims } from '../test/attacks/victims.ts'
import { median } from './measure.ts'
import { readOptions, say } from './options.ts'
import { startPeer } from './peers/peer.ts'
import { MAIN } from './peers/turnout.ts'
import { freePort } from './ports.ts'
import { firstLine, LOAD_CORE, PROXY_CORE, pinned, residentBytes, startChild } from './process.ts'
import { decimal, occasion, spread, writeSection } from './report.ts'

const TARGET = fileURLToPath(new URL('../test/helpers/target-process.ts', import.meta.url))
/** Requests of the others in each calm and each attack, for each second that a round is to take. */
const REQUESTS_PER_SECOND = 1_500

interface Outcome {
  readonly rounds: readonly Round[]
  /** Memory that the proxy took under attack, above that of the calm before the first. */
  readonly growthBytes: number
}

async function measureAttack(name: AttackName, rounds: number, seconds: number): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'turnout-bench-'))
  const target = startChild([process.execPath, TARGET, JSON.stringify({ name: 'calm', port: 0, backlog: 511 })], {
    core: LOAD_CORE,
  })
  // Read from the beginning: what a child says before anybody listens is thrown away.
  const said = firstLine(target)
  const attacker = await Attacker.start(name)
  const proxy = await startProxy(folder, configOf(name, Number(await said), attacker.targetPort))
  const victims = new Victims(proxy.port, ATTACKS[name].fillsUp !== true)
  const size = { requests: REQUESTS_PER_SECOND * seconds, atLeastMs: seconds * 1_000 }
  try {
    await victims.measure(size)
    const before = residentBytes(proxy.pid) ?? Number.NaN
    let most = before
    const look = () => {
      most = Math.max(most, residentBytes(proxy.pid) ?? Number.NaN)
    }
    const options = { calm: size, attack: size, roundsMin: rounds, roundsMax: rounds, look }
    const siege = await besiege(proxy.port, victims, attacker, options)
    return { rounds: siege.rounds, growthBytes: most - before }
  } finally {
    victims.close()
    await attacker.end()
    await proxy.stop()
    await target.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function startProxy(folder: string, config: Record<string, unknown>) {
  const port = await freePort()
  const file = join(folder, 'turnout.json')
  const more = { workers: 1, store: 'memory:', log: { level: 'warn', access: false } }
  const addresses = {
    listeners: [{ address: `127.0.0.1:${port}` }],
    admin: { address: `127.0.0.1:${await freePort()}` },
  }
  writeFileSync(file, JSON.stringify({ ...addresses, ...more, ...config }))
  return startPeer([process.execPath, MAIN, 'serve', '--config', file], port, { core: PROXY_CORE })
}

const failures = ({ rounds }: Outcome) => rounds.reduce((sum, { calm, attack }) => sum + calm.failed + attack.failed, 0)

function row(name: AttackName, outcome: Outcome): string {
  const { rounds } = outcome
  const calm = rounds.map((round) => round.calm.p99Ms)
  const attack = rounds.map((round) => round.attack.p99Ms)
  const p50s = (['calm', 'attack'] as const).map((part) => decimal(median(rounds.map((round) => round[part].p50Ms)), 2))
  const cells = [
    ATTACKS[name].what,
    p50s.join(' → '),
    spread(calm, 2),
    spread(attack, 2),
    decimal(median(attack) / median(calm), 2),
    decimal(Math.max(...rounds.map((round) => round.attack.maxMs)), 0),
    decimal(outcome.growthBytes / 1024 ** 2, 0),
    String(failures(outcome)),
  ]
  return `| ${cells.join(' | ')} |`
}

function render(outcomes: ReadonlyMap<AttackName, Outcome>, rounds: number, seconds: number): string {
  return [
    '## Under attack',
    '',
    occasion(new Date()),
    '',
    '| attack | p50 ms | p99 ms in the calm | p99 ms under attack | × | worst ms | MB | failed |',
    '| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |',
    ...[...outcomes].map(([name, outcome]) => row(name, outcome)),
    '',
    '**How to read it.** Times are those of the others: 14 keep-alive connections and 2 clients that open one for each request,',
    'with 5 ms between requests. Each p99 is the median of the rounds, the least and the greatest in brackets; × is what the attack',
    'made of it. `MB` is the memory that the proxy took in addition.',
    '',
    `**How it was measured.** \`node bench/attacks.ts\`: ${rounds} rounds of calm and attack in turn, at least ${seconds} s each, one`,
    `worker, short time-outs (\`test/attacks/attacks.ts\` has them all). ${
      pinned
        ? `Proxy on core ${PROXY_CORE}; attacker, targets and the others share core ${LOAD_CORE}, so some of × is theirs.`
        : 'Nothing was pinned to a core.'
    }`,
  ].join('\n')
}

const options = readOptions('usage: node bench/attacks.ts [NAME of an attack …]', { rounds: 5, seconds: 2 })
// What this process starts by itself, the attackers, runs where it does.
if (pinned) execFileSync('taskset', ['-acp', String(LOAD_CORE), String(process.pid)], { stdio: 'ignore' })
const named = process.argv.slice(2).filter((word): word is AttackName => word in ATTACKS)
const outcomes = new Map<AttackName, Outcome>()
for (const name of named.length > 0 ? named : (Object.keys(ATTACKS) as AttackName[])) {
  say(ATTACKS[name].what)
  outcomes.set(name, await measureAttack(name, options.rounds, options.seconds))
}
if (options.json) console.log(JSON.stringify(Object.fromEntries(outcomes)))
else {
  const text = render(outcomes, options.rounds, options.seconds)
  if (!options.quick && named.length === 0) writeSection('attacks', text)
  console.log(text)
}
process.exitCode = [...outcomes.values()].every((outcome) => failures(outcome) === 0) ? 0 : 1
