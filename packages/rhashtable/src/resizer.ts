/**
 * Resizing: when the table is too full, too empty, or has a chain that is too long, one of another size or with another seed is
 * made, objects move over, and the old one is freed when no reader can be in it any more. All of it is done in steps of bounded
 * work, by whoever comes: a thread that does nothing else (`maintain`), or the writers, a step with each change.
 *
 *     idle -> WANTED -> NEXT: memory taken, zeroed piece by piece -> future of the root: objects move
 *          -> becomes the root, the other is OLD: waits for a grace period -> idle
 *
 * What is not moving is done under a guard that is only ever tried; if its owner has died, the next one takes it. Each state
 * can be left at any point and found again, so that nothing is lost with a thread but what it had allocated that moment.
 * If there is no memory for a larger table, chains become longer, and growing is tried again later.
 */

import type { Core } from './core.ts'
import { seedOf } from './hash.ts'
import {
  BASE,
  BITS_MIN,
  BUCKET_WORDS,
  BUSY,
  Busy,
  CLAIMED,
  COUNT,
  FUTURE,
  GUARD,
  MAINTAINER,
  MASK,
  MOVED,
  NEXT,
  NEXT_ZEROED,
  OLD,
  OLD_TICKET,
  REFUSED,
  RESIZES,
  RETRY_AT,
  ROOT,
  SEED,
  SERIAL,
  TABLE_SEED,
  TABLE_SERIAL,
  TABLE_WORDS,
  UNCOUNTED,
  WANTED,
  WORK,
} from './layout.ts'
import { Mover } from './mover.ts'

/** Objects per 100 buckets. */
const FULL_PERCENT = 75
const EMPTY_PERCENT = 30
/** Longest chain that is taken for chance. */
export const CHAIN_MAX = 16
const BITS_MAX = 28
/** Words zeroed in a step, per bucket that would be moved. */
const ZEROED_PER_BUCKET = 512

export class Resizer {
  private readonly core: Core
  private readonly mover: Mover

  constructor(core: Core) {
    this.core = core
    this.mover = new Mover(core)
  }

  /** One object more or less was put into `table`. */
  count(delta: number, table: number): void {
    const { core } = this
    const at = core.ownLine + UNCOUNTED
    const uncounted = core.ints[at] + delta // written by this thread only
    core.ints[at] = uncounted
    const size = core.ints[table + MASK] + 1
    if (Math.abs(uncounted) < batchOf(size)) return
    core.ints[at] = 0
    this.judge(core.add(core.at + COUNT, uncounted) + uncounted)
  }

  /** An insertion met a chain of so many objects. */
  sawChain(length: number): void {
    if (length <= CHAIN_MAX) return
    const { core } = this
    const count = core.load(core.at + COUNT)
    if (count < core.load(core.at + RETRY_AT)) return
    const { size, bits } = this.root()
    const percent = (count * 100) / size
    this.want(percent > FULL_PERCENT ? bitsFor(count, FULL_PERCENT) : bits)
    core.store(core.at + RETRY_AT, count + 1 + (size >> 3)) // another seed may not help: not at each insertion
  }

  /** A bounded amount of work. Returns whether there was something that this thread could do. */
  step(buckets: number): boolean {
    const { core } = this
    const root = core.load(core.at + ROOT)
    const isMoving = core.load(root + FUTURE) !== 0
    const isMoved = isMoving && this.mover.moveSome(root, buckets)
    const isGuard = core.change(core.at + GUARD, 0, core.self) || this.relieve()
    if (isGuard) {
      core.rcu?.pin() // allocating may wait, and what our caller has found must stay
      try {
        this.proceed(isMoved ? root : 0, buckets)
      } finally {
        core.rcu?.unpin()
        core.store(core.at + GUARD, 0)
        this.wakeMaintainer()
      }
    }
    return isGuard || (isMoving && !isMoved)
  }

