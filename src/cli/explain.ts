/**
 * `explain`: which pool and target a request would get, and why.
 *
 * The request is only described (URL, headers, address) and sent nowhere; the API answers by the function that decides real
 * requests. "Nowhere" is an answer too, not a failure, so the exit code stays 0.
 */
import { pathOf } from './admin.ts'
import { columns, plain } from './columns.ts'
import { usageFailure } from './failure.ts'
import { type RunningView, runningInWords } from './rollout-words.ts'
import type { Verb } from './verb.ts'

/** What the API answers, as far as it is shown (admin/explain.ts). */
interface Explanation {
  readonly service: string | null
  readonly release: string | null
  readonly pool: string | null
  readonly version: string | null
  readonly target: string | null
  readonly why: string
  readonly visitor: string | null
  /** An older Turnout does not say. */
  readonly visitorFrom?: string | null
  readonly bucket: number
  readonly error: string | null
  readonly setsCookie: boolean
  /** An older Turnout tells nothing of it. */
  readonly rollout?: RunningView | null
  readonly epoch: number
}

/** Tells which pool and target a request would get, and why. */
export const explain: Verb = {
  name: 'explain',
  args: 'URL',
  summary: 'Tell which pool and target a request would get, and why',
  argsCount: [1, 1],
  options: {
    header: { type: 'string', short: 'H', multiple: true },
    method: { type: 'string', short: 'X' },
    ip: { type: 'string' },
  },
  optionsHelp: [
    ["-H, --header 'NAME: VALUE'", 'A header of the request; may be repeated'],
    ['-X, --method METHOD', 'Default GET'],
    ['--ip ADDRESS', 'Address of the client; default 127.0.0.1'],
  ],
  examples: ['explain http://shop.example.com/cart', "explain http://localhost:8080/ -H 'x-internal: 1' --ip 10.0.0.7"],
  async run(call) {
    const [url] = call.args
    const { header = [], method, ip } = call.options
    const explanation = await call.admin.call<Explanation>('POST', pathOf('explain'), {
      // Another scheme is for the API to refuse: with ours before it, its name would be the host.
      url: /^(\/|[a-z][a-z\d+.-]*:\/\/)/i.test(url) ? url : `http://${url}`,
      headers: headersOf(header as readonly string[]),
      method,
      ip,
    })
    call.print(call.json ? JSON.stringify(explanation) + '\n' : inWords(explanation))
  },
}

/** Values by name; of one that comes more than once, all of them. */
function headersOf(lines: readonly string[]): Record<string, string | string[]> {
  const headers = new Map<string, string[]>()
  for (const line of lines) {
    const [, name, value] = /^([^:\s]+)\s*:[ \t]*(.*)$/.exec(line) ?? []
    if (name === undefined) throw usageFailure(`A header is 'name: value', not "${line}".`)
    const lower = name.toLowerCase()
    headers.set(lower, [...(headers.get(lower) ?? []), value.replace(/[ \t]+$/, '')])
  }
  return Object.fromEntries([...headers].map(([name, values]) => [name, values.length === 1 ? values[0] : values]))
}

function inWords(it: Explanation): string {
  const where = it.target === null ? `nowhere: ${it.error ?? 'a redirect'}` : `${it.pool} ${it.version}, ${it.target}`
  const facts: [string, string | null][] = [
    ['why', it.why],
    ['service', it.service === null ? null : `${it.service}, release ${it.release}`],
    [
      'visitor',
      it.visitor === null
        ? 'no key in this request'
        : `${it.visitor}, bucket ${it.bucket} of 10000${it.visitorFrom ? `, from ${it.visitorFrom}` : ''}`,
    ],
    ['cookie', it.setsCookie ? 'the answer sets ours' : null],
    ['rollout', it.rollout ? runningInWords(it.rollout) : null],
    ['epoch', String(it.epoch)],
  ]
  const rows = facts.flatMap(([name, value]) => (value === null ? [] : [[`  ${name}`, value]]))
  const table = columns([{ title: '' }, { title: '' }], rows)
  return plain(where) + table
}
