/** The log and the access log on a terminal are for people; what goes into a pipe is JSON, as test/helpers/proxy.ts reads it. */
import { expect, test } from 'vitest'
import { accessForPeople, forPeople, mayColour } from '../../src/log/people.ts'

test('a line has its time, its level, what happened and with what, and no control codes', () => {
  const common = { level: 'info', time: Date.UTC(2026, 10, 29, 10, 5, 7), pid: 1, hostname: 'vm' }
  const line = (more: object) => forPeople(`${JSON.stringify({ ...common, ...more })}\n`)
  expect(line({ msg: 'serving', listeners: ['http://127.0.0.1:8080'], admin: 'http://127.0.0.1:9900' })).toBe(
    '10:05:07 INFO  serving listeners=["http://127.0.0.1:8080"] admin=http://127.0.0.1:9900\n',
  )
  expect(line({ level: 'error', err: { message: 'The disk is full.', stack: 'x' }, msg: 'could not end' })).toBe(
    '10:05:07 ERROR could not end: The disk is full.\n',
  )
  expect(line({ msg: 'a\u001b[2Jb\u009b1m', name: 'c\rd' })).toBe('10:05:07 INFO  a?[2Jb?1m name=c?d\n')
  // What the message of an event says is not said again.
  const split = { event: 'change', eventId: 7, service: 'shop', revision: 3, actor: 'ci', kind: 'split' }
  expect(line({ ...split, msg: 'shop split blue=90, green=10 by ci' })).toBe(
    '10:05:07 INFO  shop split blue=90, green=10 by ci revision=3\n',
  )
})

test('the level of a line that is bad is coloured where the terminal may show colours, and nothing that was logged is a code', () => {
  const line = (level: string, msg: string) => forPeople(`${JSON.stringify({ level, time: 0, msg })}\n`, true)
  expect(line('warn', 'a\u001b[2J')).toBe('00:00:00 \u001b[33mWARN \u001b[0m a?[2J\n')
  expect(line('error', 'a')).toBe('00:00:00 \u001b[31mERROR\u001b[0m a\n')
  expect(line('info', 'a')).toBe('00:00:00 INFO  a\n')
  expect(line('__proto__', 'a')).toBe('00:00:00 __PROTO__ a\n')
  expect(mayColour({ TERM: 'xterm' })).toBe(true)
  expect(mayColour({ TERM: 'xterm', NO_COLOR: '' })).toBe(true)
  expect(mayColour({ TERM: 'xterm', NO_COLOR: '1' })).toBe(false)
  expect(mayColour({ TERM: 'dumb' })).toBe(false)
  expect(mayColour({})).toBe(false)
})

test('what is no JSON stays as it is', () => {
  expect(forPeople('{"level":"info"\n')).toBe('{"level":"info"\n')
  expect(forPeople('7\n')).toBe('7\n')
})

test('a request is a line with what was asked, who has answered, and what went wrong, without control codes', () => {
  const request = {
    time: '2026-11-29T10:05:07.123Z',
    requestId: 'r-1',
    client: '10.0.0.7',
    method: 'GET',
    host: 'shop.test',
  }
  const place = { service: 'shop', pool: 'blue', version: '1.0', target: '127.0.0.1:3001', reason: 'split', epoch: 3 }
  const end = { bytesIn: 0, bytesOut: 9, durationMs: 1.25, ttfbMs: 1, retries: 0, attempt: 'good', error: null }
  const good = { ...request, path: '/a\u001b[2J', status: 200, ...place, ...end }
  const bad = {
    ...good,
    path: '/b',
    status: 502,
    durationMs: 30.04,
    retries: 2,
    waitedMs: 7.5,
    error: 'upstream_closed',
  }
  const nowhere = {
    ...bad,
    status: 404,
    service: null,
    pool: null,
    target: null,
    reason: null,
    retries: 0,
    waitedMs: undefined,
    error: 'no_route',
  }
  const refused = { time: request.time, client: '10.0.0.7', status: 400, error: 'bad_request' }
  const text = [good, bad, nowhere, refused].map((line) => `${JSON.stringify(line)}\n`).join('')
  expect(Buffer.from(accessForPeople(Buffer.from(text))).toString()).toBe(
    [
      '10:05:07 200 GET shop.test/a?[2J  shop/blue 127.0.0.1:3001  1.3 ms  reason=split\n',
      '10:05:07 502 GET shop.test/b  shop/blue 127.0.0.1:3001  30.0 ms  reason=split  retries=2  waitedMs=7.5  error=upstream_closed  requestId=r-1\n',
      '10:05:07 404 GET shop.test/b  30.0 ms  error=no_route  requestId=r-1\n',
      '10:05:07 400 10.0.0.7  error=bad_request\n',
    ].join(''),
  )
})
