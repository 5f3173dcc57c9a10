/** What our cookies are signed and told apart by: made once, and kept in the store, so that a restart keeps every visitor. */
import { randomBytes } from 'node:crypto'
import type { Store } from '../store/store.ts'

export interface CookieSecrets {
  /** The first signs, all verify. */
  readonly cookieKeys: readonly string[]
  /** The id of this deployment in its cookies: short, and no secret. */
  readonly cookieLayer: string
}

const LAYER_BYTES = 3

/** Reads both from the store, or makes them. */
export async function cookieSecretsOf(store: Pick<Store, 'get' | 'put'>): Promise<CookieSecrets> {
  const kept = async (key: string, make: () => string): Promise<string> => {
    const known = await store.get(key)
    if (known !== null) return known
    const value = make()
    await store.put(key, value)
    return value
  }
  const keys = await kept('cookieKeys', () => JSON.stringify([randomBytes(32).toString('hex')]))
  const cookieLayer = await kept('cookieLayer', () => randomBytes(LAYER_BYTES).toString('hex'))
  return { cookieKeys: JSON.parse(keys) as string[], cookieLayer }
}
