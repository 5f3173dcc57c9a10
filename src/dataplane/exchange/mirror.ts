/**
 * One copy of a request, to another pool: nobody waits for it, and nobody is given its answer.
 *
 * The client's own exchange knows of it only that it is there: it tells it what the client is given (`live…`), where both are compared.
 * Whichever of the two ends last compares. Bodies are compared by hash, piece by piece as they come, so nothing of them is kept; what
 * is compared cannot pass unseen, so such an exchange copies the bytes of its answer, until its copy has failed.
 *
 * A copy counts as in flight at its target, and never as an attempt: whether the target is well is told by those who are served.
 */
import { createHash, type Hash } from 'node:crypto'
import { FIELD } from '../../metrics/layout.ts'
import { isIdempotent } from '../../table/methods.ts'
import { mirrorTarget } from '../../table/mirror.ts'
import type { Decision, ServiceTable, TargetTable } from '../../table/types.ts'
import type { ResponseHead } from '../http1/response-head.ts'
import type { Plane } from '../plane.ts'
import type { Outgoing } from '../socket/outgoing.ts'
import type { UnderWay } from '../sweep.ts'
import type { AnswerUser, Leases, RequestToSend, Upstream, UpstreamUser } from '../upstream/upstream.ts'
import { MIRROR_LINE, poolLines } from './field-lines.ts'
import { releaseUntied } from './leftover.ts'
import type { ExchangeRequest } from './request.ts'

/** A copy that takes longer is given up: an endless answer has no end to compare. */
const MS_MAX = 30_000
/** And one with a longer answer: nobody is given it, and until it is over the client's is copied where it could be moved unseen. */
const BYTES_MAX = 16 * 1_048_576
/**
 * Once the client has all of its answer, a copy that gets longer than twice as long and this is another answer, whatever follows. To read
 * on would take time from all other clients.
 */
const LONGER = 2
const LONGER_BYTES = 262_144
/** A copy is slower when its head took twice as long as the client's, and so much more. */
const SLOWER = 2
const SLOWER_MS = 10

/** An answer, as far as it has come. */
class Seen {
  status = 0
  bytes = 0
  /** From the request to the head of the answer. */
  headMs = -1
  isWhole = false
  readonly #hash: Hash | null

  constructor(compares: boolean) {
    this.#hash = compares ? createHash('sha1') : null
  }

  note(buffer: Buffer, at: number, end: number): void {
    this.bytes += end - at
    if (end > at) this.#hash?.update(buffer.subarray(at, end))
  }

  digest(): string {
    return this.#hash!.digest('latin1')
  }
}

export class Mirror implements UpstreamUser, AnswerUser, UnderWay {
  readonly deadlineMs: number
  readonly sink: Outgoing | null = null
  readonly #plane: Plane
  readonly #service: ServiceTable
  readonly #target: TargetTable
  readonly #request: RequestToSend
  readonly #path: string
  readonly #startMs: number
  readonly #copy: Seen
  /** What the client is given; null where that is not compared, or not any more. */
  #live: Seen | null
  #leases: Leases | null = null
  #upstream: Upstream | null = null
  #isFresh = false
  #bytesMax = BYTES_MAX
  #isOver = false
  #isLiveOver = false

  private constructor(plane: Plane, service: ServiceTable, target: TargetTable, request: ExchangeRequest) {
    const { compares } = service.mirror!
    const { nowMs } = plane.time
    this.#plane = plane
    this.#service = service
    this.#target = target
    this.#request = copyOf(request, service, target)
    this.#path = compares ? request.path : ''
    this.#startMs = nowMs
    this.#copy = new Seen(compares)
    this.#live = compares ? new Seen(true) : null
    this.deadlineMs = nowMs + Math.min(MS_MAX, service.timeouts.responseMs)
  }

  /** Copies a request that was just decided and drawn for it, if it can be; null when it cannot. */
  static begin(plane: Plane, request: ExchangeRequest, decision: Decision): Mirror | null {
    const target = mirrorTarget(decision, request, plane.view, plane.load, plane.tables.draw, plane.time.steadyMs())
    if (target === null) return null
    const { mirrors, requestHead } = plane
    // A login of a connection means nothing on another one.
    if (request.upgrade !== '' || requestHead.bindsConnection || decision.reason === 'preview') return null
    if (request.isCopy) return null
    if (!request.bodyDone || !mirrors.take()) {
      mirrors.skip()
      return null
    }
    const mirror = new Mirror(plane, decision.service!, target, request)
    if (mirror.#acquire(false)) {
      mirror.#start()
      return mirror
    }
    mirrors.give()
    mirrors.skip()
    return null
  }

