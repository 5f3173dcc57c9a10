/**
 * node:http for tests and their helpers. An import of the module reads all its exports, for which Node loads its fetch and its
 * WebSocket: a tenth of a second in each of the hundreds of processes that tests start.
 */
export const http: typeof import('node:http') = process.getBuiltinModule('node:http')
