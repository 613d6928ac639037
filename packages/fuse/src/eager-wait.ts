/**
 * Waiting for the next request eagerly: for a moment the thread looks again and again whether there is one, before it sleeps. Programs that do one
 * thing after another ask again within microseconds, while putting a thread to sleep and waking it takes tens of them, in virtual machines above
 * all, and as much processor time as looking.
 *
 * It looks only while that pays. If a request comes soon, but not as long as it looked, somebody else may need the processor, so that it looks
 * less and less often: after twice as many requests each time. After a long wait there was simply nothing to do.
 */

/** Looking for longer gained nothing in any measurement (tools/bench, set mount-write). */
const LOOKING_MS = 0.05
/** Who waits for longer has not lost a request to looking. */
const SOON_MS = 1
const PASSED_OVER_MAX = 256

export class EagerWait {
  private readonly isReady: () => boolean
  private readonly nowMs: () => number
  /** So many requests are waited for without looking. */
  private passedOver = 0
  private next = 1
  /** Since when it has been waited. */
  private sinceMs = 0

  /** `isReady`: whether waiting would end at once. */
  constructor(isReady: () => boolean, nowMs: () => number = () => performance.now()) {
    this.isReady = isReady
    this.nowMs = nowMs
  }

  /** Looks for a moment, or not at all. True: waiting ends at once. False: it is time to sleep; `slept` is to be called afterwards. */
  look(): boolean {
    if (this.passedOver > 0) {
      this.passedOver--
      this.sinceMs = -Infinity
      return false
    }
    this.sinceMs = this.nowMs()
    do {
      if (!this.isReady()) continue
      this.next = 1
      return true
    } while (this.nowMs() - this.sinceMs < LOOKING_MS)
    return false
  }

  /** What was waited for has come. */
  slept(): void {
    if (this.nowMs() - this.sinceMs > SOON_MS) return
    this.passedOver = this.next
    this.next = Math.min(2 * this.next, PASSED_OVER_MAX)
  }
}
