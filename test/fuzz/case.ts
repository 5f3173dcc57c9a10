/**
 * The bytes of message number `index` of a run: made from parts, or taken from the corpus, and bent or not. The same seed and
 * number give the same bytes, whatever was made before, so a fault is seen again without the run that found it.
 */
import { REQUESTS, RESPONSES } from '../dataplane/http1/corpus.ts'
import type { Case } from './comparison.ts'
import { requestStream, responseStream } from './messages.ts'
import { mutate } from './mutation.ts'
import { Random } from './random.ts'

/** A message of a run, and where it is cut to see whether that matters; empty for most. */
export interface FuzzCase extends Case {
  readonly cuts: readonly number[]
}

/** How often a part is wrong on purpose, by chance one of these; 0 is never. */
const TRICKS = [0, 0, 0, 30, 10]
/** Floods of the corpus are longer, and taken seldom: they cost as much as a hundred others. */
const USUAL_BYTES_MAX = 1_500

const CORPUS = {
  request: REQUESTS.map(({ bytes }) => bytes),
  response: RESPONSES.map(({ bytes }) => bytes),
}

function fromCorpus(random: Random, side: Case['side']): string {
  const bytes = random.pick(CORPUS[side])
  return bytes.length <= USUAL_BYTES_MAX || random.oneIn(100) ? bytes : fromCorpus(random, side)
}

function cutsOf(random: Random, length: number): number[] {
  if (length <= USUAL_BYTES_MAX && random.oneIn(24)) return Array.from({ length: length - 1 }, (_, i) => i + 1)
  if (!random.oneIn(4)) return []
  return Array.from({ length: random.between(1, 3) }, () => random.below(length)).sort((a, b) => a - b)
}

const random = new Random()

/** Message `index` of the run with this seed. */
export function fuzzCase(seed: number, index: number): FuzzCase {
  random.start(seed, index)
  const side = random.oneIn(2) ? 'request' : 'response'
  const heads = side === 'response' && random.oneIn(4) ? random.below(16) : 0
  const from = { random, tricks: random.pick(TRICKS) }
  const made = () => (side === 'request' ? requestStream(from) : responseStream(from, heads))
  const source = () => (random.oneIn(4) ? fromCorpus(random, side) : made())
  const text = source()
  const bytes = random.oneIn(2) ? text : mutate(text, random, source, random.oneIn(3) ? random.between(2, 6) : 1)
  return { side, bytes, heads, cuts: bytes.length < 2 ? [] : cutsOf(random, bytes.length) }
}
