/**
 * From the listeners of a spec to what workers open: addresses taken apart, certificates and keys read.
 *
 * What is wrong with a certificate is found here and told with the names of the files, before any thread starts; a worker would
 * only have the words of OpenSSL.
 */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { type HostPort, hostAndPort, parseListenAddress } from '../config/address.ts'
import type { ListenerSpec } from '../config/schema-process.ts'
import type { ListenerPlan } from '../dataplane/messages.ts'
import { type Fault, TurnoutError } from '../errors.ts'
import { whyUnreadable } from '../lookups/watched-file.ts'
import { pairFaults } from '../pem.ts'

/** Reads what the listeners need; paths are relative to `directory`. Throws `invalid` with every fault. */
export function planListeners(listeners: readonly ListenerSpec[], directory: string): ListenerPlan[] {
  const faults: Fault[] = []
  const plans = listeners.map((listener, index) => {
    const { host, port } = addressOf(listener)
    if (listener.tls === undefined) return { host, port, tls: null }
    const pointer = `/listeners/${index}/tls`
    const fault = (message: string) => void faults.push({ pointer, message })
    const [certFile, keyFile] = [listener.tls.cert, listener.tls.key].map((path) => resolve(directory, path))
    const [cert, key] = [readText(certFile, fault), readText(keyFile, fault)]
    if (cert !== null && key !== null) {
      for (const message of pairFaults({ file: certFile, text: cert }, { file: keyFile, text: key })) fault(message)
    }
    return { host, port, tls: { cert: cert ?? '', key: key ?? '' } }
  })
  if (faults.length > 0) throw new TurnoutError('invalid', 'The listeners cannot be opened.', faults)
  return plans
}

/** The URL of a listener that has this port. */
export function listenerUrl(listener: ListenerSpec, port: number): string {
  const host = addressOf(listener).host || '0.0.0.0'
  return (listener.tls === undefined ? 'http://' : 'https://') + hostAndPort(host, port)
}

/** Where a listener or the admin API of a spec listens: the host, empty for every address, and the port. */
export function addressOf(listener: { readonly address: string }): HostPort {
  const address = parseListenAddress(listener.address)
  if (!('host' in address)) throw new Error('listener addresses are checked before')
  return address
}

function readText(file: string, fault: (message: string) => void): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    fault(`${file} ${whyUnreadable(error)}`)
    return null
  }
}
