/**
 * What fastify makes of the schemas of routes: checks of what calls bring, and no writer of answers.
 *
 * A check is compiled when the first call needs it: most processes never need most of them, and to compile all took longer than
 * everything else at the start of the API.
 */
import { Ajv, type AnySchema, type ValidateFunction } from 'ajv'
import type { FastifySchemaCompiler, FastifyServerOptions } from 'fastify'

/** For the option `schemaController` of an instance. */
export function createCompilers(): FastifyServerOptions['schemaController'] {
  // Nothing is coerced or dropped: a wrong type or an unknown key is a fault, and all faults are told. The schemas are ours, and a
  // test holds each against the meta-schema. With `verbose` a fault brings its schema, whose title says more than a pattern.
  const ajv = new Ajv({
    allErrors: true,
    useDefaults: true,
    addUsedSchema: false,
    validateSchema: false,
    verbose: true,
  })
  const compile: FastifySchemaCompiler<AnySchema> = ({ schema }) => lazily(() => ajv.compile(schema))
  const write = () => (answer: unknown) => JSON.stringify(answer)
  // The type asks for more of a check than fastify does, which calls it.
  return { compilersFactory: { buildValidator: () => compile as never, buildSerializer: () => write } }
}

function lazily(compile: () => ValidateFunction): ReturnType<FastifySchemaCompiler<AnySchema>> {
  let check: ValidateFunction | null = null
  return (value: unknown) => {
    check ??= compile()
    return check(value) ? true : { error: check.errors ?? [] }
  }
}
