/** Resizing in the background: what a thread does that has a hashtable to look after. */

import { type Rcu, sliceIsOver } from '@cowherd/shim'
import type { Core } from './core.ts'
import { BUSY, Busy, MAINTAINER, WORK } from './layout.ts'
import type { Resizer } from './resizer.ts'

/** Buckets moved in a step. */
const BUCKETS_PER_STEP = 64
/** How long the thread sleeps before it looks whether it shall go on. */
const SLICE_MS = 100

export class Maintenance {
  private readonly core: Core
  private readonly resizer: Resizer

  /** @internal */
  constructor(core: Core, resizer: Resizer) {
    this.core = core
    this.resizer = resizer
  }

  /** Does some work, of about as many buckets. Returns whether there is more to do at once. The thread is online. */
  step(buckets = BUCKETS_PER_STEP): boolean {
    this.resizer.step(buckets)
    return this.core.load(this.core.at + BUSY) === Busy.work
  }

  /**
   * Does all work that comes up, and sleeps in between (offline for RCU, as when it began), until `until` says so, which is
   * asked at least ten times a second. Any number of threads may do so, and each may stop at any time; writers don't work
   * then, as long as one of them lives and comes along.
   */
  maintain(until: () => boolean): void {
    const { core } = this
    const { rcu, ints, at } = core
    if (rcu === undefined) throw new Error('a table that one thread uses is maintained by that thread')
    rcu.offline()
    try {
      for (;;) {
        const seen = Atomics.load(ints, at + WORK) // before everything that somebody may wake us for
        if (until()) return
        core.change(at + MAINTAINER, 0, core.self)
        const busy = core.load(at + BUSY)
        if (busy === Busy.waiting) rcu.synchronizeRcu()
        if (busy !== Busy.idle && this.stepOnline(rcu)) continue
        // There is nothing to do, or somebody else is at it. Who asks for something, or leaves something, wakes us.
        if (Atomics.wait(ints, at + WORK, seen, SLICE_MS) !== 'timed-out') continue
        sliceIsOver()
        this.relieveMaintainer()
      }
    } finally {
      core.change(at + MAINTAINER, core.self, 0)
    }
  }

  /** Has all threads in `maintain` ask whether they shall go on. */
  wake(): void {
    Atomics.add(this.core.ints, this.core.at + WORK, 1)
    Atomics.notify(this.core.ints, this.core.at + WORK)
  }

  private stepOnline(rcu: Rcu): boolean {
    rcu.online()
    const hasWorked = this.resizer.step(BUCKETS_PER_STEP)
    rcu.offline()
    return hasWorked
  }

  /** Takes the place of a maintainer that died. */
  private relieveMaintainer(): void {
    const { core } = this
    const maintainer = core.load(core.at + MAINTAINER)
    if (maintainer !== 0 && !core.isAlive(maintainer)) core.change(core.at + MAINTAINER, maintainer, core.self)
  }
}
