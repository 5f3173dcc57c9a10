/**
 * `node bench/tunnels.ts`: 2,000 live WebSockets and 200 event streams that are moved from blue to green by a switch, once as it is and once
 * while green refuses half of the handshakes; and what it costs that tunnels can be moved: memory of 10,000 idle ones, and CPU per megabyte,
 * with `drain.tunnels` and with `tunnels: false`.
 *
 * Fails when a message or event was broken or lost, or not all have come over; never because of a time.
 */
import { execFileSync } from 'node:child_process'
import { positive, readOptions, say } from './options.ts'
import { decimal, occasion, spread, writeSection } from './report.ts'
import { FLOWS, FRAMES, type Idle, KINDS, type Kind, measureFlows, measureIdle } from './tunnel-costs.ts'
import { EVERY_MS, type Move, measureMove, type Part } from './tunnel-move.ts'

/** Descriptors that a proxy needs besides two for each tunnel. */
const SPARE_DESCRIPTORS = 1_000
const REFUSES_MS = 5_000
/** Of what flows, to one round of idle tunnels. */
const FLOW_PAIRS = 4

/** What must not be, in sentences. */
function faultsOf({ asked, end, tally, letGo, seconds }: Move): string[] {
  const lost = end.sent - tally.arrived
  return [
    ...(Number.isFinite(seconds)
      ? []
      : [`${end.green} of ${asked.tunnels} tunnels and ${end.readersOnGreen} readers came over`]),
    ...(end.faults === 0 ? [] : [`${end.faults} broken messages or events: ${end.reasons.join('; ')}`]),
    ...(lost === 0 && tally.wrong === 0
      ? []
      : [`of what clients have sent ${lost} were lost, ${tally.wrong} came twice or late`]),
    ...(letGo.cut === 0 ? [] : [`${letGo.cut} tunnels were cut`]),
  ]
}

/** Of what a move is made of, by name. */
const PARTS: readonly (readonly [Part, string])[] = [
  ['sent', 'tunnels and readers closed, by the metrics'],
  ['seen', 'Close read by a client'],
  ['asked', 'handshake read by green'],
  ['opened', 'tunnel open again'],
]

