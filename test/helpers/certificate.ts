/** Certificates for tests, made by openssl: signed by themselves, so whoever is given the certificate trusts it. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Certificate {
  readonly cert: string
  readonly key: string
  /** Files of the two. */
  readonly certFile: string
  readonly keyFile: string
}

/** Makes a key and a certificate for these names (`DNS:…`, `IP:…`) in a folder. */
export function makeCertificate(openssl: string, folder: string, names = 'DNS:localhost,IP:127.0.0.1'): Certificate {
  const certFile = join(folder, 'cert.pem')
  const keyFile = join(folder, 'key.pem')
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  const about = ['-subj', '/CN=turnout test', '-addext', `subjectAltName=${names}`]
  execFileSync(openssl, ['req', ...kind, ...about, '-keyout', keyFile, '-out', certFile], { stdio: 'ignore' })
  return { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8'), certFile, keyFile }
}
