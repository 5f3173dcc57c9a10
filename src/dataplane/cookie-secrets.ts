/** What our cookies are signed and told apart by: made once, and kept in the store, so that a restart keeps every visitor. */
import { randomBytes } from 'node:crypto'
import { TurnoutError } from '../errors.ts'
import type { Store } from '../store/store.ts'

export interface CookieSecrets {
  /** The first signs, all verify. */
  readonly cookieKeys: readonly string[]
  /** The id of this deployment in its cookies: short, and no secret. */
  readonly cookieLayer: string
}

const LAYER_BYTES = 3

/** Reads both from the store, or makes them. Rejects with `store_unavailable` when what is stored is no such thing. */
export async function cookieSecretsOf(store: Pick<Store, 'get' | 'putIfAbsent'>): Promise<CookieSecrets> {
  const kept = async (key: string, make: () => string): Promise<string> => {
    const known = await store.get(key)
    return known ?? store.putIfAbsent(key, make())
  }
  const keys = await kept('cookieKeys', () => JSON.stringify([randomBytes(32).toString('hex')]))
  const cookieLayer = await kept('cookieLayer', () => randomBytes(LAYER_BYTES).toString('hex'))
  if (!/^[0-9a-f]+$/.test(cookieLayer)) throw damaged('the id in its cookies')
  return { cookieKeys: keysOf(keys), cookieLayer }
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
