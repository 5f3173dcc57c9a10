/**
 * `npm run bench:build-peers`: builds the peers that are written in Go, once, into a cache outside of the checkout.
 *
 * Each is built in a copy of its own module, as its authors build it: with its own go.sum and its own replacements, which
 * `go install module@version` refuses. Only what the module proxy gives is used. One package at a time and with the lowest
 * priority, since Traefik has more than two thousand of them; expect half an hour on two cores. What is there already is
 * left as it is; `--force` builds it anew. A program that cannot be built is named, and the others are still built.
 */
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { cacheFolder, GO_PROGRAMS, type GoProgram, goProgramPath, goProgramVersion } from './peers/go-program.ts'
import { findProgram, runChild } from './process.ts'

const ENVIRONMENT = { CGO_ENABLED: '0', GOFLAGS: '-p=1 -buildvcs=false', GOMAXPROCS: '1', GOTOOLCHAIN: 'local' }

/** Folder of the module in Go's own cache. */
async function download(go: string, { module, version }: GoProgram): Promise<string> {
  const command = [go, 'mod', 'download', '-json', `${module}@${version}`]
  return JSON.parse(await runChild(command, { core: null, env: ENVIRONMENT })).Dir
}

async function build(go: string, program: GoProgram): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'turnout-build-'))
  try {
    const source = join(folder, 'source')
    cpSync(await download(go, program), source, { recursive: true })
    makeWritable(source)
    const built = join(folder, 'program')
    const command = [go, 'build', '-C', source, '-trimpath', '-o', built, program.command]
    await runChild(['nice', '-n', '15', ...command], { core: null, env: ENVIRONMENT })
    mkdirSync(cacheFolder(), { recursive: true })
    const path = goProgramPath(program)
    // Beside its place first, so that a program in its place is always whole.
    cpSync(built, `${path}.new`)
    renameSync(`${path}.new`, path)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Go's module cache is read-only, and so is a copy of it: it could not be deleted again. */
function makeWritable(folder: string): void {
  chmodSync(folder, 0o755)
  for (const name of readdirSync(folder)) {
    const path = join(folder, name)
    if (statSync(path).isDirectory()) makeWritable(path)
  }
}

const { values } = parseArgs({ options: { force: { type: 'boolean', default: false } } })
const go = findProgram('go', ['/usr/local/go/bin'])
if (go === null) {
  console.error('there is no Go toolchain on PATH or in /usr/local/go')
  process.exit(1)
}
for (const program of GO_PROGRAMS) {
  const name = `${program.name} ${program.version}`
  if (goProgramVersion(program) !== null && !values.force) {
    console.log(`${name}: is there`)
    continue
  }
  console.log(`${name}: being built`)
  try {
    await build(go, program)
    console.log(`${name}: ${goProgramPath(program)}`)
  } catch (error) {
    console.error(`${name}: ${error instanceof Error ? error.message : String(error)}`)
    process.exitCode = 1
  }
}
