/**
 * `npm run bench:build-peers`: builds the peers that Debian has not, or has in an older version, once, into a cache outside of
 * the checkout; `-- NAME …` builds only those.
 *
 * nginx and HAProxy are built from their source (source-build.ts), the others by Go (go-build.ts), each from what a package
 * registry gives and with a low priority; expect five minutes for the former and half an hour for the latter.
 * What is there already is left as it is; `--force` builds it anew. A program that cannot be built is named with the reason,
 * and the others are still built.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { buildGo } from './go-build.ts'
import { GO_PROGRAMS, goProgramPath } from './peers/go-program.ts'
import { SOURCE_PROGRAMS, sourceProgramPath } from './peers/source-program.ts'
import { buildSource } from './source-build.ts'

interface Wanted {
  readonly name: string
  /** How it is called in what is printed. */
  readonly title: string
  /** Where the program is, or will be. */
  readonly path: string
  /** Builds it in an empty folder and gives the path of the program in there. */
  build(folder: string): Promise<string>
}

const PROGRAMS: readonly Wanted[] = [
  ...SOURCE_PROGRAMS.map((program) => ({
    name: program.name,
    title: `${program.name} from source`,
    path: sourceProgramPath(program),
    build: (folder: string) => buildSource(program, folder),
  })),
  ...GO_PROGRAMS.map((program) => ({
    name: program.name,
    title: `${program.name} ${program.version}`,
    path: goProgramPath(program),
    build: (folder: string) => buildGo(program, folder),
  })),
]

async function build(program: Wanted): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'turnout-build-'))
  // However it ends: a build that is interrupted leaves nothing either.
  const clean = () => rmSync(folder, { recursive: true, force: true })
  process.once('exit', clean)
  try {
    const built = await program.build(folder)
    mkdirSync(dirname(program.path), { recursive: true })
    // Beside its place first, so that a program in its place is always whole.
    cpSync(built, `${program.path}.new`)
    renameSync(`${program.path}.new`, program.path)
  } finally {
    process.off('exit', clean)
    clean()
  }
}

const { values, positionals } = parseArgs({
  options: { force: { type: 'boolean', default: false } },
  allowPositionals: true,
})
const unknown = positionals.filter((name) => !PROGRAMS.some((program) => program.name === name))
if (unknown.length > 0) {
  console.error(`usage: node bench/build-peers.ts [--force] [${PROGRAMS.map(({ name }) => name).join(' | ')}] …`)
  process.exit(2)
}
for (const program of PROGRAMS.filter(({ name }) => positionals.length === 0 || positionals.includes(name))) {
  if (existsSync(program.path) && !values.force) {
    console.log(`${program.title}: is there`)
    continue
  }
  console.log(`${program.title}: being built`)
  try {
    await build(program)
    console.log(`${program.title}: ${program.path}`)
  } catch (error) {
    console.error(`${program.title}: ${error instanceof Error ? error.message.trim() : String(error)}`)
    process.exitCode = 1
  }
}
