/** A small HTTP server that answers by a script and remembers what it was asked, and a call of the command line against it. */
import type { RequestListener, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'
import { type CliIo, runCli } from '../../src/cli/main.ts'
import { http } from '../helpers/http.ts'

export interface ExchangeRequest {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: string
}

/** Answers by `METHOD /path` without query: a JSON value with its status, or a function on the response. */
export type Script = Record<
  string,
  readonly [status: number, body: unknown] | ((response: ServerResponse, asked: ExchangeRequest) => void)
>

/** Starts the server; it ends with the test. */
export async function scripted(script: Script, port = 0) {
  const asked: ExchangeRequest[] = []
  const listener: RequestListener = async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const { method = '', url = '', headers } = request
    const one: ExchangeRequest = { method, url, headers, body }
    asked.push(one)
    const answer = script[`${method} ${url.split('?')[0]}`] ?? [404, problem('not_found', 'There is no such thing.')]
    if (typeof answer === 'function') return answer(response, one)
    const type = answer[0] < 400 ? 'application/json' : 'application/problem+json'
    response.writeHead(answer[0], { 'content-type': type }).end(JSON.stringify(answer[1]))
  }
  const server: Server = http.createServer(listener)
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  onTestFinished(stop)
  const bound = (server.address() as AddressInfo).port
  return { url: `http://127.0.0.1:${bound}`, port: bound, asked, script, stop }
}

/** An RFC 9457 body as the admin API sends it. */
export const problem = (code: string, detail: string, errors: readonly object[] = []) => ({ code, detail, errors })

/** What a change answers. */
export const outcome = (more: object = {}) => ({ revision: 7, epoch: 9, appliedInMs: 1.25, changed: true, ...more })

/** A call that goes on until `end`; what it wrote so far can be read at any time. */
export function start(argv: readonly string[], env: Record<string, string>, isTTY = true, more: Partial<CliIo> = {}) {
  const ended = new AbortController()
  const wrote = { out: '', err: '' }
  const write = (where: 'out' | 'err') => ({
    isTTY,
    columns: 200,
    write: (text: string) => {
      wrote[where] += text
    },
  })
  const code = runCli(argv, { env, stdout: write('out'), stderr: write('err'), signal: ended.signal, ...more })
  onTestFinished(() => ended.abort())
  return { wrote, code, end: () => ended.abort() }
}

/** Runs a verb against a server and resolves with what came of it. */
export async function turnout(url: string, ...argv: string[]) {
  const { wrote, code } = start(argv, { TURNOUT_ADMIN: url })
  return { code: await code, ...wrote }
}
