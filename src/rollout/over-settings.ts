/** What is sent to begin a rollout, over the settings of its service: key by key, but for what belongs together. Pure. */
import type { RolloutSpec } from '../config/schema-rollout.ts'
import { isRollingName } from '../config/strategy.ts'
import { TurnoutError } from '../errors.ts'

/** `without` names metrics of the settings that it is not judged by. Throws `invalid` when there is no such metric. */
export function overSettings(
  defaults: RolloutSpec | undefined,
  sent: RolloutSpec,
  without: readonly string[],
): RolloutSpec {
  const { steps: _steps, ...shapeless } = defaults ?? {}
  const { keep: _keep, ...replaced } = shapeless
  const isOther = sent.strategy !== undefined && sent.strategy !== (defaults?.strategy ?? 'canary')
  // Steps of the settings are those of their strategy, and a rolling release keeps nothing back.
  const settings = !isOther ? defaults : isRollingName(sent.strategy ?? '') ? replaced : shapeless
  const spec: RolloutSpec = { ...settings, ...sent }
  return without.length === 0 ? spec : withoutMetrics(spec, without)
}

function withoutMetrics(spec: RolloutSpec, without: readonly string[]): RolloutSpec {
  const { verdict, ...rest } = spec
  const metrics = verdict?.metrics ?? []
  const unknown = without.find((name) => !metrics.some((metric) => metric.name === name))
  if (unknown !== undefined) {
    const message = `there is no metric ${unknown} to be left out`
    throw new TurnoutError('invalid', message, [{ pointer: '/without', message }])
  }
  const left = metrics.filter(({ name }) => !without.includes(name))
  return verdict === undefined ? rest : { ...rest, verdict: { ...verdict, metrics: left } }
}
