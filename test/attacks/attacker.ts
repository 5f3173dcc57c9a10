/** Starts and directs the process of an attacker (attacker-process.ts). Knows no test runner, since the bench uses it too. */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { AttackName } from './attacks.ts'
import type { Tally } from './swarm.ts'

interface Message {
  readonly port?: number
  readonly on?: true
  readonly tally?: Tally
}

export class Attacker {
  /** Where its bad target listens. */
  readonly targetPort: number
  readonly pid: number
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, targetPort: number) {
    this.#child = child
    this.pid = child.pid!
    this.targetPort = targetPort
  }

  /** Starts the process; the attack itself waits for `begin`. Rejects when the process ends. */
  static async start(name: AttackName): Promise<Attacker> {
    const child = fork(fileURLToPath(new URL('./attacker-process.ts', import.meta.url)), [name], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    const { port } = await answerOf(child)
    return new Attacker(child, port!)
  }

  /** Attacks the proxy on this port; resolves once the attack is in full swing. */
  async begin(port: number): Promise<void> {
    const answer = answerOf(this.#child)
    this.#child.send({ on: port })
    await answer
  }

  /** Drops all connections; resolves with what became of all so far. */
  async cease(): Promise<Tally> {
    const answer = answerOf(this.#child)
    this.#child.send({ off: true })
    return (await answer).tally!
  }

  /** Ends the process. */
  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const gone = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.kill('SIGKILL')
    await gone
  }
}

function answerOf(child: ChildProcess): Promise<Message> {
  return new Promise((resolve, reject) => {
    const ended = () => reject(new Error('the attacker has ended'))
    child.once('exit', ended)
    child.once('message', (message) => {
      child.off('exit', ended)
      resolve(message as Message)
    })
  })
}
