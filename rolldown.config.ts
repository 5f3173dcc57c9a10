/**
 * What `npm run build` makes of src/: the command line and the worker thread as one file each, and what they share, in dist/.
 * A process so starts in two thirds of the time that its three hundred modules take. Packages stay outside: they are installed as
 * the lock file says, and mended without a new build. The tests of whole processes run this build (vitest.config.ts).
 */
import type { BuildOptions } from 'rolldown'
import manifest from './package.json' with { type: 'json' }

const options: BuildOptions = {
  cwd: import.meta.dirname,
  input: { main: 'src/main.ts', 'dataplane/worker': 'src/dataplane/worker.ts' },
  platform: 'node',
  external: Object.keys(manifest.dependencies).map((name) => new RegExp(`^${name}(/|$)`)),
  // Files that share a folder name the worker by the same relative URL as their sources do.
  output: { dir: 'dist', chunkFileNames: 'chunks/[name].js' },
}
export default options
