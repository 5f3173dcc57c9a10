/**
 * The admin API: one fastify instance, its guards, its routes, its end.
 *
 * Life of a call: guard (auth.ts) → body as JSON only → check → handler → answer or problem (problem.ts). A route's schema is
 * its documentation and, for small bodies and queries, its check; specs are checked by config/check.ts, which says more.
 * Every route needs the role `viewer` for reading (GET, HEAD) and `operator` for the rest, unless its `config` says otherwise.
 * Nothing here carries user traffic or keeps state but event streams, and a bound stands on everything: body, time, streams.
 */
import swagger from '@fastify/swagger'
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyListenOptions,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify'
import { sleep } from '../clock.ts'
import { isLoopback, parseListenAddress } from '../config/address.ts'
import { withoutSecrets } from '../config/hidden.ts'
import { closed } from '../config/schema-parts.ts'
import { TurnoutError, yieldedNow } from '../errors.ts'
import { createGuard, type Role } from './auth.ts'
import { readBodies } from './body.ts'
import { COMPILERS } from './compilers.ts'
import { createConnectionAnswers } from './connection.ts'
import { limitConnections, SERVED_MAX } from './crowd.ts'
import type { AdminDeps } from './deps.ts'
import { documentOptions } from './document.ts'
import { dryRunRoutes } from './dry-run.ts'
import { eventRoutes } from './events.ts'
import { explainRoutes } from './explain.ts'
import { fileRoutes } from './file.ts'
import { historyRoutes } from './history.ts'
import { holdRoutes } from './holds.ts'
import { liveRoutes } from './live.ts'
import { maintenanceRoutes } from './maintenance.ts'
import { poolRoutes } from './pools.ts'
import { pathOf, sendProblem } from './problem.ts'
import { rolloutRoutes } from './rollouts.ts'
import { serviceRoutes } from './services.ts'
import { statusRoutes } from './status.ts'
import { switchRoutes } from './switches.ts'
import { upgradeRoutes } from './upgrade.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Name of the caller, for the audit. */
    actor: string
    /** May read only, and is shown no secrets. */
    isViewer: boolean
  }
  interface FastifyInstance {
    /** Aborts when the API ends: a change that waits for a pool does not hold it up. */
    readonly ending: AbortSignal
  }
  interface FastifyContextConfig {
    /** Role that the call needs; by default viewer for GET and HEAD, operator for the rest. */
    role?: Role
    /** Answers anyone, from anywhere. */
    isOpen?: boolean
    /** Describes the body where the schema that checks it says less. */
    describedBody?: unknown
  }
}

const BODY_BYTES_MAX = 1024 * 1024
/** A target in a path may be a whole URL. */
const PATH_PARAMETER_LENGTH_MAX = 512
const REQUEST_TIMEOUT_MS = 30_000
/** How late a client that is too slow may be told so. */
const TIMEOUT_CHECK_MS = 1_000
/** Whoever connects has sent its call by then. */
const JUST_CONNECTED_MS = 100
/** Calls that are under way at the end get this long. */
const CLOSE_TIMEOUT_MS = 5_000

export interface Admin {
  /** `http://host:port` with the port that was taken. */
  readonly address: string
  /** What listens there. */
  readonly server: FastifyInstance['server']
  /**
   * Ends event streams, lets calls under way finish for up to 5 s, and stops listening. With `isShared`, where another process has the
   * socket too, whoever has just connected is answered still.
   */
  close(isShared?: boolean): Promise<void>
}

/** A route as registered: its methods by URL pattern. */
export type Routes = Map<string, Set<string>>

/** Starts the admin API. Rejects with `invalid` for an address off loopback without tokens, or when it is taken. */
export async function createAdmin(deps: AdminDeps): Promise<Admin> {
  const at = parseListenAddress(deps.address)
  if ('bad' in at) throw new TurnoutError('invalid', `The admin API cannot listen: ${at.bad}.`)
  const { host, port } = at
  if (deps.tokens.length === 0 && !isLoopback(host)) {
    throw new TurnoutError('invalid', `Without tokens the admin API cannot listen on ${deps.address}.`)
  }
  const { app, end } = await buildAdmin(deps)
  try {
    const address = await app.listen(placeOf(host, port, deps.descriptor))
    let closed: Promise<void> | null = null
    const close = (isShared = false) => {
      closed ??= closeWithin(CLOSE_TIMEOUT_MS, app, end, deps.clock, isShared)
      return closed
    }
    return { address, server: app.server, close }
  } catch (error) {
    end()
    await app.close()
    throw error
  }
}

