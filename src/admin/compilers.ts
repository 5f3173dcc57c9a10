/**
 * What fastify makes of the schemas of routes: checks of what calls bring, and no writer of answers.
 *
 * Nothing is coerced or dropped: a wrong type or an unknown key is a fault, and all faults are told (problem.ts has the words).
 */
import type { FastifySchemaCompiler, FastifySchemaValidationError, FastifyServerOptions } from 'fastify'
import type { TSchema } from 'typebox'
import { judge } from '../config/judge.ts'

const compile: FastifySchemaCompiler<TSchema> = ({ schema }) => {
  return (value: unknown) => {
    const errors = judge(schema, value)
    // The type asks for more of an error than is needed.
    return errors.length === 0 ? true : { error: errors as unknown as FastifySchemaValidationError[] }
  }
}

const write = () => (answer: unknown) => JSON.stringify(answer)

/** For the option `schemaController` of an instance. */
export const COMPILERS: FastifyServerOptions['schemaController'] = {
  // The type asks for more of a check than fastify does, which calls it.
  compilersFactory: { buildValidator: () => compile as never, buildSerializer: () => write },
}
