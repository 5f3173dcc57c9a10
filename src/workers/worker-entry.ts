/** The file that a worker thread begins with. From source we are a .ts file, in `dist` a .js file; so is the worker. */
export const WORKER_ENTRY = new URL(
  '../dataplane/worker' + (import.meta.url.endsWith('.ts') ? '.ts' : '.js'),
  import.meta.url,
)
