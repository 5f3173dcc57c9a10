/**
 * Certificates and keys in PEM, looked at before anything listens or connects by them. What is wrong is told with the names of the files and
 * in our own words first; whoever uses them later would only have the words of OpenSSL.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'

/** A file that was read. */
export interface PemFile {
  readonly file: string
  readonly text: string
}

const CERTIFICATES =
  /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[\s\S]*?-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g

/** Why TLS cannot be spoken by this certificate, with those that sign it behind it, and this key; none when it can. */
export function pairFaults(cert: PemFile, key: PemFile): string[] {
  const faults = certificateFaults(cert)
  const privateKey = keyOf(key)
  if (typeof privateKey === 'string') faults.push(privateKey)
  if (faults.length > 0 || typeof privateKey === 'string') return faults
  if (!new X509Certificate(cert.text).checkPrivateKey(privateKey)) {
    return [`${key.file} is not the key of the first certificate in ${cert.file}`]
  }
  try {
    createSecureContext({ cert: cert.text, key: key.text })
    return []
  } catch (error) {
    return [`${cert.file} with ${key.file} is not taken for TLS: ${(error as Error).message}`]
  }
}

/** Why nobody can be trusted by the certificates of this file; none when somebody can. */
export function certificateFaults({ file, text }: PemFile): string[] {
  const all = text.match(CERTIFICATES) ?? []
  if (all.length === 0) return [`${file} holds no certificate in PEM`]
  return all.flatMap((one, at) => {
    try {
      new X509Certificate(one)
      return []
    } catch (error) {
      return [`certificate ${at + 1} of ${all.length} in ${file} cannot be read (${(error as Error).message})`]
    }
  })
}

/** The key, or what is wrong with it. */
function keyOf({ file, text }: PemFile): ReturnType<typeof createPrivateKey> | string {
  try {
    return createPrivateKey(text)
  } catch (error) {
    const { code, message } = error as { readonly code?: string; readonly message: string }
    if (code === 'ERR_MISSING_PASSPHRASE' || /ENCRYPTED/.test(text))
      return `${file} is encrypted by a passphrase: give it without one (openssl pkey -in ${file} -out plain.pem)`
    return `${file} holds no private key in PEM that can be read (${message})`
  }
}
