/**
 * A target that answers wrongly harms its own exchange only: what is malformed is a 502 and a dead connection, what is cut is
 * seen to be cut, and bytes that belong to no request are given to none.
 */
import type { Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { rawRequest, until } from '../helpers/raw.ts'
import { shareProxy } from '../helpers/shared-proxy.ts'
import { type RawUpstream, startAnswering, startRaw } from '../helpers/upstream.ts'
import { RESPONSES } from './http1/corpus.ts'
import { readResponses } from './http1/reading.ts'

const proxyTo = shareProxy()
const get = (path = '/', ...lines: string[]) =>
  `GET ${path} HTTP/1.1\r\nHost: a\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`
const last = (path = '/') => get(path, 'Connection: close')
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

/** Calls back once the other side has closed or reset the connection. */
function onGone(socket: Socket, callback: () => void): void {
  let gone = false
  for (const event of ['end', 'close']) {
    socket.on(event, () => {
      if (!gone) callback()
      gone = true
      socket.end()
    })
  }
}

/** The path of each request head that a connection has brought so far. */
const pathsOf = (text: string) => [...text.matchAll(/^[A-Z]+ (\S+) HTTP\/1\.1\r$/gm)].map((match) => match[1])

/** A target that answers the requests on a connection one by one, each by its path; what is not listed gets `OK`. */
async function startByPath(answers: Record<string, string | readonly string[]>): Promise<RawUpstream> {
  const done = new Map<number, number>()
  return startRaw(async (socket, text, index) => {
    const paths = pathsOf(text)
    const from = done.get(index) ?? 0
    done.set(index, paths.length)
    for (const path of paths.slice(from)) {
      const answer = answers[path] ?? OK
      for (const piece of typeof answer === 'string' ? [answer] : answer) {
        if (piece === 'FIN') socket.end()
        else if (piece === 'RST') socket.resetAndDestroy()
        else await new Promise<void>((sent) => socket.write(piece, 'latin1', () => setTimeout(sent, 2)))
      }
    }
  })
}

describe('each response of the corpus', () => {
  test('is passed on when it is valid, and else a 502 and the end of the connection to the target', async () => {
    let closed = 0
    let answer = ''
    const target = await startRaw(
      (socket) => {
        socket.write(answer, 'latin1')
        // Those whose body ends with the connection.
        if (/^HTTP\/1\.[01] 200 OK\r\n\r\n/.test(answer)) socket.end()
      },
      (socket) => onGone(socket, () => closed++),
    )
    const proxy = await proxyTo(target)
    for (const { name, bytes, valid } of RESPONSES) {
      answer = bytes
      const before = closed
      const { text } = await rawRequest(proxy.port, last())
      const messages = readResponses(text).messages.filter(({ start }) => !start.startsWith('1'))
      const seen = messages.map(({ start, body }) => (start === '502' ? start : body))
      expect({ name, seen }).toEqual({ name, seen: [valid ? 'ok' : '502'] })
      // However a target writes its framing, the client reads it in one way.
      for (const line of text.match(/^(content-length|transfer-encoding):.*/gim) ?? []) {
        expect({ name, line }).toEqual({
          name,
          line: expect.stringMatching(/^(Content-Length: (0|[1-9]\d*)|Transfer-Encoding: chunked)$/),
        })
      }
      if (!valid) await until(`the connection of ${name} is closed`, () => closed > before)
    }
  })

  test('has the same outcome byte by byte, but that a fault within a body shows as a cut', async () => {
    let answer = ''
    const target = await startRaw(async (socket) => {
      const text = answer
      for (let at = 0; at < text.length && !socket.destroyed; at++) {
        await new Promise<void>((sent) => socket.write(text[at], 'latin1', () => setImmediate(sent)))
      }
      if (/^HTTP\/1\.[01] 200 OK\r\n\r\n/.test(text)) socket.end()
    })
    const proxy = await proxyTo(target)
    for (const { name, bytes, valid } of RESPONSES) {
      if (bytes.length > 1_000) continue
      answer = bytes
      const { text, end } = await rawRequest(proxy.port, last())
      const [message] = readResponses(text).messages.filter(({ start }) => !start.startsWith('1'))
      const seen = message === undefined ? 'cut' : message.start === '502' ? '502' : message.body
      if (valid) expect({ name, seen }).toEqual({ name, seen: 'ok' })
      else expect({ name, seen }).toEqual({ name, seen: text.includes('502 Bad Gateway') ? '502' : 'cut' })
      expect(end).not.toBe('open')
    }
  })
})

describe('bytes that belong to no request', () => {
  const POISON = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison'
  /** An answer that comes some ms after it could, so that a late body is there before it. */
  const LATE = ['', '', '', '', '', OK]

  test.each([
    ['a counted body', OK],
    ['chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'],
    ['no content', 'HTTP/1.1 204 No Content\r\n\r\n'],
    ['not modified', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n'],
  ])('behind %s end the connection to the target', async (_name, answer) => {
    const target = await startByPath({ '/first': answer + POISON })
    const proxy = await proxyTo(target)
    const { text } = await rawRequest(proxy.port, get('/first') + last('/second'))
    expect(text).not.toContain('poison')
    expect(text).toMatch(/ok$/)
    expect(target.received().map(pathsOf)).toEqual([['/first'], ['/second']])
  })

  test('behind a response that fills our reads to the last byte reach nobody', async () => {
    let size = 0
    const target = await startRaw((socket, text) => {
      if (text.includes('/next')) socket.write(OK)
      else socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n${'x'.repeat(size)}${POISON}`)
    })
    const proxy = await proxyTo(target)
    for (let i = 0; i < 150; i++) {
      const total = 65_536 * (1 + (i % 8))
      size = total - `HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`.length
      const { text } = await rawRequest(proxy.port, get() + last('/next'))
      expect(text).not.toContain('poison')
      expect(text).toMatch(/\r\n\r\nok$/)
    }
  })

  test('on an idle connection end it', async () => {
    let closed = 0
    const sockets: { write(text: string): void }[] = []
    const target = await startRaw(
      (socket) => socket.write(OK),
      (socket) => {
        sockets.push(socket)
        onGone(socket, () => closed++)
      },
    )
    const proxy = await proxyTo(target)
    expect((await rawRequest(proxy.port, last())).text).toMatch(/ok$/)
    sockets[0].write(POISON)
    await until('the connection is closed', () => closed === 1)
    const { text } = await rawRequest(proxy.port, last())
    expect(text).toMatch(/ok$/)
    expect(text).not.toContain('poison')
    expect(target.connections()).toBe(2)
  })

  test('after an answer to HEAD that comes with a late body reach nobody', async () => {
    const target = await startByPath({
      '/counted': ['HTTP/1.1 200 OK\r\nContent-Length: 45\r\n\r\n', POISON],
      '/chunked': ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', POISON],
      '/neither': ['HTTP/1.1 200 OK\r\n\r\n', POISON],
      '/next': LATE,
    })
    const proxy = await proxyTo(target)
    for (const path of ['/counted', '/chunked', '/neither']) {
      const { text } = await rawRequest(proxy.port, `HEAD ${path} HTTP/1.1\r\nHost: a\r\n\r\n${last('/next')}`)
      expect(text).not.toContain('poison')
      expect(text.match(/HTTP\/1\.1 200 OK/g)?.length).toBe(2)
      expect(text).toMatch(/\r\n\r\nok$/)
    }
  })

  test.each([
    ['204', 'HTTP/1.1 204 No Content\r\nContent-Length: 45\r\n\r\n'],
    ['304', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 45\r\n\r\n'],
    ['304 with chunks', 'HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ])('after a %s with a late body reach nobody', async (_name, head) => {
    const target = await startByPath({ '/empty': [head, POISON], '/next': LATE })
    const proxy = await proxyTo(target)
    const { text } = await rawRequest(proxy.port, get('/empty') + last('/next'))
    expect(text).not.toContain('poison')
    expect(text).toMatch(/\r\n\r\nok$/)
  })
})

describe('an answer without body', () => {
  test('to HEAD keeps what it says of its length', async () => {
    const target = await startAnswering('HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n')
    const proxy = await proxyTo(target)
    const head = 'HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
    const { text, end } = await rawRequest(proxy.port, head)
    expect(text).toContain('Content-Length: 12345\r\n')
    expect(text).toMatch(/\r\n\r\n$/)
    expect(end).toBe('closed')
  })

  test('to HEAD shows a coding to HTTP/1.1, and none to HTTP/1.0, which knows none', async () => {
    const target = await startAnswering('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
    const proxy = await proxyTo(target)
    const modern = await rawRequest(proxy.port, 'HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    expect(modern.text).toContain('Transfer-Encoding: chunked\r\n')
    const old = await rawRequest(proxy.port, 'HEAD / HTTP/1.0\r\n\r\n')
    expect(old.text).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(old.text).not.toMatch(/transfer-encoding/i)
  })

  test('with 204 has neither length nor coding', async () => {
    const target = await startAnswering('HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n')
    const proxy = await proxyTo(target)
    const { text } = await rawRequest(proxy.port, last())
    expect(text).toMatch(/^HTTP\/1\.1 204 No Content\r\n/)
    expect(text).not.toMatch(/transfer-encoding|content-length/i)
  })
})

describe('an answer that breaks off', () => {
  const cut = async (pieces: readonly string[], request = get()) => {
    const target = await startByPath({ '/': pieces })
    const proxy = await proxyTo(target)
    return rawRequest(proxy.port, request)
  }

  test.each(['FIN', 'RST'])('within its head, by %s, is a 502', async (how) => {
    const { text } = await cut(['HTTP/1.1 200 OK\r\nContent-Le', how], last())
    expect(text).toMatch(/^HTTP\/1\.1 502 /)
  })

  test.each(['FIN', 'RST'])('within a counted body, by %s, is short and closes', async (how) => {
    const { text, end } = await cut(['HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n', 'abc', how])
    expect(text).toContain('Content-Length: 10\r\n')
    expect(text).toMatch(/\r\n\r\nabc$/)
    expect(end).toBe('closed')
  })

  test.each(['FIN', 'RST'])('within chunks, by %s, lacks the last chunk and closes', async (how) => {
    const { text, end } = await cut(['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', '5\r\nab', how])
    expect(text).toMatch(/\r\n2\r\nab\r\n$/)
    expect(end).toBe('closed')
  })

  test('without length, by RST, lacks the last chunk and closes', async () => {
    const { text, end } = await cut(['HTTP/1.1 200 OK\r\n\r\n', 'abc', 'RST'])
    expect(text).toMatch(/\r\n3\r\nabc\r\n$/)
    expect(end).toBe('closed')
  })

  test('without length, by FIN, is whole', async () => {
    const { text } = await cut(['HTTP/1.1 200 OK\r\n\r\n', 'abc', 'FIN'], last())
    expect(text).toMatch(/\r\n3\r\nabc\r\n0\r\n\r\n$/)
  })

  test('and has nothing but the connection to show its end to HTTP/1.0, resets it', async () => {
    const answer = ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', '5\r\nab', 'FIN']
    expect((await cut(answer, 'GET / HTTP/1.0\r\n\r\n')).end).toBe('reset')
  })

  test('by a fault within its chunks is cut there, once a chunk has gone out', async () => {
    let fault = () => {}
    const target = await startRaw((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n')
      fault = () => socket.write('zz\r\n')
    })
    const proxy = await proxyTo(target)
    const watch = (text: string) => {
      if (text.endsWith('\r\n2\r\nab\r\n')) fault()
      return false
    }
    const { text, end } = await rawRequest(proxy.port, get(), { until: watch })
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(text).toMatch(/\r\n2\r\nab\r\n$/)
    expect(end).toBe('closed')
  })

  test('by a fault within its chunks is a 502 when nothing of it has gone out', async () => {
    const { text } = await cut(['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nzz\r\n'], last())
    expect(text).toMatch(/^HTTP\/1\.1 502 /)
  })
})

describe('the framing of an answer', () => {
  test('without length is by chunks to HTTP/1.1, and by the end of the connection to HTTP/1.0', async () => {
    const target = await startByPath({ '/': ['HTTP/1.0 200 OK\r\n\r\n', 'abc', 'FIN'] })
    const proxy = await proxyTo(target)
    const modern = await rawRequest(proxy.port, last())
    expect(modern.text).toContain('Transfer-Encoding: chunked\r\n')
    expect(modern.text).toMatch(/3\r\nabc\r\n0\r\n\r\n$/)
    const old = await rawRequest(proxy.port, 'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')
    expect(old.text).toMatch(/\r\n\r\nabc$/)
    expect(old.text).toContain('Connection: close\r\n')
    expect(old.text).not.toMatch(/transfer-encoding/i)
    expect(old.end).toBe('closed')
  })

  test('in chunks is taken off for HTTP/1.0, trailers and all', async () => {
    const body = '2\r\nab\r\n1;x\r\nc\r\n0\r\nX-A: b\r\n\r\n'
    const target = await startAnswering(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${body}`)
    const proxy = await proxyTo(target)
    const { text } = await rawRequest(proxy.port, 'GET / HTTP/1.0\r\n\r\n')
    expect(text).toMatch(/\r\n\r\nabc$/)
    expect(text).not.toMatch(/transfer-encoding/i)
  })

  test('by length lets HTTP/1.0 keep its connection', async () => {
    const target = await startAnswering(OK)
    const proxy = await proxyTo(target)
    const one = 'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n'
    const { text, end } = await rawRequest(proxy.port, one + 'GET / HTTP/1.0\r\n\r\n')
    expect(text.match(/\r\n\r\nok/g)?.length).toBe(2)
    expect(text.match(/Connection: keep-alive\r\n/g)?.length).toBe(1)
    expect(end).toBe('closed')
  })

  test('is kept by a target of HTTP/1.0 that asks for it, and by no other', async () => {
    const target = await startByPath({
      '/kept': 'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok',
      '/closed': 'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok',
    })
    const proxy = await proxyTo(target)
    await rawRequest(proxy.port, get('/kept') + get('/closed') + last('/new'))
    expect(target.received().map(pathsOf)).toEqual([['/kept', '/closed'], ['/new']])
  })

  test('that says close is believed', async () => {
    const target = await startByPath({ '/': 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok' })
    const proxy = await proxyTo(target)
    const { text } = await rawRequest(proxy.port, get() + last())
    expect(text.match(/\r\n\r\nok/g)?.length).toBe(2)
    expect(target.connections()).toBe(2)
  })
})

describe('interim responses', () => {
  const HINT = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n'

  test('go to HTTP/1.1', async () => {
    const proxy = await proxyTo(await startAnswering(HINT + OK))
    const { text } = await rawRequest(proxy.port, last())
    expect(text).toMatch(/^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a\.css>\r\n/)
    expect(text).toMatch(/\r\n\r\nHTTP\/1\.1 200 OK\r\n[\s\S]*ok$/)
  })

  test('do not go to HTTP/1.0', async () => {
    const proxy = await proxyTo(await startAnswering(HINT + OK))
    const { text } = await rawRequest(proxy.port, 'GET / HTTP/1.0\r\n\r\n')
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(text).not.toContain('103 Early Hints')
  })

  test('with 100 go to nobody who did not ask', async () => {
    const proxy = await proxyTo(await startAnswering(`HTTP/1.1 100 Continue\r\n\r\n${OK}`))
    const { text } = await rawRequest(proxy.port, last())
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
  })

  test('without end are a 502', async () => {
    const proxy = await proxyTo(await startAnswering(HINT.repeat(200) + OK))
    const { text, end } = await rawRequest(proxy.port, last())
    expect(text).toMatch(/HTTP\/1\.1 502 Bad Gateway\r\n/)
    expect(text.match(/103 Early Hints/g)?.length).toBeLessThan(100)
    expect(end).toBe('closed')
  })

  test('that close take the connection with them', async () => {
    const target = await startByPath({ '/': `HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\n${OK}` })
    const proxy = await proxyTo(target)
    await rawRequest(proxy.port, get() + last())
    expect(target.connections()).toBe(2)
  })

  test('lose the fields that frame a body or name the connection', async () => {
    const hint = 'HTTP/1.1 103 Early Hints\r\nConnection: x-a\r\nX-A: b\r\nKeep-Alive: timeout=5\r\n\r\n'
    const proxy = await proxyTo(await startAnswering(hint + OK))
    const { text } = await rawRequest(proxy.port, last())
    const interim = text.slice(0, text.indexOf('\r\n\r\n'))
    expect(interim).not.toMatch(/x-a|keep-alive|connection/i)
  })
})

test('the fault of one target is not seen by the requests of others', async () => {
  const target = await startByPath({ '/bad': 'HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n' })
  const proxy = await proxyTo(target)
  const all = await Promise.all(
    Array.from({ length: 40 }, (_, i) => rawRequest(proxy.port, last(i % 4 === 0 ? '/bad' : '/good'))),
  )
  const statuses = all.map(({ text }) => text.slice(9, 12))
  expect(statuses).toEqual(Array.from({ length: 40 }, (_, i) => (i % 4 === 0 ? '502' : '200')))
})
