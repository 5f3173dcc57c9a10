/** What a start that fails says: what was tried, with which file or address, in our own words; and what --check finds before. */
import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { stringify } from 'yaml'
import { MAIN } from '../helpers/built.ts'
import { makeCertificate } from '../helpers/certificate.ts'
import { program } from '../helpers/programs.ts'
import { service, temporaryFolder, testConfig } from '../helpers/proxy.ts'

const openssl = program('openssl')

/** Runs `serve --check`, or the start itself, with this config. */
function serve(config: Record<string, unknown>, folder: string, ...more: string[]) {
  const file = join(folder, 'turnout.yaml')
  const services = { shop: service({ blue: ['http://127.0.0.1:1'] }) }
  writeFileSync(file, stringify(testConfig({ services, ...config })))
  return new Promise<{ code: number | string | null; err: string }>((resolve) => {
    execFile(process.execPath, [MAIN, 'serve', '--config', file, ...more], { cwd: folder }, (error, _, err) => {
      resolve({ code: error?.code ?? 0, err })
    })
  })
}

test.skipIf(openssl === null)(
  '--check and the start tell of certificates that are missing, no PEM, or of another key',
  async () => {
    const folder = temporaryFolder()
    const other = join(folder, 'other')
    mkdirSync(other)
    makeCertificate(openssl!, folder)
    makeCertificate(openssl!, other)
    writeFileSync(join(folder, 'bad.pem'), 'nothing')
    const tls = (cert: string, key: string) => ({ address: '127.0.0.1:0', tls: { cert, key } })
    const good = [tls('cert.pem', 'key.pem')]
    expect(await serve({ listeners: good }, folder, '--check')).toEqual({ code: 0, err: '' })
    const listeners = [tls('none.pem', 'key.pem'), tls('bad.pem', 'key.pem'), tls('cert.pem', 'other/key.pem')]
    for (const flags of [['--check'], []]) {
      const { code, err } = await serve({ listeners }, folder, ...flags)
      expect(code).toBe(1)
      expect(err).toContain(`/listeners/0/tls: ${folder}/none.pem cannot be read: there is no such file`)
      expect(err).toContain(`/listeners/1/tls: ${folder}/bad.pem holds no certificate in PEM`)
      expect(err).toContain(
        `/listeners/2/tls: ${folder}/other/key.pem is not the key of the first certificate in ${folder}/cert.pem`,
      )
    }
  },
)

test('--check tells of a store whose folder is not there', async () => {
  const folder = temporaryFolder()
  const { code, err } = await serve({ store: 'sqlite:./none/turnout.db' }, folder, '--check')
  expect(code).toBe(1)
  expect(err).toContain(
    `The store ${folder}/none/turnout.db cannot be opened: the folder ${folder}/none does not exist`,
  )
})

test.each([
  ['nothing', '', 'is empty'],
  ['text', 'these are not the bytes of a database. '.repeat(99), 'is not a SQLite file'],
])('a store of %s is told as that by --check and by the start, which leave it as it is', async (_what, bytes, why) => {
  const folder = temporaryFolder()
  writeFileSync(join(folder, 'turnout.db'), bytes)
  for (const flags of [['--check'], []]) {
    const { code, err } = await serve({ store: 'sqlite:./turnout.db' }, folder, ...flags)
    expect(code).toBe(1)
    expect(err.split('\n').filter((line) => line !== '')).toEqual([
      expect.stringContaining(`The store ${folder}/turnout.db ${why}`),
    ])
    expect(readFileSync(join(folder, 'turnout.db'), 'utf8')).toBe(bytes)
  }
})

test('an address that the machine does not have is told as that', async () => {
  const { code, err } = await serve({ listeners: [{ address: '192.0.2.1:8080' }] }, temporaryFolder())
  expect(code).toBe(1)
  expect(err).toBe('192.0.2.1:8080 cannot be listened on: this machine has no such address\n')
})

test('--check and the start tell of files of visitors that cannot be used', async () => {
  const folder = temporaryFolder()
  writeFileSync(join(folder, 'bad.txt'), 'u-1\nu\0')
  const rule = (file: string) => ({ name: file, when: { not: { visitor: { file } } }, to: 'blue' })
  const rules = [rule('bad.txt'), rule('none.txt')]
  const services = { shop: service({ blue: ['http://127.0.0.1:1'] }, { rules }) }
  for (const flags of [['--check'], []]) {
    const { code, err } = await serve({ services }, folder, ...flags)
    expect(code).toBe(1)
    expect(err).toContain(
      `/services/shop/rules/0/when/not/visitor/file: ${folder}/bad.txt line 2 has a control character`,
    )
    expect(err).toContain(
      `/services/shop/rules/1/when/not/visitor/file: ${folder}/none.txt cannot be read: there is no`,
    )
  }
})

test('a config that cannot be read is told in words of ours first', async () => {
  const folder = temporaryFolder()
  mkdirSync(join(folder, 'conf.d'))
  const of = (config: string) =>
    new Promise<string>((resolve) => {
      execFile(process.execPath, [MAIN, 'serve', '--config', config], { cwd: folder }, (_error, _out, err) =>
        resolve(err),
      )
    })
  expect(await of('conf.d')).toBe('conf.d cannot be read: it is a folder\n')
  expect(await of('none.yaml')).toBe('none.yaml cannot be read: there is no such file; --config FILE names another\n')
  expect(await of('conf.d/none.yaml/x')).toMatch(/^conf\.d\/none\.yaml\/x cannot be read: there is no such file/)
})

test('--check tells all that would stop a start at once: addresses, files and the store; a port that is taken is told, and no fault of it', async () => {
  const folder = temporaryFolder()
  const other = net.createServer().listen(0, '127.0.0.1')
  onTestFinished(() => void other.close())
  await new Promise((resolve) => other.once('listening', resolve))
  const taken = { address: `127.0.0.1:${(other.address() as net.AddressInfo).port}` }
  expect(await serve({ listeners: [taken] }, folder, '--check')).toEqual({
    code: 0,
    err: expect.stringMatching(
      /^turnout serve: 127\.0\.0\.1:[0-9]+ is taken by another process: unless that is the Turnout .*\n$/,
    ),
  })
  expect(await serve({}, folder, '--check')).toEqual({ code: 0, err: '' })
  expect(await serve({}, folder, 'my.yaml')).toEqual({
    code: 2,
    err: expect.stringContaining('turnout serve: which file it is says --config: turnout serve --config my.yaml\n'),
  })
  const listeners = [
    taken,
    { address: '192.0.2.1:8080' },
    { address: 'no-such-name.invalid:8080', tls: { cert: 'none.pem', key: 'none.pem' } },
  ]
  const { code, err } = await serve({ listeners, store: 'sqlite:./none/turnout.db' }, folder, '--check')
  expect(code).toBe(1)
  const [, cert, key, address, name, store, ...rest] = err.split('\n')
  expect([cert, key]).toEqual(
    Array(2).fill(expect.stringMatching(/^\/listeners\/2\/tls: .*none\.pem cannot be read: /)),
  )
  expect(address).toBe('192.0.2.1 cannot be listened on: this machine has no such address')
  expect(name).toMatch(/^no-such-name\.invalid cannot be listened on: no address of this machine has that name /)
  expect(store).toMatch(/^The store .* cannot be opened: the folder .* does not exist\.$/)
  expect(rest).toEqual([''])
})
