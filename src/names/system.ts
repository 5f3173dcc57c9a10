/**
 * What this machine says on names: its hosts file, its resolv.conf, and which families of addresses it has.
 *
 * The files are looked at again and again, since others change them while we run (Docker, DHCP clients, VPNs), and parsed only
 * when they have changed. One that is missing or cannot be read says nothing, as for any resolver.
 */
import { readFileSync, statSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import type { Clock } from '../clock.ts'
import { type Hosts, parseHosts } from './hosts-file.ts'
import { parseResolvConf, type ResolvConf } from './resolv-conf.ts'

/** A file of addresses that is longer than this is not read: it is none. */
const FILE_BYTES_MAX = 16 * 1024 * 1024
/** Many names may be due at once; the files are looked at once a second at most. */
const LOOK_AGAIN_MS = 1_000

/** Where the files are. */
export interface SystemFiles {
  readonly hosts: string
  readonly resolvConf: string
}

/** Where Unix has them. */
export const SYSTEM_FILES: SystemFiles = Object.freeze({ hosts: '/etc/hosts', resolvConf: '/etc/resolv.conf' })

/** What a lookup needs to know of this machine. */
export interface System {
  readonly hosts: Hosts
  readonly resolvConf: ResolvConf
  /** True when it can only be reached, and reach others, by IPv6. */
  readonly prefersV6: boolean
}

/** Tells of this machine as it is now, give or take a second. */
export function createSystem(clock: Clock, files: SystemFiles): () => System {
  const hosts = watched(files.hosts, parseHosts)
  const resolvConf = watched(files.resolvConf, parseResolvConf)
  let present: System | null = null
  let readMs = 0
  return () => {
    const nowMs = clock.monotonicMs()
    if (present === null || nowMs - readMs >= LOOK_AGAIN_MS) {
      present = { hosts: hosts(), resolvConf: resolvConf(), prefersV6: hasOnlyV6(present?.prefersV6 ?? false) }
      readMs = nowMs
    }
    return present
  }
}

/** A file that is parsed again when it has changed; one that cannot be read is empty. */
function watched<T>(path: string, parse: (text: string) => T): () => T {
  let seen = ''
  let value = parse('')
  return () => {
    const now = stampOf(path)
    if (now === seen) return value
    try {
      value = parse(now === '' ? '' : readFileSync(path, 'utf8'))
      seen = now
    } catch {
      // It was replaced in between: the next look finds the new one.
    }
    return value
  }
}

/** Empty where there is nothing to read. */
function stampOf(path: string): string {
  try {
    const { ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true })
    return size > FILE_BYTES_MAX ? '' : `${ino} ${size} ${mtimeNs} ${ctimeNs}`
  } catch {
    return ''
  }
}

/** As it was before where the system does not tell, for want of descriptors or of the right to ask. */
function hasOnlyV6(before: boolean): boolean {
  try {
    return isOnlyV6()
  } catch {
    return before
  }
}

function isOnlyV6(): boolean {
  const outer = Object.values(networkInterfaces()).flatMap(
    (entries) => entries?.filter(({ internal }) => !internal) ?? [],
  )
  const routed = outer.filter(({ family, address }) => family !== 'IPv6' || !/^fe[89ab]/i.test(address))
  return routed.length > 0 && routed.every(({ family }) => family === 'IPv6')
}
