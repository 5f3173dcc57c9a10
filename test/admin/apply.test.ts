/** Applying the text of a config file. */
import { expect, test } from 'vitest'
import type { ChangeOptions } from '../../src/change.ts'
import { TurnoutError } from '../../src/errors.ts'
import { startAdmin } from './stand-in.ts'

const YAML = 'services:\n  shop: {}\n'
const yaml = { 'content-type': 'application/yaml' }

const kept = [{ pointer: '/services/shop/split', runs: { blue: 1 }, file: { green: 1 } }]
const APPLIED = { revision: 9, epoch: 8, appliedInMs: 1.5, changed: true, changes: [], kept, others: ['api'] }

test('the text is handed on as it is, with the variables, the caller and If-Match', async () => {
  const calls: [string, object, ChangeOptions][] = []
  const { call } = await startAdmin({
    async applyText(text, env, { signal: _signal, ...options }) {
      calls.push([text, env, options])
      return APPLIED
    },
  })
  const answer = await call('POST', '/v1/apply', { text: YAML, env: { VERSION: '1.2' } }, { 'if-match': '"7"' })
  expect([answer.status, answer.headers.get('etag')]).toEqual([200, '"9"'])
  expect(answer.body).toEqual(APPLIED)
  await call('POST', '/v1/apply', { text: '{"services": {}}' })
  await call('POST', '/v1/apply?force=true&prune=true', YAML, yaml)
  const said = { actor: 'local', force: false, prune: false, dryRun: false, waitMs: 10_000 }
  expect(calls).toEqual([
    [YAML, { VERSION: '1.2' }, { ...said, ifMatch: 7 }],
    ['{"services": {}}', {}, { ...said, ifMatch: undefined }],
    [YAML, {}, { ...said, force: true, prune: true, ifMatch: undefined }],
  ])
})

test('a JSON body that is not a text with variables is refused, with every fault', async () => {
  const { call } = await startAdmin()
  const pointers = async (body: unknown) => {
    const answer = await call('POST', '/v1/apply', body)
    expect([answer.status, answer.body.code]).toEqual([422, 'invalid'])
    return answer.body.errors.map((fault: { pointer: string }) => fault.pointer)
  }
  expect(await pointers({ services: {} })).toEqual(['/services', '/text'])
  expect(await pointers({ text: 1, env: { A: 1 } })).toEqual(['/text', '/env'])
  expect(await pointers({ text: '', env: ['a'] })).toEqual(['/env'])
})

test('faults come back with line and column, and nothing else of the inside', async () => {
  const fault = { pointer: '/services/shop', message: 'no', line: 2, column: 3, source: 'file', path: 'services.shop' }
  const { call } = await startAdmin({
    applyText: async () => {
      throw new TurnoutError('invalid', 'line 2, column 3: no', [fault])
    },
  })
  const { status, body } = await call('POST', '/v1/apply', YAML, yaml)
  expect([status, body.code, body.detail]).toEqual([422, 'invalid', 'line 2, column 3: no'])
  expect(body.errors).toEqual([{ pointer: '/services/shop', message: 'no', line: 2, column: 3 }])
})

test('a form type is refused here too, YAML is refused elsewhere, and an empty text is malformed', async () => {
  const { call } = await startAdmin()
  expect((await call('POST', '/v1/apply', YAML, { 'content-type': 'text/plain' })).status).toBe(415)
  expect((await call('PUT', '/v1/services/shop', YAML, yaml)).status).toBe(415)
  expect((await call('POST', '/v1/apply')).body.code).toBe('malformed')
  expect((await call('POST', '/v1/apply', '', yaml)).body.code).toBe('malformed')
})

test('a file may be larger than other bodies, up to 8 MiB', async () => {
  const seen: number[] = []
  const { call } = await startAdmin({
    async applyText(text) {
      seen.push(text.length)
      return APPLIED
    },
  })
  expect((await call('POST', '/v1/apply', '#'.repeat(2 * 1024 * 1024), yaml)).status).toBe(200)
  expect((await call('POST', '/v1/apply', '#'.repeat(8 * 1024 * 1024 + 1), yaml)).body.code).toBe('too_large')
  expect(seen).toEqual([2 * 1024 * 1024])
})
