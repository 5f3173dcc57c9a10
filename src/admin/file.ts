/**
 * `POST /v1/apply`: the text of a config file, YAML or JSON, as `turnout apply` sends it. What changed in the file since it was
 * last loaded is applied. The text is handed on as it is, so that faults come back with line and column.
 */
import type { FastifyInstance } from 'fastify'
import Type from 'typebox'
import { changedAnswer, checkedByHandler, optionsOf } from './apply.ts'
import type { AdminDeps } from './deps.ts'
import { answers, ChangeAnswer } from './schemas.ts'

const FILE_BYTES_MAX = 8 * 1024 * 1024

/** Registers the call, in a scope of its own because here a body is text. None of its types can be sent by a form. */
export function fileRoutes(app: FastifyInstance, { applyText }: Pick<AdminDeps, 'applyText'>): void {
  app.register(async (scope) => {
    scope.removeAllContentTypeParsers()
    const types = ['application/yaml', 'application/json']
    scope.addContentTypeParser<string>(types, { parseAs: 'string' }, (_request, body, done) => {
      done(null, body)
    })
    scope.post<{ Body: string }>('/v1/apply', {
      bodyLimit: FILE_BYTES_MAX,
      validatorCompiler: checkedByHandler,
      schema: {
        summary: 'Apply what changed in a config file',
        consumes: types,
        body: Type.String({ description: 'The whole file.' }),
        response: answers(ChangeAnswer),
      },
      handler: async (request, reply) => changedAnswer(reply, await applyText(request.body, optionsOf(request))),
    })
  })
}
