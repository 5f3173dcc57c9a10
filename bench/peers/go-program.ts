/**
 * Peers written in Go: which module and version each is, and where its program lies once it was built.
 *
 * They are not in Debian (or old there), so `npm run bench:build-peers` builds them once from their module path into a cache
 * outside of the checkout; nothing is ever built by an install, a test or a bench. A peer that was not built is "not
 * installed here". They run with GOMAXPROCS=1, as all others run with one thread for the work.
 */
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

export interface GoProgram {
  readonly name: string
  readonly module: string
  /** Pinned, so that two machines measure the same. */
  readonly version: string
  /** Package of the command, within the module. */
  readonly command: string
}

export const CADDY: GoProgram = {
  name: 'caddy',
  module: 'github.com/caddyserver/caddy/v2',
  version: 'v2.11.9',
  command: './cmd/caddy',
}

/** The last version whose module holds all of its packages: 3.7 replaces one by a folder that the module leaves out. */
export const TRAEFIK: GoProgram = {
  name: 'traefik',
  module: 'github.com/traefik/traefik/v3',
  version: 'v3.6.12',
  command: './cmd/traefik',
}

export const KAMAL_PROXY: GoProgram = {
  name: 'kamal-proxy',
  module: 'github.com/basecamp/kamal-proxy',
  version: 'v0.9.2',
  command: './cmd/kamal-proxy',
}

export const GO_PROGRAMS: readonly GoProgram[] = [KAMAL_PROXY, CADDY, TRAEFIK]

/** Environment that all of them run with. */
export const GO_ENVIRONMENT: Readonly<Record<string, string>> = { GOMAXPROCS: '1' }

/** Where the programs are kept: `TURNOUT_BENCH_CACHE`, or `~/.cache/turnout-bench`. */
export function cacheFolder(): string {
  return process.env['TURNOUT_BENCH_CACHE'] || join(homedir(), '.cache', 'turnout-bench')
}

/** Where the program is, or will be once it was built. */
export function goProgramPath({ name, version }: GoProgram): string {
  return join(cacheFolder(), `${name}-${version}`)
}

/** Version of a program that was built, else null. */
export function goProgramVersion(program: GoProgram): string | null {
  return existsSync(goProgramPath(program)) ? program.version.slice(1) : null
}
