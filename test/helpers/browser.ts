/** A browser as far as cookies are concerned: it keeps what it is given, by name, for as long as Max-Age says. */
import { type Answer, ask, BROWSER } from './ask.ts'

export class Browser {
  /** Name → value and when it is forgotten. */
  readonly jar = new Map<string, { readonly value: string; readonly endMs: number }>()
  /** Names of the cookies that the last answer has set. */
  set: string[] = []

  /** Asks with all cookies and keeps those of the answer. */
  async visit(port: number, path = '/', headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    for (const [name, { endMs }] of this.jar) if (endMs <= Date.now()) this.jar.delete(name)
    const cookie = [...this.jar].map(([name, { value }]) => `${name}=${value}`).join('; ')
    const answer = await ask(port, { path, headers: { ...BROWSER, ...(cookie === '' ? {} : { cookie }), ...headers } })
    this.set = []
    for (const line of answer.headers['set-cookie'] ?? []) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      const maxAgeS = Number(/; Max-Age=(\d+)/.exec(line)?.[1])
      this.jar.set(name, { value, endMs: Date.now() + maxAgeS * 1_000 })
      this.set.push(name)
    }
    return answer
  }
}
