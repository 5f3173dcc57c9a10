/**
 * The attacker: a process of its own, so that its work is not timed as that of the victims. Started by attacker.ts with the
 * name of an attack. Where the attack needs a bad target, it listens here; the clients come and go as they are told to.
 *
 *   out {port}   in {on: port of the proxy}   out {on: true} once in full swing   in {off}   out {tally} so far
 */
import { type AddressInfo, createServer } from 'node:net'
import { ATTACKS } from './attacks.ts'
import { Swarm, type Tally } from './swarm.ts'

const attack = ATTACKS[process.argv[2]]
const tally: Tally = {}
let swarms: Swarm[] = []

const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
  socket.on('error', () => {})
  if (attack.target === undefined) socket.destroy()
  else attack.target(socket)
})
server.listen(0, '127.0.0.1', () => process.send!({ port: (server.address() as AddressInfo).port }))

function whenOn(tell: () => void): void {
  const look = setInterval(() => {
    if (!swarms.every((swarm) => swarm.isOn)) return
    clearInterval(look)
    tell()
  }, 5)
}

process.on('message', (message: { on?: number; off?: true }) => {
  if (message.on !== undefined) {
    const port = message.on
    // Each counts its own connections to know when it is on; what became of them is added up when it stops.
    swarms = attack.scripts.map((script) => new Swarm(port, script, {}))
    whenOn(() => process.send!({ on: true }))
  } else {
    for (const swarm of swarms) {
      swarm.stop()
      for (const [what, count] of Object.entries(swarm.tally)) tally[what] = (tally[what] ?? 0) + count
    }
    process.send!({ tally })
  }
})
// Nobody is left to tell when the parent has gone.
process.on('disconnect', () => process.exit())
