/** A fastify target, as people write one: JSON, hooks, streams, uploads and errors come through as fastify sent them. */
import { Readable } from 'node:stream'
import fastify from 'fastify'
import { Agent, request } from 'undici'
import { describe, expect, onTestFinished, test } from 'vitest'
import { patternOf } from '../helpers/pattern.ts'
import { shareProxy } from '../helpers/shared-proxy.ts'

const BIG = patternOf(5_000_000)

async function startFastify(): Promise<string> {
  const app = fastify({ bodyLimit: 50_000_000, trustProxy: true, forceCloseConnections: true })
  app.addContentTypeParser('application/octet-stream', { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  )
  app.get('/json', async ({ headers, ip, host, protocol }) => ({ headers, ip, host, protocol }))
  app.post('/json', async ({ body }) => ({ got: body }))
  app.post('/bytes', async ({ body }) => ({ same: BIG.equals(body as Buffer) }))
  app.get('/stream', (_request, reply) => {
    const pieces = Array.from({ length: 50 }, (_, i) => BIG.subarray(i * 100_000, (i + 1) * 100_000))
    return reply.type('application/octet-stream').send(Readable.from(pieces))
  })
  app.get('/buffer', (_request, reply) => reply.type('application/octet-stream').send(BIG))
  app.get('/cookies', (_request, reply) => reply.header('set-cookie', ['a=1; Path=/', 'b=2; Path=/']).send('two'))
  app.get('/fail', async () => {
    throw Object.assign(new Error('as it should'), { statusCode: 418 })
  })
  app.get('/empty', (_request, reply) => reply.code(204).send())
  onTestFinished(() => app.close())
  return app.listen({ host: '127.0.0.1', port: 0 })
}

describe.each([{ sharedReads: true }, { sharedReads: false }])(
  'fastify, with sharedReads $sharedReads',
  ({ sharedReads }) => {
    const proxyTo = shareProxy({}, { sharedReads })
    const start = async () => {
      const proxy = await proxyTo({ url: await startFastify() })
      const agent = new Agent({ connections: 4 })
      onTestFinished(() => agent.destroy())
      const ask = (path: string, options: Parameters<typeof request>[1] = {}) =>
        request(proxy.url + path, { dispatcher: agent, ...options })
      return { proxy, ask }
    }

    test('sees the client, the host and the protocol that the proxy was asked with', async () => {
      const { ask } = await start()
      const answer = await ask('/json', { headers: { host: 'shop.example.com', 'x-forwarded-for': '6.6.6.6' } })
      const seen = (await answer.body.json()) as Record<string, unknown>
      expect(seen).toMatchObject({ ip: '127.0.0.1', host: 'shop.example.com', protocol: 'http' })
      expect(seen['headers']).toMatchObject({ 'x-turnout-service': 'shop', 'x-turnout-pool': 'blue' })
    })

    test('JSON, large uploads and streams come through byte for byte', async () => {
      const { ask } = await start()
      const json = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"a":[1,"ü"]}' } as const
      expect(await (await ask('/json', json)).body.json()).toEqual({ got: { a: [1, 'ü'] } })
      const type = { 'content-type': 'application/octet-stream' }
      const counted = await ask('/bytes', { method: 'POST', headers: type, body: BIG })
      expect(await counted.body.json()).toEqual({ same: true })
      const chunks = Readable.from([BIG.subarray(0, 7), BIG.subarray(7, 2_000_000), BIG.subarray(2_000_000)])
      const chunked = await ask('/bytes', { method: 'POST', headers: type, body: chunks })
      expect(await chunked.body.json()).toEqual({ same: true })
      for (const path of ['/stream', '/buffer']) {
        expect(Buffer.from(await (await ask(path)).body.arrayBuffer()).equals(BIG)).toBe(true)
      }
    })

    test('errors, empty answers, HEAD and several cookies keep their form', async () => {
      const { ask } = await start()
      const failed = await ask('/fail')
      expect(failed.statusCode).toBe(418)
      expect(await failed.body.json()).toMatchObject({ message: 'as it should' })
      const empty = await ask('/empty')
      expect([empty.statusCode, await empty.body.text()]).toEqual([204, ''])
      const head = await ask('/buffer', { method: 'HEAD' })
      expect([head.headers['content-length'], await head.body.text()]).toEqual([String(BIG.length), ''])
      const cookies = await ask('/cookies')
      expect(cookies.headers['set-cookie']).toEqual(expect.arrayContaining(['a=1; Path=/', 'b=2; Path=/']))
      expect(await cookies.body.text()).toBe('two')
    })

    test('a thousand requests at once each get their own answer', async () => {
      const { ask } = await start()
      const answers = Array.from({ length: 1_000 }, async (_, i) => {
        const headers = { 'content-type': 'application/json' }
        const answer = await ask('/json', { method: 'POST', headers, body: JSON.stringify({ i }) })
        return ((await answer.body.json()) as { got: { i: number } }).got.i
      })
      expect(await Promise.all(answers)).toEqual(Array.from({ length: 1_000 }, (_, i) => i))
    })
  },
)
