/** The log on a terminal is for people; what goes into a pipe is JSON, as test/helpers/proxy.ts reads it. */
import { expect, test } from 'vitest'
import { forPeople } from '../../src/log/people.ts'

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
})

test('what is no JSON stays as it is', () => {
  expect(forPeople('{"level":"info"\n')).toBe('{"level":"info"\n')
  expect(forPeople('7\n')).toBe('7\n')
})
