/**
 * Verbs that other programs have (kubectl, helm, caddy, haproxy, kamal-proxy …) for what has another name here: somebody who guesses
 * one is told ours. They are no aliases: two names for one thing would stand in two people's scripts.
 */

/** Verbs of others by what is called so here, without `turnout`. */
export const ELSEWHERE: Readonly<Record<string, readonly string[]>> = {
  'back SERVICE': ['rollback', 'undo', 'revert'],
  'split SERVICE POOL=WEIGHT …': ['canary', 'weight', 'weights', 'shift', 'traffic', 'route'],
  'rollout promote SERVICE': ['promote'],
  'rollout abort SERVICE': ['abort', 'cancel'],
  'rollout pause SERVICE, or hold SERVICE for its requests': ['pause'],
  'rollout resume SERVICE, or release SERVICE for its requests': ['resume', 'continue'],
  'maintenance on SERVICE': ['stop', 'down'],
  'maintenance off SERVICE': ['up'],
  'drain SERVICE POOL [TARGET]': ['disable', 'cordon'],
  'ready SERVICE POOL [TARGET]': ['enable', 'uncordon'],
  'apply FILE': ['reload', 'load'],
  'serve --config FILE --check': ['validate', 'check', 'lint', 'configtest'],
  'serve --config FILE': ['start', 'run'],
  'status [SERVICE]': ['list', 'ls', 'show', 'get', 'ps', 'describe', 'info', 'top', 'instances', 'services', 'health'],
  'events [--follow]': ['logs', 'log', 'tail'],
  'explain URL': ['why', 'trace'],
  history: ['audit', 'revisions'],
  export: ['config', 'dump'],
}

/** What is called so here, without `turnout`; null where nothing is known. */
export function calledHere(verb: string): string | null {
  return Object.entries(ELSEWHERE).find(([, names]) => names.includes(verb))?.[0] ?? null
}
