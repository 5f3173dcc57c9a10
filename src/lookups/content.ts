/**
 * What is made of the bytes of a file, or of a URL, before threads are given it. What is no such file is a `FileFault`, so threads are
 * never given what they cannot read. Packages are loaded with the first file that needs them.
 */
import { isUtf8 } from 'node:buffer'
import { Countries, loadCountries } from '../dataplane/lookups/countries.ts'
import { publicKeysOf } from '../dataplane/lookups/tokens.ts'
import type { HashSecret } from '../table/half-sip-hash.ts'
import { ListFault, packVisitors, VisitorList } from '../table/visitor-list.ts'
import { FileFault } from './watched-file.ts'

export interface Content {
  readonly memory: SharedArrayBuffer
  readonly entries: number
  /** For people. */
  readonly words: string
}

/** The visitors of a file, in pieces, between which the main thread sees to other things. */
export async function visitorsIn(bytes: Uint8Array, secret: HashSecret): Promise<Content> {
  if (!isUtf8(bytes)) throw new FileFault('is no text in UTF-8')
  const steps = packVisitors(bytes, secret)
  try {
    for (let step = steps.next(); ; step = steps.next()) {
      if (step.done === true) return visitors(step.value)
      await new Promise((done) => setImmediate(done))
    }
  } catch (error) {
    throw error instanceof ListFault ? new FileFault(error.message) : error
  }
}

function visitors(memory: SharedArrayBuffer): Content {
  const { count } = new VisitorList(memory)
  return { memory, entries: count, words: `${count} visitors` }
}

/** A database of countries. What says what it is stands at its end, so one that is not whole is none. */
export async function countriesIn(bytes: Uint8Array<SharedArrayBuffer>): Promise<Content> {
  await loadCountries()
  try {
    const { type, built, nodes } = new Countries(bytes.buffer).about
    return { memory: bytes.buffer, entries: nodes, words: `countries of ${type}, ${built.toISOString().slice(0, 10)}` }
  } catch {
    throw new FileFault('is no database in the format .mmdb')
  }
}

/** The page for maintenance, as it is. */
export async function pageIn(bytes: Uint8Array<SharedArrayBuffer>): Promise<Content> {
  return { memory: bytes.buffer, entries: bytes.length, words: `page of ${bytes.length} bytes` }
}

/**
 * Keys of a JWKS. Each is imported here and in every worker, which takes up to 0.2 ms, and a token of a key that is not there is looked
 * for among all: thousands of them would stop all traffic for a second.
 */
export const KEYS_MAX = 256

/** The public keys of a JWKS, and nothing else of it. */
export async function keysIn(bytes: Uint8Array): Promise<Content> {
  const { createLocalJWKSet } = await import('jose')
  let jwks: ReturnType<ReturnType<typeof createLocalJWKSet>['jwks']>
  try {
    jwks = createLocalJWKSet(JSON.parse(Buffer.from(bytes).toString())).jwks()
  } catch {
    throw new FileFault('is no set of keys (JWKS)')
  }
  if (jwks.keys.length > KEYS_MAX) throw new FileFault(`has more than ${KEYS_MAX} keys`)
  const keys = publicKeysOf(jwks.keys as unknown as Readonly<Record<string, unknown>>[]).map(({ key, jwk }) => {
    const { kid, alg, use } = jwk
    return { ...key.export({ format: 'jwk' }), kid, alg, use }
  })
  if (keys.length === 0) throw new FileFault('has no public key that tokens are verified by')
  const text = Buffer.from(JSON.stringify({ keys }))
  const memory = new SharedArrayBuffer(text.length)
  new Uint8Array(memory).set(text)
  return { memory, entries: keys.length, words: keys.length === 1 ? '1 key' : `${keys.length} keys` }
}
