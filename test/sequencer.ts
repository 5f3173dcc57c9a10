/**
 * The order of test files: those that take long first, so that none of them runs alone at the end. Vitest knows how long each took
 * the last time, but not in a fresh clone. Nothing else depends on the order.
 */
import { relative } from 'node:path'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Files that take more than ten seconds, the longest first. */
const LONG = [
  'e2e/rollout-gates',
  'e2e/upgrade',
  'e2e/redis',
  'e2e/redis-away',
  'e2e/ejection',
  'e2e/prometheus',
  'e2e/access-log',
  'e2e/readme',
  'attacks/floods',
  'e2e/rollout',
  'e2e/restart',
  'e2e/systemd',
  'attacks/targets',
  'e2e/reload',
  'e2e/shutdown',
  'e2e/names',
  'e2e/srv',
  'e2e/hung-target',
  'names/names',
  'e2e/slow-reader',
  'attacks/slow-senders',
  'cli/rollout-watch',
  'e2e/tls',
  'attacks/oversize',
  'e2e/websocket',
  'demo/start',
  'e2e/worker-loss',
  'e2e/given-metrics',
  'e2e/large-bodies',
  'e2e/slow-progress',
  'e2e/clock-jump',
  'e2e/drain',
  'e2e/timeouts',
  'e2e/outputs',
  'e2e/idle-memory',
  'e2e/keep-alive-race',
  'e2e/moved-bodies',
  'e2e/cookies-apart',
  'e2e/dead-target',
  'workers/replacement',
  'e2e/curl',
  'e2e/two-processes',
  'attacks/slow-readers',
  'e2e/limits',
  'e2e/failed-start',
]

/** Sorts by the list above; what is not on it comes behind, the largest files first, as Vitest has it. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId, project }: TestSpecification): number => {
      const at = LONG.indexOf(relative(project.config.root, moduleId).replace(/^test\/|\.test\.ts$/g, ''))
      return at < 0 ? LONG.length : at
    }
    return (await super.sort(files)).sort((a, b) => place(a) - place(b))
  }
}
