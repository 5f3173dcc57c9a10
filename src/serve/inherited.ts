/**
 * What a process is given by the one whose place it takes, or by a service manager, fitted to its own config: sockets to the listeners that are the same, and the
 * store, which must be the same. Sockets of addresses that are in the config no more are closed here; the old process still has them, and
 * ends them once nothing waits there.
 */
import { closeSync } from 'node:fs'
import { shownStore } from '../config/hidden.ts'
import type { Spec } from '../config/schema.ts'
import { libc } from '../dataplane/socket/libc.ts'
import { TurnoutError } from '../errors.ts'
import { matchListeners } from '../upgrade/match.ts'
import type { Offer, OfferedListener } from '../upgrade/messages.ts'
import { addressOf } from './listener-plan.ts'
import type { ServeOptions } from './options.ts'
import { storeUrl } from './store-url.ts'
import { named } from './systemd.ts'

export interface Inherited {
  readonly sockets: NonNullable<ServeOptions['sockets']>
  /** Of each listener that was offered whether this process has it. */
  readonly taken: readonly boolean[]
}

/** Fits what is offered to this config. Throws `invalid` when the store is another one, or sockets cannot be shared here. */
export function inherit(offer: Offer, spec: Spec, folders: Parameters<typeof storeUrl>[1]): Inherited {
  const store = storeUrl(spec.store, folders)
  if (store !== offer.store) {
    const why = `an upgrade goes on with the store of the process that runs, ${shownStore(offer.store)}; restart to change it`
    throw new TurnoutError('invalid', `The config has another store, ${shownStore(store)}: ${why}.`)
  }
  const { descriptors, taken } = matchListeners(spec.listeners.map(addressOf), offer.listeners)
  const { descriptors: forAdmin } = matchListeners([addressOf(spec.admin)], [offer.admin])
  const used = new Set([...descriptors.flat(), ...forAdmin.flat()])
  for (const descriptor of [...offer.listeners, offer.admin].flatMap((listener) => listener.descriptors)) {
    if (!used.has(descriptor)) closeSync(descriptor)
  }
  const duplicate = offer.isShared ? duplicator() : null
  return { sockets: { listeners: descriptors, admin: forAdmin[0][0] ?? null, duplicate }, taken }
}

/** Fits sockets of the service manager to this config; undefined when there are none. Throws `invalid` when they cannot be used here. */
export function given(offered: readonly OfferedListener[], spec: Spec): ServeOptions['sockets'] {
  if (offered.length === 0) return undefined
  const wanted = [...spec.listeners, spec.admin].map(addressOf)
  const { descriptors } = matchListeners(wanted, named(offered, wanted))
  return { listeners: descriptors.slice(0, -1), admin: descriptors.at(-1)![0] ?? null, duplicate: duplicator() }
}

/** Makes a further descriptor of a socket. Throws where there is no way to (dataplane/socket/libc.ts). */
function duplicator(): (descriptor: number) => number {
  if (libc === null) {
    throw new TurnoutError('invalid', 'Sockets of a service manager need Node 26.1 or later on Linux, with node:ffi.')
  }
  const { duplicate } = libc
  return (descriptor) => {
    const made = duplicate(descriptor)
    if (made < 0) throw new TurnoutError('invalid', `Descriptor ${descriptor} cannot be duplicated: is there one left?`)
    return made
  }
}
