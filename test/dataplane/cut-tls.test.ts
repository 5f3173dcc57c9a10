/** Over TLS there is no reset: an answer that breaks off lacks the closing alert, and the worker lives on. */
import tls from 'node:tls'
import { expect, test } from 'vitest'
import { makeCertificate } from '../helpers/certificate.ts'
import { program } from '../helpers/programs.ts'
import { service, startProxy, temporaryFolder } from '../helpers/proxy.ts'
import { startRaw } from '../helpers/upstream.ts'

const openssl = program('openssl')

test.skipIf(openssl === null)(
  'an answer without framing that breaks off is cut, and the next client is served',
  async () => {
    const target = await startRaw((socket, text) => {
      if (text.startsWith('GET /cut')) socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab')
      else socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n')
    })
    const certificate = makeCertificate(openssl!, temporaryFolder())
    const proxy = await startProxy({
      listeners: [{ address: '127.0.0.1:0', tls: { cert: certificate.certFile, key: certificate.keyFile } }],
      services: { shop: service({ blue: [target.url] }) },
    })
    const ask = (path: string) =>
      new Promise<string>((resolve) => {
        let text = ''
        const socket = tls.connect({ port: proxy.port, host: '127.0.0.1', ca: certificate.cert, maxVersion: 'TLSv1.2' })
        socket.on('secureConnect', () => socket.write(`GET ${path} HTTP/1.0\r\n\r\n`))
        socket.on('data', (bytes) => {
          text += bytes.toString('latin1')
        })
        socket.on('error', () => {})
        socket.on('close', () => resolve(text))
      })
    expect(await ask('/cut')).toMatch(/\r\n\r\nab$/)
    expect(await ask('/whole')).toMatch(/\r\n\r\nok$/)
  },
)
