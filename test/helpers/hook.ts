/** Somebody who is called by rollouts: hooks, and chats that are told. */
import type { IncomingMessage } from 'node:http'
import { startUpstream } from './upstream.ts'

/** Each call is answered with the status that `answer` gives for its whole body. */
export const startCalled = (
  answer: (text: string, request: IncomingMessage) => number | Promise<number>,
): Promise<{ readonly url: string }> =>
  startUpstream(async (request, response) => {
    const pieces: Buffer[] = []
    for await (const piece of request) pieces.push(piece as Buffer)
    response.writeHead(await answer(Buffer.concat(pieces).toString(), request)).end()
  })

/** A hook, and the bodies that it was called with. */
export async function startHook<Body = Record<string, unknown>>(
  answer: (body: Body, request: IncomingMessage) => number | Promise<number> = () => 200,
): Promise<{ readonly url: string; readonly heard: Body[] }> {
  const heard: Body[] = []
  const { url } = await startCalled((text, request) => {
    const body = JSON.parse(text) as Body
    heard.push(body)
    return answer(body, request)
  })
  return { url: `${url}/hook`, heard }
}
