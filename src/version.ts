import manifest from '../package.json' with { type: 'json' }

/** Version of Turnout, from its package. */
export const VERSION: string = manifest.version
