/** The plainest request, for tests that care only about what carries it. */
import type { RequestToSend } from '../../../src/dataplane/upstream/upstream.ts'

export const GET: RequestToSend = {
  method: 'GET',
  isHead: false,
  target: '/',
  authority: 'a',
  lines: '',
  poolLines: '',
  upgrade: '',
  expectContinue: false,
  chunked: false,
  contentLength: -1,
  whole: '',
  bodyDone: true,
  trailers: '',
}