  /** Makes a first table, for a hashtable that is being created. */
  createFirst(bits: number): boolean {
    const { core } = this
    const table = this.allocate(bits)
    if (table === 0) return false
    core.ints.fill(0, core.ints[table + BASE], core.ints[table + BASE] + BUCKET_WORDS * 2 ** bits)
    core.store(core.at + ROOT, table)
    return true
  }

  /** Gives all tables back. Nobody uses the hashtable any more. */
  destroy(): void {
    const { core } = this
    const root = core.load(core.at + ROOT)
    const { at } = core
    const tables = new Set([root, core.load(root + FUTURE), core.load(at + NEXT), core.load(at + OLD)])
    for (const table of tables) if (table !== 0) this.free(table)
  }

  private root(): { root: number; size: number; bits: number } {
    const { core } = this
    const root = core.load(core.at + ROOT)
    const size = core.ints[root + MASK] + 1
    return { root, size, bits: 31 - Math.clz32(size) }
  }

  /** Asks for another table if `count` objects are too many or too few. */
  private judge(count: number): void {
    const { core } = this
    const { size, bits } = this.root()
    const percent = (count * 100) / size
    if (percent > FULL_PERCENT) {
      if (count >= core.load(core.at + RETRY_AT)) this.want(Math.max(bits + 1, bitsFor(count, FULL_PERCENT)))
    } else if (percent < EMPTY_PERCENT && bits > core.ints[core.at + BITS_MIN]) {
      this.want(Math.max(core.ints[core.at + BITS_MIN], bitsFor(count * 1.5, 100)))
    }
  }

  private want(bits: number): void {
    const { core } = this
    const root = core.load(core.at + ROOT)
    if (core.load(root + FUTURE) !== 0) return
    if (core.load(core.at + WANTED) === 0) core.store(core.at + WANTED, Math.min(bits, BITS_MAX))
    else if (core.load(core.at + BUSY) === Busy.work) return
    core.store(core.at + BUSY, Busy.work) // also if who wanted it before died here
    this.wakeMaintainer()
  }

  /** If there is something to do, and somebody whose task it is. He found the guard taken, or nothing to do, and sleeps. */
  private wakeMaintainer(): void {
    const { core } = this
    if (core.rcu === undefined || core.load(core.at + BUSY) === Busy.idle) return
    const maintainer = core.load(core.at + MAINTAINER)
    if (maintainer === 0 || maintainer === core.self) return
    Atomics.add(core.ints, core.at + WORK, 1)
    Atomics.notify(core.ints, core.at + WORK)
  }

  /** Takes the guard of a dead thread. */
  private relieve(): boolean {
    const { core } = this
    const owner = core.load(core.at + GUARD)
    return owner !== 0 && !core.isAlive(owner) && core.change(core.at + GUARD, owner, core.self)
  }

  /** Does what can be done now. Under the guard. `moved` is a root whose objects have all been moved, or 0. */
  private proceed(moved: number, buckets: number): void {
    const { core } = this
    const { at } = core
    this.reclaim()
    let root = core.load(at + ROOT)
    if (moved === root && core.load(at + OLD) === 0) root = this.promote(root)
    const future = core.load(root + FUTURE)
    const next = core.load(at + NEXT)
    if (next === future || next === root) core.store(at + NEXT, 0) // who attached it died before he could say so
    if (future === 0) this.prepare(root, buckets)
    this.conclude()
  }

  /** Frees the old table if its grace period is over. */
  private reclaim(): void {
    const { core } = this
    const { at } = core
    const old = core.load(at + OLD)
    if (old === 0) return
    if (core.load(at + ROOT) === old) core.store(at + ROOT, core.load(old + FUTURE))
    if (core.rcu !== undefined) {
      const ticket = core.load(at + OLD_TICKET)
      if (ticket === 0) core.store(at + OLD_TICKET, core.rcu.startGracePeriod())
      if (ticket === 0 || !core.rcu.isOver(ticket)) return
    }
    core.store(at + OLD_TICKET, 0)
    core.store(at + OLD, 0)
    this.free(old)
  }

