/**
 * kamal-proxy: configured by its own verbs once it runs, `deploy` for blue and `rollout` for green. Its rollout takes a share
 * of the values of one cookie, so requests without that cookie all go to blue, and there is no rule by header.
 */

import { freePort } from '../ports.ts'
import { runChild } from '../process.ts'
import { GO_ENVIRONMENT, goProgramPath, goProgramVersion, KAMAL_PROXY } from './go-program.ts'
import { GREEN_PERCENT, type Peer, type Running, startPeer } from './peer.ts'

export const kamalProxy: Peer = {
  name: 'kamal-proxy',
  ours: false,
  always: false,
  setup:
    'its own X-Forwarded-* and request id, health checks every second, GOMAXPROCS=1. It has no weights but for the values of one cookie and no rule by header, so all requests go to blue; its access log cannot be turned off and goes to /dev/null.',
  cannot: ['the header rule sends every such request to green', 'the split is about as configured'],
  version: () => goProgramVersion(KAMAL_PROXY),
  async start(config) {
    const port = await freePort()
    const program = goProgramPath(KAMAL_PROXY)
    const ports = ['--http-port', String(port), '--https-port', String(await freePort())]
    // The socket for its verbs and its state lie in the folders of its user.
    const env = { ...GO_ENVIRONMENT, HOME: config.folder, XDG_RUNTIME_DIR: config.folder }
    const running: Running = await startPeer([program, 'run', ...ports], port, {
      core: config.core,
      env,
      stdout: '/dev/null',
    })
    try {
      const verb = (...words: string[]) => runChild([program, ...words], { core: null, env })
      const target = (pool: number) => ['shop', '--target', `127.0.0.1:${pool}`]
      await verb('deploy', ...target(config.blue), '--health-check-path', '/health')
      await verb('rollout', 'deploy', ...target(config.green))
      await verb('rollout', 'set', 'shop', '--percent', String(GREEN_PERCENT))
    } catch (error) {
      await running.stop()
      throw error
    }
    return running
  },
}
