/** The hosts file of the system: names with fixed addresses, asked before any name server. Pure. */
import { type Families, isUsable, plainAddress } from './address.ts'

/** Addresses by name in lower case. */
export type Hosts = ReadonlyMap<string, Families>

/** Reads the text of a hosts file; lines that are not `address name…` say nothing. */
export function parseHosts(text: string): Hosts {
  const hosts = new Map<string, { v4: string[]; v6: string[] }>()
  for (const line of text.split('\n')) {
    const [address, ...names] = line.replace(/#.*/, '').trim().split(/\s+/)
    const plain = plainAddress(address)
    if (plain === null || !isUsable(plain)) continue
    for (const name of names) {
      const key = name.toLowerCase().replace(/\.$/, '')
      const known = hosts.get(key) ?? { v4: [], v6: [] }
      hosts.set(key, known)
      const list: string[] = plain.includes(':') ? known.v6 : known.v4
      if (!list.includes(plain)) list.push(plain)
    }
  }
  return hosts
}
