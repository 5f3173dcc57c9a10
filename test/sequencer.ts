/**
 * The order of test files: those that take long first, so that none of them runs alone at the end. Vitest knows how long each took
 * the last time, but not in a fresh clone. Nothing else depends on the order.
 */
import { relative } from 'node:path'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Files that take more than ten seconds, the longest first. */
const LONG = [
  'e2e/redis',
  'e2e/held-switch',
  'e2e/upgrade',
  'e2e/two-processes',
  'e2e/prometheus',
  'e2e/moved-tunnels',
  'e2e/reload',
  'e2e/terminal',
  'e2e/ejection',
  'store/redis',
  'e2e/rollout-gates',
  'e2e/dead-target',
  'e2e/readme',
  'e2e/rolling',
  'attacks/floods',
  'attacks/slow-senders',
  'attacks/targets',
  'e2e/names',
  'store/redis-kinds',
  'e2e/redis-away',
  'e2e/from-others',
  'admin/openapi',
  'e2e/nobody',
  'e2e/restart',
  'e2e/tls',
  'e2e/systemd',
  'e2e/cookies-apart',
  'e2e/shares',
  'e2e/mirror',
  'e2e/rollout',
  'e2e/capacity',
  'e2e/outputs',
  'e2e/older-file',
  'e2e/rollout-version',
  'e2e/rollout-counts',
  'cli/rollout-watch',
  'e2e/hung-target',
  'attacks/slow-readers',
  'attacks/oversize',
  'bench/bench',
  'e2e/python',
  'e2e/limits',
  'names/names',
  'e2e/slow-progress',
  'e2e/rescue',
  'e2e/rollout-locked-store',
  'e2e/rollout-restart',
  'workers/loss',
  'fuzz/fuzz',
  'e2e/idle-memory',
  'attacks/storms',
  'e2e/slow-reader',
  'demo/start',
  'e2e/given-metrics',
  'e2e/failed-start',
  'workers/replacement',
  'cli/completion',
  'bench/memory',
  'e2e/srv',
  'rollout/leader-lost',
  'config/document',
  'e2e/moved-bodies',
  'control/slots',
  'e2e/access-log',
  'e2e/pooled-verdict',
  'e2e/sticky',
  'e2e/clock-jump',
  'e2e/skew',
  'e2e/shutdown',
  'e2e/slow-clients',
  'rollout/figures',
  'e2e/maintenance',
  'e2e/retry-budget',
  'e2e/curl',
  'e2e/large-bodies',
  'e2e/worker-loss',
  'e2e/drain',
  'e2e/timeouts',
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