/** Where to listen. With a descriptor nobody asks for the host, but a name of several addresses would be opened for each. */
const placeOf = (host: string, port: number, fd: number | undefined): FastifyListenOptions =>
  fd === undefined ? { host: host || '::', port } : ({ host: '127.0.0.1', fd } as FastifyListenOptions)

/** The instance before it listens, with the list of its routes; `end` stops what it does by itself. */
export async function buildAdmin(deps: AdminDeps): Promise<{ app: FastifyInstance; routes: Routes; end: () => void }> {
  // It would tell in its own words where it listens, which we have told in ours.
  const log: FastifyBaseLogger = deps.log.isLevelEnabled('warn') ? deps.log.child({}, { level: 'warn' }) : deps.log
  const requestTimeout = deps.requestTimeoutMs ?? REQUEST_TIMEOUT_MS
  const connection = createConnectionAnswers(deps.clock)
  const app: FastifyInstance = Fastify({
    loggerInstance: log,
    // The audit says who changed what; reading is not logged.
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout,
    http: {
      // A missing Host is answered by us, with a problem.
      requireHostHeader: false,
      requestTimeout,
      headersTimeout: requestTimeout,
      connectionsCheckingInterval: TIMEOUT_CHECK_MS,
    },
    routerOptions: { maxParamLength: PATH_PARAMETER_LENGTH_MAX, querystringParser: readQuery },
    schemaController: COMPILERS,
    frameworkErrors: (error, request, reply) => sendProblem(error, request, reply),
    clientErrorHandler: connection.refuse,
  })
  // Node drops what is beyond a number of fields without a word; their bytes are limited anyhow.
  app.server.maxHeadersCount = 0
  connection.attach(app)
  limitConnections(app, deps.connectionsMax ?? SERVED_MAX, deps.clock)
  const ending = new AbortController()
  app.decorate('ending', ending.signal)
  // Else whoever keeps its connection would be refused its next call, which another process would answer.
  app.addHook('onSend', async (_request, reply) => {
    if (ending.signal.aborted) reply.header('connection', 'close')
  })
  const routes = rememberRoutes(app)
  closeQueries(app)
  guardCalls(app, deps)
  answerProblems(app, routes)
  readBodies(app)
  app.addHook('preValidation', typeQuery)
  await app.register(swagger, documentOptions(deps.version, deps.tokens.length > 0))
  liveRoutes(app, deps)
  serviceRoutes(app, deps)
  switchRoutes(app, deps)
  holdRoutes(app, deps)
  maintenanceRoutes(app, deps)
  poolRoutes(app, deps)
  statusRoutes(app, deps)
  rolloutRoutes(app, deps)
  explainRoutes(app, deps)
  dryRunRoutes(app, deps)
  historyRoutes(app, deps)
  fileRoutes(app, deps)
  upgradeRoutes(app, deps)
  const { close: endStreams } = eventRoutes(app, deps)
  const end = (): void => {
    ending.abort(endsNow())
    endStreams()
  }
  return { app, routes, end }
}

/** Why a call is not gone on with. */
export const endsNow = (): TurnoutError => new TurnoutError('not_ready', 'Turnout ends, and nothing has changed.')

function rememberRoutes(app: FastifyInstance): Routes {
  const routes: Routes = new Map()
  app.addHook('onRoute', ({ url, method }) => {
    const methods = routes.get(url) ?? new Set()
    for (const each of [method].flat()) methods.add(each)
    routes.set(url, methods)
  })
  return routes
}

const isReading = (method: string): boolean => method === 'GET' || method === 'HEAD'

const NoQuery = closed({})

/** Whoever sends a call that does something a parameter of another one, such as dryRun, must not get what he has asked not to be done. */
function closeQueries(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    if ([route.method].flat().every(isReading)) return
    route.schema = { querystring: NoQuery, ...route.schema }
  })
}

