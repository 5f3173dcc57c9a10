/** All hooks of a rollout's settings: those of the whole, then those of its steps. Pure. */
import type { HookSpec } from './schema-gates.ts'
import type { RolloutSpec } from './schema-rollout.ts'

/** Each with where it stands in the settings. */
export function hooksOf({
  hooks = [],
  steps = [],
}: RolloutSpec): { readonly pointer: string; readonly hook: HookSpec }[] {
  const ofSteps = steps.flatMap((step, at) =>
    typeof step === 'number'
      ? []
      : (step.hooks ?? []).map((hook, index) => ({
          pointer: `/steps/${at}/hooks/${index}`,
          hook: { ...hook, at: 'BeforeStep', step: at } as const,
        })),
  )
  return [...hooks.map((hook, index) => ({ pointer: `/hooks/${index}`, hook })), ...ofSteps]
}
