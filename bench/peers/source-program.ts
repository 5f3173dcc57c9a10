/**
 * Peers that Debian has in an older version, built from their source: where the source of each comes from, how it is built,
 * and where its program lies once it was.
 *
 * Only package registries are asked, by their own clients, since that is all a machine that builds things may reach: nginx
 * comes as the crate that carries its source for Rust's bindings, HAProxy as Debian's source package, of the newest suite that
 * really gives it. `npm run bench:build-peers` builds them into the cache of go-program.ts; nothing else ever does. Which
 * version was built, the program says itself: it is not pinned for HAProxy, so RESULTS names it.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder } from './go-program.ts'

export type Origin =
  /** `folder` is that of the source within the crate. Pinned, so that two machines measure the same; another takes `--force`. */
  | { readonly crate: string; readonly version: string; readonly folder: string }
  /** A source package of Debian, and the suites to ask for it, the newest first. */
  | { readonly debian: string; readonly suites: readonly string[] }

export interface SourceProgram {
  readonly name: string
  readonly origin: Origin
  /** Command that prepares the source, run in its folder; null when there is nothing to prepare. */
  readonly configure: readonly string[] | null
  /** What make is given. */
  readonly make: readonly string[]
  /** Where the program lies in the folder of the source once it was built. */
  readonly built: string
}

/** Without the modules that need PCRE and zlib, which the job does not use; with -O2, as Debian builds it. */
export const NGINX: SourceProgram = {
  name: 'nginx',
  origin: { crate: 'nginx-src', version: '1.28.5', folder: 'nginx' },
  configure: [
    './auto/configure',
    '--without-pcre',
    '--without-http_rewrite_module',
    '--without-http_gzip_module',
    '--with-cc-opt=-O2',
  ],
  make: [],
  built: 'objs/nginx',
}

export const HAPROXY: SourceProgram = {
  name: 'haproxy',
  origin: { debian: 'haproxy', suites: ['unstable', 'testing', 'stable'] },
  configure: null,
  make: ['TARGET=linux-glibc'],
  built: 'haproxy',
}

export const SOURCE_PROGRAMS: readonly SourceProgram[] = [NGINX, HAPROXY]

/** Where the program is, or will be once it was built. */
export function sourceProgramPath({ name }: SourceProgram): string {
  return join(cacheFolder(), `${name}-from-source`)
}

/** Path of a program that was built, else null. */
export function findSourceProgram(program: SourceProgram): string | null {
  const path = sourceProgramPath(program)
  return existsSync(path) ? path : null
}
