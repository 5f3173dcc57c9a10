/**
 * From a request to a change: `If-Match`, `force` and `wait`, the checks, the actor, and what is answered.
 *
 * A change is answered only after every worker routes by it; control promises that. Everything here either makes exactly one
 * change or throws with nothing changed.
 */
import type { FastifyReply, FastifyRequest, FastifySchemaCompiler } from 'fastify'
import type { Static, TSchema } from 'typebox'
import type { Change, ChangeOptions, ChangeResult, Snapshot } from '../change.ts'
import { type Checked, validateService } from '../config/check.ts'
import { durationMs } from '../config/duration.ts'
import { mergePatch } from '../config/merge-patch.ts'
import { serviceNamed } from '../config/named.ts'
import { isRecord } from '../config/record.ts'
import type { ServiceSpec } from '../config/schema.ts'
import { NAME_PATTERN } from '../config/schema-parts.ts'
import { Type } from '../config/type.ts'
import { validate } from '../config/validate.ts'
import { type Fault, isTurnoutError, TurnoutError } from '../errors.ts'
import { expectRevision } from '../if-match.ts'
import type { AdminDeps } from './deps.ts'

const NAME = new RegExp(NAME_PATTERN)

/** For routes whose handler checks the body, and says more than its schema would; the query is checked by its schema. */
export const checkedByHandler: FastifySchemaCompiler<unknown> = ({ schema, httpPart }) =>
  httpPart === 'querystring' ? (value) => ({ value: checkBody(schema as TSchema, value) }) : () => true

/** A posted value with the defaults of its schema; throws `invalid` with every fault, in words for people. */
export function checkBody<S extends TSchema>(schema: S, body: unknown): Static<S> {
  const { value, findings } = validate(schema, body)
  const faults = findings.map(({ pointer, message }) => ({ pointer, message }))
  if (faults.length > 0) throw new TurnoutError('invalid', undefined, faults)
  return value
}

/** The revision of an `If-Match` header, `"7"` or `7`; undefined when absent or `*`. Throws `malformed` for anything else. */
export function parseIfMatch(header: string | undefined): number | undefined {
  // Whitespace around the value was no part of it, and is gone by now.
  if (header === undefined || header === '*') return undefined
  const parts = /^(?:"([0-9]{1,15})"|([0-9]{1,15}))$/.exec(header)
  if (parts === null) throw new TurnoutError('malformed', 'If-Match must be one revision such as "7".')
  return Number(parts[1] ?? parts[2])
}

/** What `If-Match` says of the service that is asked about: the revision, if any, and that by now, or `stale_revision` is thrown. */
export function onlyAt(
  { control }: Pick<AdminDeps, 'control'>,
  { headers, params: { service } }: FastifyRequest<{ Params: { service: string } }>,
): { readonly ifMatch: number | undefined; readonly only: () => void } {
  const ifMatch = parseIfMatch(headers['if-match'])
  return { ifMatch, only: () => expectRevision(control.snapshot(), [service], ifMatch) }
}

/** What every change may be asked with. */
export const ChangeQuery = Type.Object(
  {
    force: Type.Optional(
      Type.Boolean({
        description:
          'Make the change even where nobody would be left to answer, or a pool is not proven, not ready, empty, or would get more than it carries.',
      }),
    ),
  },
  { additionalProperties: false },
)
/** The same for a config file. */
export const FileQuery = Type.Object(
  {
    force: Type.Optional(
      Type.Boolean({ description: 'The file wins wherever it differs from what runs; also as for other changes.' }),
    ),
    prune: Type.Optional(Type.Boolean({ description: 'Remove the services that the file no longer has.' })),
    dryRun: Type.Optional(Type.Boolean({ description: 'Only tell what would change, and what would be kept.' })),
  },
  { additionalProperties: false },
)

const WAIT_DEFAULT = '10s'
/** At most ten minutes, so that no call is held for longer. */
const WAIT_PATTERN =
  '^(?:[0-9]{1,5}ms|[1-5][0-9]{5}ms|600000ms|[1-5]?[0-9]{1,2}(?:\\.[0-9]{1,3})?s|600s|[0-9](?:\\.[0-9]{1,3})?m|10m)$'
const WAIT = new RegExp(WAIT_PATTERN)
const WAIT_TITLE = 'a duration of at most 10m, such as 500ms, 10s or 2m'
/** Of a duration that somebody waits for. */
export const MINUTES = { pattern: WAIT_PATTERN, title: WAIT_TITLE } as const

/** `wait` in the body of a change that sends traffic to a pool. */
export const WaitSchema = Type.String({
  default: WAIT_DEFAULT,
  ...MINUTES,
  description: 'How long to wait for a pool that no probe has found healthy yet; then 409. 0s for not at all.',
})

/** Milliseconds of a `wait`, which may be absent; throws `invalid`. */
export const waitMsOf = (wait: unknown = WAIT_DEFAULT): number => minutesMsOf(wait, '/wait')

/** What is wrong with a `wait`, which may be absent. */
export const waitFaults = (wait: unknown = WAIT_DEFAULT): Fault[] => minutesFaults(wait, '/wait')

