/**
 * One active probe: a GET of the health path at an address of a target, and whether its answer is a pass. The name of the target
 * goes into Host and TLS (names/connect.ts); it is not looked up here.
 *
 * Every probe opens a connection of its own and closes it (`Connection: close`). A kept one would prove only that an old
 * connection lives, not that the target still accepts, and a target that closes it between two probes would look down. One
 * handshake per target and interval is the whole price. So each probe has its own undici Client, which dies with it: with
 * fresh connections an Agent would pool nothing and remember every origin that was ever probed.
 *
 * The deadline is absolute, from the start of the connection to the last byte that is needed: a target that drips its answer
 * is as slow as one that never starts. At most 64 KiB of the body are read; without expectations of its content that much is
 * answer enough. Redirects are not followed: a 302 passes only if the plan lists it. A probe never rejects.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Client, Dispatcher } from 'undici'
import type { Clock } from '../clock.ts'
import type { HealthPlan } from '../config/plan.ts'
import { fieldAt } from '../config/record.ts'
import { isAmong } from '../config/statuses.ts'
import type { Address } from '../names/address.ts'
import { connectorOf, originOf } from '../names/connect.ts'
import { unansweredInWords } from '../unanswered.ts'
import type { ProbeResult } from './state.ts'

/** Bytes of an answer's body that are read. */
export const BODY_BYTES_MAX = 65_536

export interface ProbeOutcome {
  readonly result: ProbeResult
  /** For people, one line: `GET /health answered 500`. */
  readonly detail: string
}

/** Probes an address of a target once; `version` is the pool's. Ends as a failure when `signal` aborts. */
export async function probe(
  url: string,
  address: Address,
  plan: HealthPlan,
  version: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<ProbeOutcome> {
  const deadline = new AbortController()
  const cancel = clock.after(plan.timeoutMs, () => deadline.abort())
  let client: Client | null = null
  try {
    // It takes a sixth of the time of a start to load, and who has no probes needs it for nothing.
    const undici = await import('undici')
    client = new undici.Client(originOf(url, address), {
      pipelining: 0,
      allowH2: false,
      headersTimeout: 0,
      bodyTimeout: 0,
      maxHeaderSize: 32_768,
      connect: connectorOf(undici, address, plan.timeoutMs),
    })
    const fault = await ask(client, plan, version, AbortSignal.any([signal, deadline.signal]))
    return { result: fault === null ? 'pass' : 'fail', detail: `GET ${plan.path} ${fault ?? 'passed'}` }
  } catch (error) {
    const slow = deadline.signal.aborted
      ? `took longer than ${plan.timeoutMs} ms`
      : `failed: ${unansweredInWords(error)}`
    return { result: 'fail', detail: `GET ${plan.path} ${slow}` }
  } finally {
    cancel()
    // Waiting for the connection to be gone would only delay the result.
    client?.destroy().catch(() => {})
  }
}

/** Sends the request and judges the answer: null for a pass, else what was wrong. */
async function ask(client: Client, plan: HealthPlan, version: string, signal: AbortSignal): Promise<string | null> {
  const headers: Record<string, string> = { 'user-agent': 'turnout-probe', accept: 'application/json, */*;q=0.5' }
  if (plan.host !== null) headers.host = plan.host
  const answer = await client.request({ method: 'GET', path: plan.path, headers, signal })
  const { body, whole } = await readCapped(answer.body)
  if (!isAmong(answer.statusCode, plan.statuses)) {
    return `answered ${answer.statusCode}`
  }
  if (plan.json.length === 0 && plan.expectVersion === null) return null
  if (!whole) return `answered more than ${BODY_BYTES_MAX} bytes`
  return judgeBody(body, plan, version)
}

async function readCapped(stream: Dispatcher.ResponseData['body']): Promise<{ body: string; whole: boolean }> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > BODY_BYTES_MAX) return { body: '', whole: false }
    chunks.push(chunk)
  }
  return { body: Buffer.concat(chunks).toString('utf8'), whole: true }
}

function judgeBody(body: string, plan: HealthPlan, version: string): string | null {
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    return 'answered no valid JSON'
  }
  for (const [path, wanted] of plan.json) {
    const found = fieldAt(value, path)
    if (!isDeepStrictEqual(found, wanted)) return `answered ${path} = ${show(found)}, expected ${show(wanted)}`
  }
  if (plan.expectVersion === null) return null
  const found = fieldAt(value, plan.expectVersion)
  if (isPlain(found) && String(found) === version) return null
  return `answered ${plan.expectVersion} = ${show(found)}, expected version ${show(version)}`
}

const isPlain = (value: unknown): boolean => typeof value === 'string' || typeof value === 'number'

/** A value for people; what a target sent is cut, so that it cannot fill the log. */
function show(value: unknown): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value)
  return text.length > 80 ? text.slice(0, 79) + '…' : text
}
