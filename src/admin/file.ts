/**
 * `POST /v1/apply`: the text of a config file. What changed in the file since it was last loaded is applied; the text is handed
 * on as it is, so that faults come back with line and column.
 *
 * Two forms: JSON `{text, env}`, as `turnout apply` sends it, and the bare text as `application/yaml`. What `${NAME}` reads is
 * the posted `env` and nothing else. The proxy's own environment holds secrets of the machine, and what is put into a spec
 * can be read back; so being an operator is not enough to see it.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { child } from '../config/pointer.ts'
import { SpecSchema } from '../config/schema.ts'
import { Type } from '../config/type.ts'
import type { Fault } from '../errors.ts'
import { TurnoutError } from '../errors.ts'
import { asCaller, changedAnswer, checkedByHandler, waitMsOf } from './apply.ts'
import { JSON_TYPE, SPEC_BYTES_MAX, textOf } from './body.ts'
import type { AdminDeps } from './deps.ts'
import { FileRemovalAnswer, FileRemovalQuery, withDraining } from './removals.ts'
import { answers } from './schemas.ts'

const YAML = 'application/yaml'

const FileBody = Type.Object(
  {
    text: Type.String({ minLength: 1, description: 'The whole file, YAML or JSON.', contentMediaType: YAML }),
    env: Type.Record(Type.String(), Type.String(), {
      default: {},
      description: 'Values of the environment variables that the text names.',
    }),
  },
  { additionalProperties: false },
)

type FileDeps = Pick<AdminDeps, 'applyText' | 'busyPredecessor' | 'clock' | 'control' | 'instances' | 'memory'>

interface PostedFile {
  readonly text: string
  readonly env: Readonly<Record<string, string>>
}

/** Registers the call, in a scope of its own because here a body may be text. None of its types can be sent by a form. */
export function fileRoutes(app: FastifyInstance, deps: FileDeps): void {
  app.register(async (scope) => {
    scope.addContentTypeParser<Buffer>(YAML, { parseAs: 'buffer' }, (_request, bytes, done) => {
      try {
        done(null, bytes.length === 0 ? undefined : textOf(bytes))
      } catch (error) {
        done(error as Error)
      }
    })
    scope.post('/v1/apply', {
      bodyLimit: SPEC_BYTES_MAX,
      validatorCompiler: checkedByHandler,
      schema: {
        summary: 'Apply what changed in a config file',
        consumes: [JSON_TYPE, YAML],
        querystring: FileRemovalQuery,
        body: { content: { [JSON_TYPE]: { schema: FileBody }, [YAML]: { schema: SpecSchema } } },
        response: answers(FileRemovalAnswer),
      },
      handler: (request, reply) => withDraining(deps, request, {}, () => applyFile(deps, request, reply)),
    })
  })
}

async function applyFile({ applyText }: FileDeps, request: FastifyRequest, reply: FastifyReply) {
  const { text, env } = postedFile(request)
  const applied = await asCaller(request, waitMsOf(), (options) => applyText(text, env, options))
  const { changes, kept, others, dryRun } = applied
  const refused = dryRun?.refused ?? undefined
  return { ...changedAnswer(reply, applied), changes, kept, others, refused }
}

function postedFile({ body }: FastifyRequest): PostedFile {
  if (typeof body === 'string') return { text: body, env: {} }
  const { text, env = {}, ...others } = Object(body) as Record<string, unknown>
  const faults: Fault[] = Object.keys(others).map((key) => ({ pointer: child('', key), message: 'is not a known key' }))
  if (typeof text !== 'string') faults.push({ pointer: '/text', message: 'must be the text of a config file' })
  if (!isTexts(env)) faults.push({ pointer: '/env', message: 'must be an object of texts' })
  if (faults.length > 0) throw new TurnoutError('invalid', undefined, faults)
  return { text: text as string, env: env as PostedFile['env'] }
}

const isTexts = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  Object.values(value).every((text) => typeof text === 'string')
