/**
 * Builds a peer from its source, which a package registry gives: by cargo as a crate, or by apt as a source package of Debian.
 *
 * Nothing of the system is changed. The crate is taken into a cargo project that is thrown away; apt works on sources, indexes
 * and a cache of its own, which it checks against the keys of Debian's archive as always. The mirror is the one that apt is
 * configured for here. An index may name what its mirror does not hold, so the suites are tried until one gives the source.
 * What is built is what the authors released, without the patches of Debian: for a bench on loopback, not for service.
 */
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Origin, SourceProgram } from './peers/source-program.ts'
import { findProgram, runChild } from './process.ts'

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'

/** Builds it in an empty folder and gives the path of the program in there. */
export async function buildSource({ origin, ...program }: SourceProgram, folder: string): Promise<string> {
  for (const tool of ['make', 'cc']) requireProgram(tool)
  const source = 'crate' in origin ? await crateSource(origin, folder) : await debianSource(origin, folder)
  if (program.configure !== null) await runIn(source, program.configure)
  await runIn(source, ['make', '-j1', ...program.make])
  return join(source, program.built)
}

type CrateOrigin = Extract<Origin, { crate: string }>
type DebianOrigin = Extract<Origin, { debian: string }>

/** Folder of the source in the crate, taken as a dependency of a project that is nothing else. */
async function crateSource({ crate, version, folder: within }: CrateOrigin, folder: string): Promise<string> {
  mkdirSync(join(folder, 'src'))
  writeFileSync(join(folder, 'src/lib.rs'), '')
  const head = '[package]\nname = "peer"\nversion = "0.0.0"\nedition = "2021"\n'
  writeFileSync(join(folder, 'Cargo.toml'), `${head}[dependencies]\n${crate} = "=${version}"\n`)
  await runIn(folder, [requireProgram('cargo', cargoFolders()), 'vendor', '--quiet', 'vendor'])
  return join(folder, 'vendor', crate, within)
}

const cargoFolders = () => [join(process.env['HOME'] ?? '/', '.cargo/bin')]

/** Folder of the source that the first of the suites gives. */
async function debianSource({ debian, suites }: DebianOrigin, folder: string): Promise<string> {
  requireProgram('apt-get')
  const mirror = await debianMirror()
  // apt gives up root for downloads, and must then still get at what it has written.
  chmodSync(folder, 0o755)
  for (const suite of suites) {
    try {
      return await suiteSource(debian, `${mirror} ${suite}`, join(folder, suite))
    } catch (error) {
      const reason = error instanceof Error ? error.message.trim() : String(error)
      console.log(`${debian}: not from Debian ${suite}: ${reason}`)
    }
  }
  throw new Error(`none of Debian ${suites.join(', ')} gave its source`)
}

/** Address of Debian's packages, as apt is configured here. */
async function debianMirror(): Promise<string> {
  const ofDebian = ['Origin: Debian', 'Created-By: Packages']
  const command = ['apt-get', 'indextargets', '--format', '$(REPO_URI) $(RELEASE)', ...ofDebian]
  const targets = await runIn('/', command)
  // Those of updates and of security (bookworm-security) do not hold the whole of a suite.
  const mirror = targets.split('\n').find((line) => /^\S+ [a-z]+$/.test(line))
  if (mirror === undefined) throw new Error('apt knows no Debian mirror here (does `apt-get update` work?)')
  return mirror.split(' ')[0]
}

/** Downloads the source package of one suite and unpacks what its authors released, without what Debian adds. */
async function suiteSource(name: string, repository: string, folder: string): Promise<string> {
  const source = join(folder, 'source')
  // apt makes the last folder of a path at most.
  for (const path of [source, join(folder, 'lists/partial'), join(folder, 'cache/archives/partial')])
    mkdirSync(path, { recursive: true })
  writeFileSync(join(folder, 'sources.list'), `deb-src [signed-by=${KEYRING}] ${repository} main\n`)
  const settings = [
    `Dir::Etc::SourceList "${folder}/sources.list";`,
    'Dir::Etc::SourceParts "/dev/null";',
    `Dir::State::Lists "${folder}/lists";`,
    `Dir::Cache "${folder}/cache";`,
    // What the system has set to be done after an update is about its own indexes.
    '#clear APT::Update::Post-Invoke;',
    '#clear APT::Update::Post-Invoke-Success;',
  ]
  writeFileSync(join(folder, 'apt.conf'), `${settings.join('\n')}\n`)
  const apt = ['apt-get', '-q', '-c', join(folder, 'apt.conf')]
  await runIn(folder, [...apt, 'update', '--error-on=any'])
  await runIn(folder, [...apt, 'source', '--download-only', name])
  const archive = readdirSync(folder).find((file) => /\.orig\.tar\.\w+$/.test(file))
  if (archive === undefined) throw new Error('the package holds no source as its authors released it')
  await runIn(folder, ['tar', '-xf', archive, '-C', source, '--strip-components=1'])
  return source
}

/** Path of a program that the build needs. */
function requireProgram(name: string, more: readonly string[] = []): string {
  const path = findProgram(name, more)
  if (path === null) throw new Error(`there is no ${name} here`)
  return path
}

/** Runs a command in a folder, with low priority: others may be at work on this machine. */
function runIn(folder: string, command: readonly string[]): Promise<string> {
  const inside = ['sh', '-c', 'cd "$0" && exec "$@"', folder, ...command]
  return runChild(['nice', '-n', '15', ...inside], { core: null, env: { LC_ALL: 'C' } })
}