const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`

function renderMoves(moves: readonly Move[]): string[] {
  const line = (name: string, of: (move: Move) => string) => row([name, ...moves.map(of)])
  const many = (value: number) => decimal(value, 0)
  return [
    row([
      '',
      ...moves.map(({ asked }) =>
        asked.refusesMs === 0 ? 'as it is' : `half refused for ${asked.refusesMs / 1_000} s`,
      ),
    ]),
    row(['---', ...moves.map(() => '---:')]),
    line('tunnels, readers', ({ asked }) => `${many(asked.tunnels)}, ${many(asked.readers)}`),
    line('of them on green at the end', ({ end }) => `**${many(end.green)}, ${many(end.readersOnGreen)}**`),
    line('seconds until all were there', ({ seconds }) => decimal(seconds, 1)),
    line('reconnects of tunnels, refused before', ({ end }) => `${many(end.againMs.length)}, ${many(end.refused)}`),
    ...PARTS.map(([part, name]) =>
      line(`${name}: the most in a second ÷ mean`, ({ rates }) => {
        const { most, mean } = rates[part]
        return `${many(most)} ÷ ${many(mean)} = **${decimal(most / mean, 2)}**`
      }),
    ),
    line(
      'longest stall of clients, of targets, ms',
      ({ stalls }) => `${many(stalls.clients)}, ${many(stalls.targets)}`,
    ),
    line('messages to clients, events', ({ end }) => `${many(end.messages)}, ${many(end.events)}`),
    line('of them broken or missing', ({ end }) => `**${many(end.faults)}**`),
    line(
      'messages of clients, lost, twice or late',
      ({ end, tally }) => `${many(end.sent)}, **${many(end.sent - tally.arrived)}**, **${many(tally.wrong)}**`,
    ),
    line('closes by another code than 1012', ({ end }) => many(end.otherCloses)),
    line('status: let go, closed, cut, come elsewhere', ({ letGo }) =>
      [letGo.before, letGo.closed, letGo.cut, letGo.moved].map(many).join(', '),
    ),
    line(
      'share on green, status against clients, greatest difference',
      ({ difference }) => `${decimal(100 * difference, 1)} %`,
    ),
  ]
}

const { values, ...options } = readOptions(
  `usage: node bench/tunnels.ts [options]
  --clients N         WebSockets that are moved (default 2,000)
  --readers N         event streams that are moved (default 200)
  --over SECONDS      time that they are moved over (default 10)
  --idle N            idle tunnels (default 10,000; fewer where the system allows fewer)`,
  { rounds: 3, seconds: 3 },
  { clients: { type: 'string' }, readers: { type: 'string' }, over: { type: 'string' }, idle: { type: 'string' } },
)
const number = (name: string, usual: number, quick: number) =>
  positive(`--${name}`, values[name] ?? (options.quick ? quick : usual))
const limit = Number(execFileSync('sh', ['-c', 'ulimit -n']).toString())
const allowed = Number.isFinite(limit) ? Math.floor((limit - SPARE_DESCRIPTORS) / 2) : Infinity
const idleCount = Math.min(allowed, number('idle', 10_000, 200))
const asked = {
  tunnels: number('clients', 2_000, 200),
  readers: number('readers', 200, 20),
  overSeconds: number('over', 10, 3),
}
const moves: Move[] = []
for (const refusesMs of [0, REFUSES_MS]) {
  const move = await measureMove({ ...asked, refusesMs })
  moves.push(move)
  say(`moved ${move.end.green} of ${asked.tunnels} in ${decimal(move.seconds, 1)} s; ${faultsOf(move).join('; ')}`)
}
const idles = new Map<Kind, Idle[]>(KINDS.map((kind) => [kind, []]))
for (let round = 0; round < options.rounds; round++) {
  for (const kind of KINDS) {
    const idle = await measureIdle(kind, idleCount)
    idles.get(kind)!.push(idle)
    say(
      `${kind} ${round + 1}/${options.rounds}: ${Math.round(idle.resident)} bytes of an idle tunnel, ${idle.held} held`,
    )
  }
}
const flows = await measureFlows(FLOW_PAIRS * options.rounds, options.seconds)

function render(): string {
  const costs = KINDS.map((kind) => {
    const kilobytes = (part: 'resident' | 'heap') =>
      spread(
        idles.get(kind)!.map((idle) => idle[part] / 1_024),
        1,
      )
    const flowCells = FRAMES.flatMap((frame) => {
      const rounds = flows.get(frame)!.get(kind)!
      return [
        spread(
          rounds.map(({ cpu }) => cpu),
          0,
        ),
        spread(
          rounds.map((flow) => flow.megabytesPerSecond),
          0,
        ),
      ]
    })
    return row([
      kind === 'moved' ? '`drain.tunnels`' : '`tunnels: false`',
      kilobytes('resident'),
      kilobytes('heap'),
      ...flowCells,
    ])
  })
  const ratios = FRAMES.flatMap((frame) => {
    const [moved, not] = KINDS.map((kind) => flows.get(frame)!.get(kind)!)
    return [
      `**${spread(
        moved.map(({ cpu }, i) => cpu / not[i].cpu),
        2,
      )}**`,
      '',
    ]
  })
  const frameHeads = FRAMES.flatMap((frame) => [`µs/MB, frames of ${decimal(frame, 0)}`, 'MB/s'])
  const heads = ['', 'resident KiB of an idle tunnel', 'JavaScript heap KiB', ...frameHeads]
  return [
    '## Tunnels',
    '',
    occasion(new Date()),
    '',
    ...renderMoves(moves),
    '',
    row(heads),
    row(heads.map((_, i) => (i === 0 ? '---' : '---:'))),
    ...costs,
    row(['of each pair, the first ÷ the second', '', '', ...ratios]),
    '',
    `**How it was measured.** \`node bench/tunnels.ts\`: clients and targets with the package \`ws\`, a message each way every ${EVERY_MS} ms on every`,
    `tunnel, every third to the client in two fragments with a ping between them; \`switch\` to green with \`drain.tunnels.over: ${asked.overSeconds}s\`; who is`,
    'closed comes back at once, who is refused after 0.1 to 1 s. The most in a second is that of any second. From one line to the next stand what the',
    'closes wait for: a client, the answer of its target to its own Close, then a place in the turns of the event loop of each process on the way; so the first',
    'tells of the pace, and what the others add, of processes that share two cores. Node accepts one connection of a socket in such a turn, so green has 32',
    'sockets on its port. The shares are asked for one after the other, so they differ by what happens between.',
    `Below: one worker, ${decimal(idleCount, 0)} idle tunnels, garbage collected before and with them; ${FLOWS} raw tunnels that`,
    `send as fast as is taken, on one core, the load on another, by one process whose service is set the one way and the other by turns. ${options.rounds} rounds,`,
    `${FLOW_PAIRS * options.rounds} pairs of what flows, medians, least and greatest in brackets.`,
  ].join('\n')
}

if (options.json)
  console.log(JSON.stringify({ moves, idles: [...idles], flows: [...flows].map(([frame, of]) => [frame, [...of]]) }))
else {
  const text = render()
  if (!options.quick) writeSection('tunnels', text)
  console.log(text)
}
const faults = moves.flatMap(faultsOf)
for (const fault of faults) console.error(`failed: ${fault}`)
process.exitCode = faults.length === 0 ? 0 : 1
