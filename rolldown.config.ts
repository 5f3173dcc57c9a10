/**
 * What `npm run build` makes of src/ and of the packages that it uses: the command line and the worker thread as one file each, and
 * what they share, in dist/. A process so starts in half of the time that its modules take one by one. The tests of whole processes
 * run this build (vitest.config.ts).
 */
import type { BuildOptions } from 'rolldown'

/**
 * Modules of Node are taken as they are, in place of an import: for that, Node makes a copy of all that a module exports, and so
 * loads what is loaded late otherwise, in each thread.
 */
const builtinsAsTheyAre = {
  name: 'builtins-as-they-are',
  renderChunk: (code: string): string =>
    code.replace(/^import (.+?) from "(node:[a-z/_0-9]+)";$/gm, (_line, names: string, module: string) => {
      const [, whole, some] = /^(?:([\w$]+)(?:, )?)?(?:\{(.*)\})?$/.exec(names) as unknown as [string, string?, string?]
      const taken = `process.getBuiltinModule("${module}")`
      const parts = some === undefined ? [] : [`{${some.replaceAll(' as ', ': ')}}`]
      return `const ${[...(whole === undefined ? [] : [whole]), ...parts].map((to) => `${to} = ${taken}`).join(', ')};`
    }),
}

const options: BuildOptions = {
  cwd: import.meta.dirname,
  input: { main: 'src/main.ts', 'dataplane/worker': 'src/dataplane/worker.ts' },
  platform: 'node',
  plugins: [builtinsAsTheyAre],
  // Files that share a folder name the worker by the same relative URL as their sources do.
  output: { dir: 'dist', chunkFileNames: 'chunks/[name].js' },
}
export default options