  /** Takes an idle connection, unless `fresh`, or opens one; false when the target has no room. */
  #acquire(fresh: boolean): boolean {
    // The same ones when it is sent again, though the target has got another address meanwhile.
    this.#leases ??= this.#plane.targets.connectionsOf(this.#target)
    const connections = this.#leases
    const idle = fresh ? null : connections.takeIdle(isIdempotent(this.#request.method))
    this.#isFresh = idle === null
    if (idle !== null) idle.user = this
    this.#upstream = idle ?? (connections.isCrowded ? null : connections.open(this))
    return this.#upstream !== null
  }

  #start(): void {
    const { exchanges, counters } = this.#plane
    exchanges.add(this)
    counters.count(this.#target.slot, FIELD.inFlight)
    counters.count(this.#target.slot, FIELD.mirrors)
    if (!this.#isFresh) this.onConnected()
  }

  /** Whether what the client is given is to be told. */
  get compares(): boolean {
    return this.#live !== null
  }

  liveBody(buffer: Buffer, at: number, end: number): void {
    this.#live?.note(buffer, at, end)
  }

  /** The client's answer is over: its status, its bytes, when its head came (below 0: not at all), and whether the client was given all of it. */
  liveEnded(status: number, bytes: number, headMs: number, isWhole: boolean): void {
    if (isWhole) this.#bytesMax = Math.min(BYTES_MAX, bytes * LONGER + LONGER_BYTES)
    if (this.#live !== null) {
      this.#live.status = status
      this.#live.headMs = headMs
      this.#live.isWhole = isWhole && headMs >= 0
      this.#isLiveOver = true
    }
    // One that is given up now was compared by that.
    if (!this.#see()) this.#compare()
  }

  get answer(): AnswerUser {
    return this
  }

  onConnected(): void {
    this.#upstream?.send(this.#request)
  }

  onHead(head: ResponseHead): void {
    this.#copy.status = head.status
    this.#copy.headMs = this.#plane.time.nowMs - this.#startMs
  }

  onBody(buffer: Buffer, at: number, end: number, trailers: string | null): void {
    this.#copy.note(buffer, at, end)
    if (this.#see()) return
    if (trailers === null) return
    const upstream = this.#upstream!
    this.#upstream = null
    releaseUntied(upstream)
    this.#copy.isWhole = true
    this.#end(true)
  }

  onFault(): void {
    this.#cut()
  }

  onClosed(): void {
    const upstream = this.#upstream
    this.#upstream = null
    // A connection that was kept may have been about to be closed. Or the target has done what was asked, which a copy must not make it do twice.
    const mayRepeat = !this.#isFresh && upstream?.begun === false && isIdempotent(this.#request.method)
    if (!mayRepeat || !this.#acquire(true)) this.#end(false)
  }

  onDeadline(): void {
    this.#cut()
  }

  noteSlow(): boolean {
    return false
  }

  /** Gives a copy up that is too long. What there is of it tells as much as all of it, where there is something to compare it with. */
  #see(): boolean {
    if (this.#isOver || this.#copy.bytes <= this.#bytesMax) return false
    this.#copy.isWhole = this.#isLiveOver && this.#live?.isWhole === true
    this.#cut(this.#copy.isWhole)
    return true
  }

  #cut(isWhole = false): void {
    this.#upstream?.destroy()
    this.#upstream = null
    this.#end(isWhole)
  }

  #end(isWhole: boolean): void {
    if (this.#isOver) return
    this.#isOver = true
    const { counters, exchanges, mirrors } = this.#plane
    exchanges.delete(this)
    mirrors.give()
    counters.count(this.#target.slot, FIELD.inFlight, -1)
    if (!isWhole) {
      counters.count(this.#target.slot, FIELD.mirrorsFailed)
      this.#live = null
    }
    this.#compare()
  }

  #compare(): void {
    const [copy, live] = [this.#copy, this.#live]
    if (live === null || !this.#isOver || !this.#isLiveOver || !copy.isWhole || !live.isWhole) return
    const { slot } = this.#target
    const { counters } = this.#plane
    counters.count(slot, FIELD.mirrorsCompared)
    counters.count(slot, FIELD.mirrorsSumMs, copy.headMs)
    counters.count(slot, FIELD.mirroredSumMs, live.headMs)
    if (copy.headMs >= live.headMs * SLOWER && copy.headMs >= live.headMs + SLOWER_MS) {
      counters.count(slot, FIELD.mirrorsSlower)
    }
    if (copy.status !== live.status) counters.count(slot, FIELD.mirrorsOtherStatus)
    else if (copy.bytes === live.bytes && copy.digest() === live.digest()) return
    else counters.count(slot, FIELD.mirrorsOtherBody)
    this.#tell(copy, live)
  }

  #tell(copy: Seen, live: Seen): void {
    const { mirrors, time } = this.#plane
    const { slot, name } = this.#service
    if (!mirrors.isDue(slot, time.nowMs)) return
    const told = ({ status, bytes, headMs }: Seen) => ({ status, bytes, headMs })
    const { method } = this.#request
    mirrors.tell({
      service: name,
      pool: this.#target.pool.name,
      target: this.#target.url,
      method,
      path: this.#path,
      live: told(live),
      copy: told(copy),
    })
  }

  onDrain(): void {}

  onInterim(): void {}

  onMoved(): void {}
}

/** The request as its copy is sent: with the same fields, marked, and named by the pool that gets it. */
function copyOf(request: ExchangeRequest, service: ServiceTable, target: TargetTable): RequestToSend {
  const { method, isHead, lines, chunked, contentLength, whole, trailers } = request
  return {
    method,
    isHead,
    target: request.target,
    authority: request.authority,
    lines: lines + MIRROR_LINE,
    poolLines: poolLines(service, target.pool),
    upgrade: '',
    expectContinue: false,
    chunked,
    contentLength,
    whole,
    bodyDone: true,
    trailers,
  }
}
