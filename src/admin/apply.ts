/**
 * From a request to a change: `If-Match`, the checks, the actor, and what is answered.
 *
 * A change is answered only after every worker routes by it; control promises that. Everything here either makes exactly one
 * change or throws with nothing changed.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Change, ChangeOptions, ChangeResult, Snapshot } from '../change.ts'
import type { Checked } from '../config/check.ts'
import { NAME_PATTERN, type ServiceSpec } from '../config/schema.ts'
import { TurnoutError } from '../errors.ts'
import type { AdminDeps } from './deps.ts'

const NAME = new RegExp(NAME_PATTERN)

/** For routes whose body is checked by `deps.validate`: their schema is documentation only. */
export const checkedByHandler = () => () => true

/** The revision of an `If-Match` header, `"7"` or `7`; undefined when absent or `*`. Throws `malformed` for anything else. */
export function parseIfMatch(header: string | undefined): number | undefined {
  // Whitespace around the value was no part of it, and is gone by now.
  if (header === undefined || header === '*') return undefined
  const parts = /^(?:"([0-9]{1,15})"|([0-9]{1,15}))$/.exec(header)
  if (parts === null) throw new TurnoutError('malformed', 'If-Match must be one revision such as "7".')
  return Number(parts[1] ?? parts[2])
}

/** Makes the change as the caller of this request and sets the ETag. */
export async function apply(
  deps: Pick<AdminDeps, 'control'>,
  request: FastifyRequest,
  reply: FastifyReply,
  change: Change,
): Promise<ChangeResult> {
  return changedAnswer(reply, await deps.control.change(change, optionsOf(request)))
}

/** Who makes the change, and at which revision only. */
export function optionsOf(request: FastifyRequest): ChangeOptions {
  return { actor: request.actor, ifMatch: parseIfMatch(request.headers['if-match']) }
}

/** What every change answers, with the ETag set. */
export function changedAnswer(reply: FastifyReply, result: ChangeResult): ChangeResult {
  const { revision, epoch, appliedInMs, changed } = result
  setETag(reply, revision)
  return { revision, epoch, appliedInMs, changed }
}

/** The ETag of anything is the revision of the spec. */
export function setETag(reply: FastifyReply, revision: number): void {
  reply.header('etag', `"${revision}"`)
}

/** The checked value, or throws `invalid` with every fault; `at` is where the value stood in the body. */
export function soundValue<T>(checked: Checked<T>, at = ''): T {
  if ('spec' in checked) return checked.spec
  const faults = checked.faults.map(({ pointer, message }) => ({ pointer: at + pointer, message }))
  throw new TurnoutError('invalid', undefined, faults)
}

/** Throws `invalid` unless the name from the path may be given to a new thing. */
export function checkName(what: string, name: string): void {
  if (NAME.test(name) && !(name in Object.prototype)) return
  const message = `${JSON.stringify(name)} is not a name for a ${what}: letters, digits, "_", "." and "-", at most 63`
  throw new TurnoutError('invalid', message, [{ pointer: '', message }])
}

/** The spec of a service; throws `not_found`. Only own keys count, so `constructor` finds nothing. */
export function findService(snapshot: Snapshot, name: string): ServiceSpec {
  if (!Object.hasOwn(snapshot.services, name)) throw new TurnoutError('not_found', `There is no service ${name}.`)
  return snapshot.services[name]
}
