/**
 * What nobody is shown: of the URL of a store who connects and how; and a viewer, of whatever holds settings of rollouts: secrets of hooks, what their URLs and commands carry, and where
 * notifications go, which is a secret by itself with Slack and others. Pure; by shape, so that specs, patches and revisions are all alike.
 */
import { isRecord } from './record.ts'
import type { RedisSpec } from './schema-store.ts'

/** Stands where something is not shown; it is refused as a value (check-rollout.ts). */
export const HIDDEN = '(hidden)'

/** The setting of a store as it may be shown, a URL or the map as JSON: without user, password and query. */
export const shownStore = (text: string): string =>
  text.startsWith('{') ? shownRedis((JSON.parse(text) as { redis: RedisSpec }).redis) : shownUrl(text)

const shownUrl = (url: string): string => url.replace(/^(\w+:\/\/)(?:[^/?#]*@)?([^?#]*).*$/s, '$1$2')

function shownRedis({ url, sentinels, name, cluster, database, keyPrefix }: RedisSpec): string {
  const place = url === undefined ? `redis://${(sentinels ?? cluster ?? []).join(',')}` : shownUrl(url)
  const more = [
    ...(sentinels === undefined ? [] : [`sentinels of ${name}`]),
    ...(cluster === undefined ? [] : ['cluster']),
    ...(database === undefined ? [] : [`database ${database}`]),
    ...(keyPrefix === undefined ? [] : [`keys {${keyPrefix}}`]),
  ]
  return more.length === 0 ? place : `${place} (${more.join(', ')})`
}

/** The value without its secrets; the very same where it has none. */
export function withoutSecrets(value: unknown, key = ''): unknown {
  if (Array.isArray(value)) {
    const hide = key === 'hooks' ? hookHidden : key === 'notify' ? addressHidden : withoutSecrets
    const hidden = value.map((entry) => hide(entry))
    return hidden.every((entry, at) => entry === value[at]) ? value : hidden
  }
  if (!isRecord(value)) return value
  const entries = Object.entries(value).map(([name, entry]) => [name, withoutSecrets(entry, name)] as const)
  return entries.every(([name, entry]) => entry === value[name]) ? value : Object.fromEntries(entries)
}

function hookHidden(hook: unknown): unknown {
  if (!isRecord(hook)) return hook
  const { url, secret, command } = hook
  return {
    ...hook,
    ...(secret !== undefined && { secret: HIDDEN }),
    ...(typeof url === 'string' && { url: url.replace(/^(https?:\/\/)[^/?]*@/, '$1').replace(/\?.*$/s, `?${HIDDEN}`) }),
    ...(Array.isArray(command) && command.length > 1 && { command: [command[0], HIDDEN] }),
  }
}

function addressHidden(address: unknown): unknown {
  if (!isRecord(address) || typeof address['url'] !== 'string') return address
  const [origin = ''] = /^https?:\/\/[^/?@]*(?=[/?]|$)/.exec(address['url']) ?? []
  return { ...address, url: `${origin}/${HIDDEN}` }
}
