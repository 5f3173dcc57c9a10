/** Certificates and keys that TLS cannot be spoken by are told with the names of their files, in our own words first. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { certificateFaults, pairFaults } from '../src/pem.ts'
import { makeCertificate } from './helpers/certificate.ts'
import { program } from './helpers/programs.ts'
import { temporaryFolder } from './helpers/proxy.ts'

const openssl = program('openssl')
const cert = (text: string) => ({ file: 'c.pem', text })
const key = (text: string) => ({ file: 'k.pem', text })

function made(names?: string) {
  const folder = join(temporaryFolder(), 'pair')
  mkdirSync(folder)
  return makeCertificate(openssl!, folder, names)
}

test.skipIf(openssl === null)('a pair that fits has no fault, with the chain behind it neither', () => {
  const [mine, other] = [made(), made('DNS:ca.test')]
  expect(pairFaults(cert(mine.cert), key(mine.key))).toEqual([])
  expect(pairFaults(cert(mine.cert + other.cert), key(mine.key))).toEqual([])
  expect(certificateFaults(cert(mine.cert + other.cert))).toEqual([])
})

test.skipIf(openssl === null)('each kind of fault names its file', () => {
  const [mine, other] = [made(), made()]
  const broken = other.cert.replace(/(?<=\n)[A-Za-z0-9+]{8}/, '!!!!!!!!')
  const locked = '-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGjMF8=\n-----END ENCRYPTED PRIVATE KEY-----\n'
  expect(pairFaults(cert('nothing'), key('neither'))).toEqual([
    'c.pem holds no certificate in PEM',
    expect.stringMatching(/^k\.pem holds no private key in PEM that can be read \(/),
  ])
  expect(pairFaults(cert(mine.key), key(mine.cert))).toEqual([
    'c.pem holds no certificate in PEM',
    expect.stringMatching(/^k\.pem holds no private key in PEM /),
  ])
  expect(pairFaults(cert(mine.cert), key(other.key))).toEqual([
    'k.pem is not the key of the first certificate in c.pem',
  ])
  expect(pairFaults(cert(mine.cert + broken), key(mine.key))).toEqual([
    expect.stringMatching(/^certificate 2 of 2 in c\.pem cannot be read \(/),
  ])
  expect(pairFaults(cert(mine.cert), key(locked))).toEqual([
    expect.stringMatching(/^k\.pem is encrypted by a passphrase: give it without one /),
  ])
  // Not told apart by us, and by OpenSSL not taken.
  const trailing = mine.cert + other.cert.replace('BEGIN', 'BEGUN')
  expect(pairFaults(cert(trailing + other.cert.replace('END', 'ENT')), key(mine.key))).toEqual([
    expect.stringMatching(/^c\.pem with k\.pem is not taken for TLS: /),
  ])
  expect(certificateFaults(cert(''))).toEqual(['c.pem holds no certificate in PEM'])
})