  /** The root's future becomes the root. */
  private promote(root: number): number {
    const { core } = this
    const { at } = core
    const future = core.load(root + FUTURE)
    core.store(at + OLD, root)
    core.store(at + ROOT, future)
    core.add(at + RESIZES, 1)
    this.reclaim()
    const count = this.total()
    const { size } = this.root()
    if ((count * 100) / size > FULL_PERCENT) this.judge(count)
    return future
  }

  /** Takes memory for the table that is wanted, zeroes it in steps, and makes it the root's future. */
  private prepare(root: number, buckets: number): void {
    const { core } = this
    const { at, ints } = core
    let next = core.load(at + NEXT)
    if (next === 0) {
      const bits = core.load(at + WANTED)
      if (bits === 0) return
      next = this.allocate(bits)
      if (next === 0) return this.refuse()
      core.store(at + NEXT_ZEROED, 0)
      core.store(at + NEXT, next)
    }
    const zeroed = core.load(at + NEXT_ZEROED)
    const words = BUCKET_WORDS * (ints[next + MASK] + 1)
    const end = Math.min(words, zeroed + buckets * ZEROED_PER_BUCKET)
    ints.fill(0, ints[next + BASE] + zeroed, ints[next + BASE] + end)
    core.store(at + NEXT_ZEROED, end)
    if (end < words) return
    core.store(root + FUTURE, next)
    core.store(at + NEXT, 0)
    core.store(at + WANTED, 0)
  }

  /** There is no memory: it is tried again when there are some more objects. */
  private refuse(): void {
    const { core } = this
    const count = this.total()
    core.store(core.at + RETRY_AT, count + Math.max(64, count >> 4))
    core.store(core.at + WANTED, 0)
    core.add(core.at + REFUSED, 1)
  }

  /** Says what is left to do. */
  private conclude(): void {
    const { core } = this
    const { at } = core
    const root = core.load(at + ROOT)
    const isGrowing = core.load(root + FUTURE) !== 0
    const isMoving = isGrowing && core.load(root + MOVED) <= core.ints[root + MASK]
    if (isMoving || core.load(at + NEXT) !== 0) return core.store(at + BUSY, Busy.work)
    const isWaiting = core.load(at + OLD) !== 0
    core.store(at + BUSY, isWaiting ? Busy.waiting : isGrowing ? Busy.work : Busy.idle)
    if (!isGrowing && core.load(at + WANTED) !== 0) core.store(at + BUSY, Busy.work) // which came in between
  }

  /** About how many objects there are. */
  private total(): number {
    const { core } = this
    let count = core.load(core.at + COUNT)
    for (let seat = 0; seat < core.seats; seat++) count += core.load(core.lineOf(seat) + UNCOUNTED)
    return Math.max(0, count)
  }

  /** A table of 2^bits buckets, which are to be zeroed; 0: there is no memory. */
  private allocate(bits: number): number {
    const { core } = this
    const { ints, memory } = core
    const table = memory.allocate(TABLE_WORDS)
    if (table < 0) return 0
    const base = memory.allocate(BUCKET_WORDS * 2 ** bits)
    if (base < 0) {
      memory.deallocate(table)
      return 0
    }
    const serial = core.add(core.at + SERIAL, 1) + 1
    ints[table + BASE] = base
    ints[table + MASK] = 2 ** bits - 1
    ints[table + TABLE_SEED] = seedOf(ints[core.at + SEED], serial)
    ints[table + FUTURE] = 0
    ints[table + TABLE_SERIAL] = serial
    ints[table + CLAIMED] = 0
    ints[table + MOVED] = 0
    return table
  }

  private free(table: number): void {
    const { memory, ints } = this.core
    memory.deallocate(ints[table + BASE])
    memory.deallocate(table)
  }
}

/** Changes that a thread keeps for itself before it adds them to what all share. */
function batchOf(size: number): number {
  if (size >= 4096) return 32
  return size >= 512 ? 4 : 1
}

/** Bits of a table in which `count` objects make at most so many per cent. */
export function bitsFor(count: number, percent: number): number {
  const size = Math.max(1, Math.ceil((count * 100) / percent))
  return size === 1 ? 0 : 32 - Math.clz32(size - 1)
}
