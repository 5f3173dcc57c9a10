/** What a start that the system refuses says: what was tried, on which address or file, and what to do; its own words last. */
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { checkFree } from '../../src/dataplane/downstream/listener.ts'
import { TurnoutError } from '../../src/errors.ts'
import { BadConfig, startFailure } from '../../src/serve/start-failure.ts'
import { temporaryFolder } from '../helpers/proxy.ts'

/** An error as a worker passes it on: its code and message alone. */
const of = (code: string, message: string) => startFailure(Object.assign(new Error(message), { code }))

/** What work throws that the system itself refuses. */
function refused(work: () => void): string {
  try {
    work()
  } catch (error) {
    return startFailure(error)
  }
  throw new Error('it was not refused')
}

test('an address that is taken, that this machine does not have, or whose name it does not know', async () => {
  const other = net.createServer().listen(0, '127.0.0.1')
  onTestFinished(() => void other.close())
  await new Promise((resolve) => other.once('listening', resolve))
  const { port } = other.address() as net.AddressInfo
  const listen = (host: string, at: number) => checkFree({ host, port: at }).catch(startFailure)
  expect(await listen('127.0.0.1', port)).toBe(
    `127.0.0.1:${port} is taken: another process listens there; end that one (ss -ltnp names it), or take another address`,
  )
  expect(await listen('192.0.2.1', 8080)).toBe('192.0.2.1:8080 cannot be listened on: this machine has no such address')
  expect(await listen('no-such-name.invalid', 8080)).toMatch(
    /^no-such-name\.invalid cannot be listened on: no address of this machine has that name \(getaddrinfo E\w+ no-such-name\.invalid\)$/,
  )
})

test.each([
  [
    'EACCES',
    'listen EACCES: permission denied 0.0.0.0:80',
    '0.0.0.0:80 cannot be listened on: permission denied; a port below 1024 needs CAP_NET_BIND_SERVICE, or take another',
  ],
  [
    'EAFNOSUPPORT',
    'listen EAFNOSUPPORT: address family not supported :::8080',
    ':::8080 cannot be listened on: this machine has no addresses of that kind (IPv6, or IPv4)',
  ],
  [
    'EMFILE',
    "EMFILE: too many open files, open '/etc/turnout.yaml'",
    "the start needs more open files than it may have; raise ulimit -n or LimitNOFILE (EMFILE: too many open files, open '/etc/turnout.yaml')",
  ],
  [
    'EMFILE',
    'listen EMFILE: too many open files 0.0.0.0:8080',
    'the start needs more open files than it may have; raise ulimit -n or LimitNOFILE (listen EMFILE: too many open files 0.0.0.0:8080)',
  ],
  [
    'ENFILE',
    'ENFILE: file table overflow',
    /^the start needs more open files than the system has; raise fs\.file-max /,
  ],
  ['ENOMEM', 'ENOMEM: not enough memory, mmap', /^the start needs more memory than it may have /],
  ['EAGAIN', 'spawn EAGAIN', /^the start needs more threads or memory than it may have; raise ulimit -u or TasksMax /],
  ['EXDEV', 'EXDEV: cross-device link', 'the system refused what the start needs (EXDEV: cross-device link)'],
])('%s: %s', (code, message, told) => {
  expect(of(code, message)).toEqual(typeof told === 'string' ? told : expect.stringMatching(told))
})

test('a file is named, and why it cannot be written or read', () => {
  const folder = temporaryFolder()
  mkdirSync(join(folder, 'events'))
  expect(refused(() => appendFileSync(join(folder, 'events'), 'x'))).toBe(
    `${folder}/events cannot be used: it is a folder`,
  )
  expect(refused(() => writeFileSync(join(folder, 'none', 'x'), 'x'))).toBe(
    `${folder}/none/x cannot be used: there is no such folder`,
  )
  const full = Object.assign(new Error('ENOSPC: no space left on device, open'), { code: 'ENOSPC', path: '/data/x' })
  expect(startFailure(full)).toBe('/data/x cannot be used: the disk is full')
})

test('too little memory for what workers share is no bug', () => {
  expect(refused(() => new ArrayBuffer(Number.MAX_SAFE_INTEGER))).toMatch(
    /^the start needs more memory than it may have /,
  )
})

test('faults of the config stand each in a line, and a bug has its stack', () => {
  expect(startFailure(new BadConfig('turnout.yaml:1:2: a fault'))).toBe('turnout.yaml:1:2: a fault')
  const fault = { pointer: '/listeners/0/tls', message: 'x.pem holds no certificate in PEM' }
  expect(startFailure(new TurnoutError('invalid', 'The listeners cannot be opened.', [fault]))).toBe(
    'The listeners cannot be opened.\n/listeners/0/tls: x.pem holds no certificate in PEM',
  )
  expect(startFailure(new TypeError('a bug'))).toMatch(/^TypeError: a bug\n +at /)
})
