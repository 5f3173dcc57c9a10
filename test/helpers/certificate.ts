/** Certificates for tests, made by openssl: signed by themselves, so whoever is given the certificate trusts it. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
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

/** The same, of a certificate that was valid for a day of 2020. */
export function makeExpired(openssl: string, folder: string, names = 'DNS:localhost,IP:127.0.0.1'): Certificate {
  const { keyFile } = makeCertificate(openssl, folder, names)
  const certFile = join(folder, 'expired.pem')
  const [request, config, database, serial] = ['request.pem', 'ca.cnf', 'database', 'serial'].map((name) =>
    join(folder, name),
  )
  const about = [
    '[ca]',
    'default_ca=own',
    '[own]',
    `new_certs_dir=${folder}`,
    `database=${database}`,
    `serial=${serial}`,
  ]
  const how = ['default_md=sha256', 'policy=any', 'x509_extensions=names', '[any]', 'commonName=supplied']
  writeFileSync(config, `${[...about, ...how, '[names]', `subjectAltName=${names}`].join('\n')}\n`)
  writeFileSync(database, '')
  writeFileSync(serial, '01\n')
  const quiet = { stdio: 'ignore' } as const
  execFileSync(openssl, ['req', '-new', '-key', keyFile, '-subj', '/CN=turnout test', '-out', request], quiet)
  const sign = ['ca', '-selfsign', '-batch', '-notext', '-config', config, '-keyfile', keyFile]
  const dates = ['-startdate', '20200101000000Z', '-enddate', '20200102000000Z']
  execFileSync(openssl, [...sign, ...dates, '-in', request, '-out', certFile], quiet)
  return { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8'), certFile, keyFile }
}
