/**
 * Bodies of calls: of which type they may be, and how JSON becomes a value.
 *
 * Only types that no form of a web page can send are taken, each route its own (`consumes`, by default JSON); the refusal says
 * which. Two things that JSON.parse lets pass are faults: a key that stands twice in an object, whose first value would be lost
 * without a word, and bytes that are not UTF-8, which would be replaced. So is the key `__proto__`. All are told with pointers.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { child, reservedKey } from '../config/pointer.ts'
import { type Fault, TurnoutError } from '../errors.ts'

export const JSON_TYPE = 'application/json'
const PATCH_TYPE = 'application/merge-patch+json'
/** Bytes of a body that may be whole services or thousands of rules; others are smaller (server.ts). */
export const SPEC_BYTES_MAX = 8 * 1024 * 1024
/** More are not told: whoever repeats a key so often needs no list. */
const FAULTS_MAX = 100

/** The body has no type, or none that the call takes; answered with 415. */
export class UnsupportedType extends Error {
  readonly statusCode = 415
  readonly accept: string

  constructor(sent: string | undefined, taken: readonly string[]) {
    const what =
      sent === undefined || sent === '' ? 'The body has no Content-Type' : `The body is ${JSON.stringify(sent)}`
    super(`${what}; this call takes ${taken.join(' or ')}.`)
    this.accept = taken.join(', ')
  }
}

/** Bodies are JSON and nothing else, unless a scope adds a parser; a call without a body needs no content type. */
export function readBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  for (const contentType of [JSON_TYPE, PATCH_TYPE]) {
    app.addContentTypeParser<Buffer>(contentType, { parseAs: 'buffer' }, (_request, bytes, done) => {
      try {
        done(null, parseJson(textOf(bytes)))
      } catch (error) {
        done(error as Error)
      }
    })
  }
  app.addHook('onRequest', async (request) => checkType(request))
  app.addHook('preValidation', async ({ body, routeOptions }) => {
    if (routeOptions.schema?.body !== undefined && body === undefined) {
      throw new TurnoutError('malformed', 'A JSON body is needed.')
    }
  })
}

function checkType({ headers, routeOptions }: FastifyRequest): void {
  const sent = headers['content-type']
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
  if (sent === undefined && !hasBody) return
  const taken = routeOptions.schema?.consumes ?? [JSON_TYPE]
  const essence = (sent ?? '').split(';', 1)[0].trim().toLowerCase()
  if (!taken.includes(essence)) throw new UnsupportedType(sent, taken)
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** The text of a body; throws `malformed` when it is not UTF-8. */
export function textOf(bytes: Buffer): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw new TurnoutError('malformed', 'The body is not UTF-8.')
  }
}

/** The value of a JSON text, undefined for an empty one. Throws `malformed`, or `invalid` for keys that cannot stand there. */
export function parseJson(text: string): unknown {
  if (text === '') return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new TurnoutError('malformed', `The body is not valid JSON: ${(error as Error).message}`)
  }
  const faults = keyFaults(text)
  if (faults.length > 0) throw new TurnoutError('invalid', undefined, faults)
  return value
}

/** An object or list that is open where the scan stands. */
interface Open {
  /** The keys so far; null for a list. */
  readonly keys: Set<string> | null
  key: string
  index: number
  expectsKey: boolean
}

/** Keys of a valid JSON text that stand twice in their object, or are `__proto__`. */
function keyFaults(text: string): Fault[] {
  const faults: Fault[] = []
  const open: Open[] = []
  for (let at = 0; at < text.length && faults.length < FAULTS_MAX; at++) {
    const inner = open.at(-1)
    switch (text[at]) {
      case '"': {
        const end = endOfText(text, at)
        if (inner?.expectsKey) noteKey(faults, open, inner, JSON.parse(text.slice(at, end)))
        at = end - 1
        break
      }
      case '{':
      case '[': {
        const isMap = text[at] === '{'
        open.push({ keys: isMap ? new Set() : null, key: '', index: 0, expectsKey: isMap })
        break
      }
      case '}':
      case ']':
        open.pop()
        break
      case ',':
        inner!.index++
        inner!.expectsKey = inner!.keys !== null
    }
  }
  return faults
}

function noteKey(faults: Fault[], open: readonly Open[], inner: Open, key: string): void {
  inner.key = key
  inner.expectsKey = false
  const pointer = (): string => open.reduce((path, it) => child(path, it.keys === null ? it.index : it.key), '')
  if (inner.keys!.has(key))
    faults.push({ pointer: pointer(), message: `the key ${JSON.stringify(key)} stands here twice` })
  inner.keys!.add(key)
  if (key !== '__proto__') return
  const { message } = reservedKey('', key)
  faults.push({ pointer: pointer(), message })
}

/** Where the text that begins at `start` ends, behind its quote. */
function endOfText(text: string, start: number): number {
  let at = start + 1
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at + 1
}