/** Milliseconds of a duration of at most ten minutes that stood at `pointer`; throws `invalid`. */
export function minutesMsOf(duration: unknown, pointer: string): number {
  const faults = minutesFaults(duration, pointer)
  if (faults.length > 0) throw new TurnoutError('invalid', undefined, faults)
  return durationMs(duration as string)
}

const minutesFaults = (duration: unknown, pointer: string): Fault[] =>
  typeof duration === 'string' && WAIT.test(duration) ? [] : [{ pointer, message: `must be ${WAIT_TITLE}` }]

/** Makes the change as the caller of this request and sets the ETag. */
export async function apply(
  deps: Pick<AdminDeps, 'control'>,
  request: FastifyRequest,
  reply: FastifyReply,
  change: Change,
  waitMs = waitMsOf(),
): Promise<ChangeResult> {
  return changedAnswer(reply, await asCaller(request, waitMs, (options) => deps.control.change(change, options)))
}

/** Runs a change with what its caller said: who it is, at which revision only, how much it insists. It ends with its caller, and with us. */
export async function asCaller<T>(
  request: FastifyRequest,
  waitMs: number,
  run: (options: ChangeOptions) => Promise<T>,
): Promise<T> {
  const { force = false, prune = false, dryRun = false } = request.query as Static<typeof FileQuery>
  const { socket } = request.raw
  const { 'if-match': ifMatch, 'if-none-match': ifNoneMatch } = request.headers
  const gone = new AbortController()
  const leave = (): void => gone.abort(new TurnoutError('conflict', 'The caller has gone, and nothing has changed.'))
  socket.once('close', leave)
  try {
    return await run({
      actor: request.actor,
      ifMatch: parseIfMatch(ifMatch),
      existing: ifMatch === '*' ? true : ifNoneMatch === '*' ? false : undefined,
      force,
      prune,
      dryRun,
      waitMs,
      signal: AbortSignal.any([gone.signal, request.server.ending]),
    })
  } finally {
    socket.removeListener('close', leave)
  }
}

/**
 * Makes a change at once; who asks for one revision only waits for his turn, and may be refused. `unstored` says what is so all the same
 * when the store could not be told.
 */
export async function changeAtOnce(
  { control }: Pick<AdminDeps, 'control'>,
  change: Change,
  options: ChangeOptions,
  unstored: string,
): Promise<ChangeResult> {
  const atOnce = options.ifMatch === undefined
  return control.change(change, { ...options, atOnce }).catch((error: unknown) => {
    if (!atOnce || !isTurnoutError(error, 'store_unavailable')) throw error
    throw new TurnoutError(error.code, `${error.message} ${unstored}`)
  })
}

/** What every change answers, with the ETag set. */
export function changedAnswer(reply: FastifyReply, result: ChangeResult): ChangeResult & { complete?: false } {
  const { revision, epoch, appliedInMs, changed } = result
  setETag(reply, revision)
  return { revision, epoch, appliedInMs, changed, ...lateAnswer(result) }
}

/** What an answer says of instances that do not route by the change yet. */
export const lateAnswer = ({ waitingFor }: Pick<ChangeResult, 'waitingFor'>) =>
  waitingFor !== undefined && { complete: false as const, waitingFor }

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

/** Throws `invalid` with what the schema says of a body and what else is wrong with it, each place told once, when that is anything. */
export function assertFaultless(findings: readonly Fault[], more: readonly Fault[]): void {
  const told = new Set(findings.map(({ pointer }) => pointer))
  const all = [...findings, ...more.filter(({ pointer }) => !told.has(pointer))]
  const faults = all.map(({ pointer, message }) => ({ pointer, message }))
  if (faults.length > 0) throw new TurnoutError('invalid', undefined, faults)
}

/** Throws `invalid` when the schema refuses a body; then also with what is wrong with the service that its `patch` would make. */
export function checkPatch(schema: TSchema, body: unknown, patch: unknown, before: ServiceSpec): void {
  const { findings } = validate(schema, body)
  if (findings.length === 0) return
  const checked = validateService(isRecord(patch) ? mergePatch(before, patch) : before)
  assertFaultless(findings, 'faults' in checked ? checked.faults : [])
}

/** Throws `invalid` unless the name from the path may be given to a new thing. */
export function checkName(what: string, name: string): void {
  if (NAME.test(name) && !(name in Object.prototype)) return
  const why = NAME.test(name)
    ? 'it is reserved'
    : 'letters, digits, "_", "." and "-", at most 63, of which the first is a letter or digit'
  const message = `${JSON.stringify(name)} is not a name for a ${what}: ${why}`
  throw new TurnoutError('invalid', message, [{ pointer: '', message }])
}

/** The spec of a service; throws `not_found`. Only own keys count, so `constructor` finds nothing. */
export function findService({ services }: Snapshot, name: string): ServiceSpec {
  return serviceNamed(services, name)
}

/** The services by name: every instance that shares a store gives them in the same order, whatever each has heard of when. */
export const serviceNames = ({ services }: Pick<Snapshot, 'services'>): string[] => Object.keys(services).sort()