function guardCalls(app: FastifyInstance, { tokens, isYielded }: AdminDeps): void {
  const guard = createGuard(tokens)
  app.decorateRequest('actor', '')
  app.decorateRequest('isViewer', false)
  app.addHook('onRequest', async (request: FastifyRequest) => {
    const config = request.routeOptions.config ?? {}
    if (config.isOpen === true) return
    const needs = config.role ?? (isReading(request.method) ? 'viewer' : 'operator')
    const { name, role } = guard({ headers: request.headers, remoteAddress: request.socket.remoteAddress, needs })
    request.actor = name
    request.isViewer = role === 'viewer'
    if (needs === 'operator' && isYielded?.() === true) throw yieldedNow()
  })
  // Whatever answers with settings: no route has to think of it.
  app.addHook('preSerialization', async ({ isViewer }, _reply, answer) => (isViewer ? withoutSecrets(answer) : answer))
}

/** A query, all as text. A name that comes twice is a list, which no schema takes: else one of the values would be lost without a word. */
function readQuery(text: string): Record<string, string | string[]> {
  const query = new URLSearchParams(text)
  return Object.fromEntries(
    [...query.keys()].map((name) => {
      const values = query.getAll(name)
      return [name, values.length === 1 ? values[0] : values]
    }),
  )
}

interface Typed {
  readonly type?: string
  readonly anyOf?: readonly { readonly type?: string }[]
}

/** Makes numbers and booleans of what a query's schema has as such, where it looks like one: schemas coerce nothing, and a service may be named 0. */
async function typeQuery({ query, routeOptions }: FastifyRequest): Promise<void> {
  const values = query as Record<string, unknown>
  const { properties = {} } = (routeOptions.schema?.querystring ?? {}) as { properties?: Record<string, Typed> }
  for (const [name, { type, anyOf = [] }] of Object.entries(properties)) {
    const text = values[name]
    if (typeof text !== 'string') continue
    const types = [type, ...anyOf.map((one) => one.type)]
    if (types.includes('integer') && /^[0-9]+$/.test(text)) values[name] = Number(text)
    if (types.includes('boolean') && (text === 'true' || text === 'false')) values[name] = text === 'true'
  }
}

/** What nobody serves is answered before its body is looked at, whatever that is. */
function answerProblems(app: FastifyInstance, routes: Routes): void {
  const nowhere = (request: FastifyRequest, reply: FastifyReply): TurnoutError => {
    const allowed = methodsAt(routes, pathOf(request.url))
    if (allowed.length === 0) return new TurnoutError('not_found')
    reply.header('allow', allowed.join(', '))
    return new TurnoutError('method_not_allowed')
  }
  app.setErrorHandler((error, request, reply) => sendProblem(error, request, reply))
  app.setNotFoundHandler((request, reply) => sendProblem(nowhere(request, reply), request, reply))
  app.addHook('onRequest', async (request, reply) => {
    if (request.is404) throw nowhere(request, reply)
  })
}

function methodsAt(routes: Routes, path: string): string[] {
  const asked = path.split('/')
  const allowed = new Set<string>()
  for (const [url, methods] of routes) {
    const parts = url.split('/')
    const fits = parts.every((part, n) => part === asked[n] || (part.startsWith(':') && Boolean(asked[n])))
    if (fits && parts.length === asked.length) for (const method of methods) allowed.add(method)
  }
  return [...allowed].sort()
}

async function closeWithin(
  timeoutMs: number,
  app: FastifyInstance,
  end: () => void,
  clock: AdminDeps['clock'],
  isShared: boolean,
): Promise<void> {
  const { server } = app
  end()
  // Node cuts idle connections off when it stops accepting, and those are idle to it whose first call was not read yet.
  if (isShared) server.closeIdleConnections = () => {}
  // At once: where another process has the socket too, whoever connects from now on is its client.
  server.close()
  if (isShared) {
    await sleep(clock, JUST_CONNECTED_MS)
    Reflect.deleteProperty(server, 'closeIdleConnections')
  }
  const cancel = clock.after(timeoutMs, () => server.closeAllConnections())
  await app.close()
  cancel()
}
