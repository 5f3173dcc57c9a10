/**
 * The part of the schema about what a rollout has to pass: hooks, and what is checked before it begins.
 *
 * As in schema-rollout.ts every key of a rollout is optional; what is not there is not looked at.
 */
import type { Static } from 'typebox'
import { closed, Duration, HttpUrl, UrlPath } from './schema-parts.ts'
import { Type } from './type.ts'

/** When a hook is called, by CodeDeploy's names and ours. */
export const HOOK_EVENTS = [
  'BeforeInstall',
  'AfterInstall',
  'AfterAllowTestTraffic',
  'BeforeAllowTraffic',
  'BeforeStep',
  'UpdateTarget',
  'AfterAllowTraffic',
  'AfterBake',
  'OnRollback',
  'Retire',
] as const

const Called = {
  url: Type.Optional(HttpUrl('Gets a POST; 2xx is a yes. Default: none, there is a command.')),
  command: Type.Optional(
    Type.Array(Type.String({ maxLength: 4_096 }), {
      minItems: 1,
      maxItems: 64,
      description:
        'A program and its arguments, from a folder of rolloutCommands; exit code 0 is a yes. Default: none, there is a url.',
    }),
  ),
  timeout: Duration('Silence for longer is a no.', '30s'),
  secret: Type.Optional(
    Type.String({
      minLength: 1,
      description: 'Signs the body: X-Turnout-Signature, HMAC-SHA256. Default: it is not signed.',
    }),
  ),
}

export const HookSchema = closed({
  at: Type.Unsafe<HookEvent>(
    Type.Union(
      HOOK_EVENTS.map((event) => Type.Literal(event)),
      { description: 'When it is called.' },
    ),
  ),
  ...Called,
})

/** Of one step. */
export const StepHookSchema = closed({
  at: Type.Optional(
    Type.Literal('BeforeStep', { description: 'A hook of a step is called before it. Default BeforeStep.' }),
  ),
  ...Called,
})

/** Where a target says something of itself. */
const answer = (path: string) => ({
  path: UrlPath(path, '/'),
  json: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 256,
      description: 'Dotted field of the JSON body. Default: the whole body counts, without blanks around it.',
    }),
  ),
})

export const AnnouncesSchema = closed(answer('Where a target tells its version.'), {
  description: 'Every target of the new pool must answer the version of its pool. Default: none is asked.',
})

export const FingerprintSchema = closed(
  {
    ...answer('Where a target tells what it was built or set up with.'),
    same: Type.Boolean({
      default: false,
      description: 'The live pool must answer the same, e.g. the schema of a database that both use.',
    }),
  },
  { description: 'All targets of the new pool must answer the same. Default: none is asked.' },
)

export const RolloutCapacitySchema = closed(
  {
    requestsPerTarget: Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      description: 'Requests that a target carries at the same time.',
    }),
  },
  {
    description:
      'What the new pool must be able to carry, by the traffic of the moment. Default: capacity of the service.',
  },
)

/** A hook; with `step`, which no file says, it is of that step alone. */
export type HookSpec = Static<typeof HookSchema> & { readonly step?: number }
export type HookEvent = (typeof HOOK_EVENTS)[number]
/** What is asked of a target about itself. */
export type AnswerSpec = Static<typeof AnnouncesSchema>
