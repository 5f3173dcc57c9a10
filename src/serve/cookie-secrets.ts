/**
 * What our cookies are signed and told apart by: made once, and kept in the store, so that a restart keeps every visitor. The config may
 * name other keys, before that one or in its place.
 */
import { randomBytes } from 'node:crypto'
import { STORED_KEY } from '../config/schema-process.ts'
import { TurnoutError } from '../errors.ts'
import type { Store } from '../store/store.ts'
import type { Sealing } from './sealing.ts'

export interface CookieSecrets {
  /** The first signs, all verify. */
  readonly cookieKeys: readonly string[]
  /** The id of this deployment in its cookies: short, and no secret. */
  readonly cookieLayer: string
}

const LAYER_BYTES = 3
/** Name of the keys in the store. */
const KEYS = 'cookieKeys'

/**
 * Reads both from the store, or makes them: of several processes that come first, all have those of one. `wanted` are the keys in the
 * order of the config. Rejects with `store_unavailable` when what is stored is no such thing, and with `invalid` when it cannot be decrypted.
 */
export async function cookieSecretsOf(
  store: Pick<Store, 'get' | 'put' | 'putIfAbsent'>,
  sealing: Sealing,
  wanted: readonly string[] = [STORED_KEY],
): Promise<CookieSecrets> {
  const kept = async (key: string, make: () => string): Promise<string> =>
    (await store.get(key)) ?? store.putIfAbsent(key, make())
  const made = () => sealing.seal(KEYS, JSON.stringify([randomBytes(32).toString('hex')]))
  const keys = sealing.open(KEYS, await kept(KEYS, made))
  // While the store is away it stays as it is.
  if (keys.isStale) await store.put(KEYS, sealing.seal(KEYS, keys.text)).catch(() => {})
  const cookieLayer = await kept('cookieLayer', () => randomBytes(LAYER_BYTES).toString('hex'))
  if (!/^[0-9a-f]+$/.test(cookieLayer)) throw damaged('the id in its cookies')
  const stored = keysOf(keys.text)
  return { cookieKeys: wanted.flatMap((key) => (key === STORED_KEY ? stored : [key])), cookieLayer }
}

function keysOf(text: string): readonly string[] {
  const isKey = (key: unknown) => typeof key === 'string' && key !== ''
  try {
    const keys: unknown = JSON.parse(text)
    if (Array.isArray(keys) && keys.length > 0 && keys.every(isKey)) return keys
  } catch {
    // Told below, as anything else that is no list of keys.
  }
  throw damaged('its cookie keys')
}

const damaged = (what: string) => new TurnoutError('store_unavailable', `The store is damaged: ${what} cannot be read.`)
