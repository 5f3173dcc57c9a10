/** The published rules of others beside the verdict, on the same streams of 30 minutes at a weight of 10 %. */
import { OriginTest } from '../../src/rollout/origin-test.ts'
import { Strata } from '../../src/rollout/strata.ts'
import { Chance } from './chance.ts'
import { RULES, type Rule } from './rules.ts'

interface Format {
  table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string
  percent(share: number): string
  spread(sorted: readonly number[]): string
}

const WEIGHT = 0.1
const SECONDS = 1_800
const ALPHA = 0.0007
/** Looks a second of the verdict. */
const LOOKS = 10

interface Stream {
  readonly title: string
  readonly rate: number
  readonly control: (second: number) => number
  readonly canary: (second: number) => number
}

/** Of each judge: runs that it rolled back, and the failed answers of the canary until then, sorted. */
type Judged = Map<string, { back: number; readonly harmed: number[] }>

function judge(stream: Stream, runs: number, seed: number): Judged {
  const chance = new Chance(seed)
  const judged: Judged = new Map(
    ['verdict', ...RULES.map(({ name }) => name)].map((name) => [name, { back: 0, harmed: [] }]),
  )
  for (let run = 0; run < runs; run++) runOnce(stream, chance, judged)
  for (const { harmed } of judged.values()) harmed.sort((a, b) => a - b)
  return judged
}

function runOnce(stream: Stream, chance: Chance, judged: Judged): void {
  const origin = new OriginTest({ alpha: ALPHA, tolerance: 1 })
  const strata = new Strata()
  const open = new Map<string, ReturnType<Rule['start']>>(RULES.map((rule) => [rule.name, rule.start()]))
  let harmed = 0
  let isJudging = true
  const back = (name: string) => {
    const found = judged.get(name)!
    found.back++
    found.harmed.push(harmed)
  }
  for (let second = 0; second < SECONDS && (isJudging || open.size > 0); second++) {
    let [canary, canaryBad] = [0, 0]
    for (let look = 0; look < LOOKS; look++) {
      const all = chance.poisson(stream.rate / LOOKS)
      const part = chance.binomial(all, WEIGHT)
      const bad = chance.binomial(part, stream.canary(second))
      strata.add({
        canary: part,
        canaryBad: bad,
        control: all - part,
        controlBad: chance.binomial(all - part, stream.control(second)),
      })
      canary += part
      canaryBad += bad
      harmed += bad
      const stratum = isJudging ? strata.close(WEIGHT) : null
      if (stratum !== null) origin.take(stratum)
      if (!isJudging || !origin.failed) continue
      isJudging = false
      back('verdict')
    }
    for (const [name, isBack] of open) {
      if (!isBack({ canary, canaryBad }, second)) continue
      open.delete(name)
      back(name)
    }
  }
}

const worse = (rate: number, share: number, title: string): Stream => ({
  title,
  rate,
  control: () => 0.01,
  canary: () => share,
})
const equal = (rate: number, share: (second: number) => number, title: string): Stream => ({
  title,
  rate,
  control: share,
  canary: share,
})
const outage = (seconds: number) => (second: number) => (second >= 600 && second < 600 + seconds ? 0.5 : 0.01)

/** The section of the report. */
export function beside(runs: number, seed: number, { table, percent, spread }: Format): string {
  const head = ['', 'verdict', ...RULES.map(({ name }) => name)]
  const some = Math.max(10, Math.floor(runs / 10))
  const bad = [1, 0.5, 0.2, 0.1, 0.05, 0.02].map((share) => {
    const judged = judge(worse(100, share, percent(share)), some, seed)
    return [
      percent(share),
      ...[...judged.values()].map(({ back, harmed }) => `${spread(harmed)} (${percent(back / some)})`),
    ]
  })
  const streams = [
    ...[0.005, 0.01, 0.02, 0.05].map((share) => equal(100, () => share, `100/s, both ${percent(share)}`)),
    equal(10, () => 0.01, '10/s, both 1 %'),
    equal(1, () => 0.01, '1/s, both 1 %'),
    equal(1 / 60, () => 0.01, '1 a minute, both 1 %'),
    equal(100, outage(60), '100/s, an outage of 50 % for 60 s'),
    equal(100, outage(300), '100/s, an outage of 50 % for 300 s'),
  ]
  const good = streams.map((stream) => {
    const judged = judge(stream, some, seed)
    return [stream.title, ...[...judged.values()].map(({ back }) => percent(back / some))]
  })
  return `## Beside the rules of others

The same streams for all: 30 minutes at ${percent(WEIGHT)}, ${some} runs of each row. Their metrics are taken to be fresh, which they are not. Flagger: 1 m × 5,
success ≥ 99 %. Argo's example: 5 m, ≥ 95 %, failureLimit 3; strict: 1 m, failureLimit 0. Script: 5 % over 300 s, each 15 s.

Failed answers of the canary until it was rolled back, median / p95 (share of the runs that were), at 100 requests/s and a live version that fails 1 %:

${table(['canary fails', ...head.slice(1)], bad)}

Equal releases that were rolled back:

${table(head, good)}`
}
