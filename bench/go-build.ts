/**
 * Builds a peer written in Go, in a copy of its own module, as its authors build it: with its own go.sum and its own
 * replacements, which `go install module@version` refuses. One package at a time, since Traefik has more than two thousand.
 */
import { chmodSync, cpSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { GoProgram } from './peers/go-program.ts'
import { findProgram, runChild } from './process.ts'

const ENVIRONMENT = { CGO_ENABLED: '0', GOFLAGS: '-p=1 -buildvcs=false', GOMAXPROCS: '1', GOTOOLCHAIN: 'local' }

/** Builds it in an empty folder and gives the path of the program in there. */
export async function buildGo(program: GoProgram, folder: string): Promise<string> {
  const go = findProgram('go', ['/usr/local/go/bin'])
  if (go === null) throw new Error('there is no Go toolchain on PATH or in /usr/local/go')
  const source = join(folder, 'source')
  cpSync(await download(go, program), source, { recursive: true })
  makeWritable(source)
  const built = join(folder, 'program')
  const command = [go, 'build', '-C', source, '-trimpath', '-o', built, program.command]
  await runChild(['nice', '-n', '15', ...command], { core: null, env: ENVIRONMENT })
  return built
}

/** Folder of the module in Go's own cache. */
async function download(go: string, { module, version }: GoProgram): Promise<string> {
  const command = [go, 'mod', 'download', '-json', `${module}@${version}`]
  return JSON.parse(await runChild(command, { core: null, env: ENVIRONMENT })).Dir
}

/** Go's module cache is read-only, and so is a copy of it: it could not be deleted again. */
function makeWritable(folder: string): void {
  chmodSync(folder, 0o755)
  for (const name of readdirSync(folder)) {
    const path = join(folder, name)
    if (statSync(path).isDirectory()) makeWritable(path)
  }
}
