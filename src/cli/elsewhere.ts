/**
 * Verbs that other programs have (kubectl, helm, caddy, haproxy, kamal-proxy …) for what has another name here: somebody who guesses
 * one is told ours. They are no aliases: two names for one thing would stand in two people's scripts.
 */

/** Verbs of others by what is called so here, without `turnout`. */
export const ELSEWHERE: Readonly<Record<string, readonly string[]>> = {
  'back SERVICE': ['rollback', 'undo', 'revert'],
  'deploy SERVICE --to POOL': ['ship', 'publish'],
  'split SERVICE POOL=WEIGHT …': ['canary', 'weight', 'weights', 'shift', 'traffic', 'route'],
  'rollout promote SERVICE': ['promote'],
  'rollout abort SERVICE': ['abort', 'cancel'],
  'rollout show SERVICE': ['rollouts'],
  'rollout pause SERVICE, or hold SERVICE for its requests': ['pause'],
  'rollout resume SERVICE, or release SERVICE for its requests': ['resume', 'continue'],
  'maintenance on SERVICE for its visitors; the process ends by a SIGTERM (systemctl stop, docker stop, Ctrl-C)': [
    'stop',
    'down',
    'quit',
    'exit',
    'shutdown',
    'kill',
  ],
  'maintenance off SERVICE': ['up'],
  'drain SERVICE POOL [TARGET]': ['disable', 'cordon'],
  'ready SERVICE POOL [TARGET]': ['enable', 'uncordon'],
  'service add SERVICE, and so for pool, target and rule': ['add', 'create', 'new', 'install'],
  'service set SERVICE KEY=VALUE, and so for pool, target and rule': ['set', 'edit', 'patch', 'update'],
  'service remove SERVICE, and so for pool, target and rule': ['remove', 'delete', 'rm', 'uninstall'],
  'pool list SERVICE': ['pools', 'backend', 'backends'],
  'target list SERVICE': ['targets', 'server', 'servers', 'upstream', 'upstreams', 'endpoints'],
  'target add SERVICE POOL TARGET': ['scale'],
  'rule list SERVICE': ['rules'],
  'apply FILE': ['reload', 'load', 'replace', 'import'],
  upgrade: ['restart'],
  'serve --config FILE --check': ['validate', 'check', 'lint', 'configtest', 'test', 'adapt', 'fmt'],
  'serve --config FILE': ['start', 'run'],
  'status [SERVICE]': [
    'list',
    'ls',
    'show',
    'get',
    'ps',
    'describe',
    'info',
    'top',
    'instances',
    'services',
    'health',
    'stats',
    'view',
    'watch',
  ],
  'events [--follow]': ['logs', 'log', 'tail'],
  'explain URL': ['why', 'trace'],
  history: ['audit', 'revisions'],
  export: ['config', 'dump'],
}

/** The same of what may stand behind `rollout`. */
export const ROLLOUT_ELSEWHERE: typeof ELSEWHERE = {
  'rollout show SERVICE': ['status', 'get', 'describe', 'watch'],
  'rollout list SERVICE': ['history', 'ls'],
  'rollout abort SERVICE, or back SERVICE once it is over': [
    'undo',
    'rollback',
    'revert',
    'cancel',
    'stop',
    'terminate',
  ],
  'rollout resume SERVICE': ['continue', 'unpause'],
  'rollout promote SERVICE': ['approve', 'next', 'skip'],
  'deploy SERVICE --to POOL': ['start', 'begin', 'create', 'restart', 'retry', 'deploy'],
}

/** What is called so here, without `turnout`; null where nothing is known. */
export function calledHere(word: string, elsewhere = ELSEWHERE): string | null {
  return Object.entries(elsewhere).find(([, names]) => names.includes(word))?.[0] ?? null
}
