/**
 * Moves the objects of one table into the next: bucket by bucket, each under its lock, and each object from the tail of its chain,
 * so that a reader who is carried along has seen all that was before it.
 *
 * An object is put into its new chain before it is taken out of the old one: a reader finds it in one of them. In between, the old
 * chain leads into the new one; a reader who comes to the wrong end looks again, and after some tries waits for the lock.
 * Several threads may move at the same time; none needs to come to an end. One that dies has noted which object it was moving.
 */

import type { Core } from './core.ts'
import { BASE, BUCKET_WORDS, CLAIMED, END, FROM, FUTURE, HEAD, LINK, MASK, MOVED, MOVING, ROOT, TO } from './layout.ts'

/** Buckets looked at, per bucket moved, for whether all before are empty. */
const LOOKED_AT = 4

export class Mover {
  private readonly core: Core

  constructor(core: Core) {
    this.core = core
    core.inherited = (bucket) => this.repair(bucket)
    core.attached = () => this.settleOwnLine()
  }

  /** Moves about `buckets` buckets of `table`. Returns whether all have been moved, by whomever. */
  moveSome(table: number, buckets: number): boolean {
    const { core } = this
    const size = core.ints[table + MASK] + 1
    for (let i = 0; i < buckets && core.load(table + CLAIMED) < size; i++) {
      const n = core.add(table + CLAIMED, 1)
      if (n < size) this.moveBucket(table, n)
    }
    return this.lookOver(table, size, buckets * LOOKED_AT)
  }

  /**
   * Looks for buckets that somebody claimed and did not move, when there is nothing left to claim: he sleeps, or is dead.
   * MOVED is how many buckets from the beginning are known to be moved.
   */
  private lookOver(table: number, size: number, buckets: number): boolean {
    const { core } = this
    const start = core.load(table + MOVED)
    const end = Math.min(size, start + buckets)
    let n = start
    for (; n < end; n++) {
      const bucket = core.ints[table + BASE] + BUCKET_WORDS * n
      if (!core.isObject(core.load(bucket + HEAD))) continue
      if (core.load(table + CLAIMED) < size) break
      this.moveBucket(table, n)
    }
    for (let seen = start; seen < n; seen = core.load(table + MOVED)) {
      if (core.change(table + MOVED, seen, n)) break
    }
    return n === size
  }

  /** Moves the n-th bucket of `table`, unless that has been done. */
  private moveBucket(table: number, n: number): void {
    const { core } = this
    const bucket = core.ints[table + BASE] + BUCKET_WORDS * n
    core.lock(bucket)
    this.moveAll(table, bucket)
    core.unlock(bucket)
  }

  /** Moves what is in a locked bucket of `table`. */
  private moveAll(table: number, bucket: number): void {
    const { core } = this
    const future = core.load(table + FUTURE)
    for (;;) {
      let before = 0
      let last = 0
      for (let at = core.firstOf(bucket); core.isObject(at); at = core.nextOf(at)) {
        before = last
        last = at
      }
      if (last === 0) break
      this.moveTail(bucket, before, last, future)
    }
    core.store(bucket + HEAD, END | future)
  }

  /** Moves the last object of a locked chain. */
  private moveTail(bucket: number, before: number, object: number, future: number): void {
    const { core } = this
    const { ints } = core
    const line = core.ownLine
    const to = core.bucketOf(future, object)
    ints[line + FROM] = bucket
    ints[line + TO] = to
    ints[line + MOVING] = object
    core.lock(to)
    core.store(object + LINK, core.firstOf(to))
    core.store(to + HEAD, object)
    core.unlock(to)
    core.relink(bucket, before, END | future)
    ints[line + MOVING] = 0
  }

  /** A bucket's lock was taken over from a dead thread: if it was moving the bucket, that is finished. */
  private repair(bucket: number): void {
    const { core } = this
    const table = core.load(core.at + ROOT)
    const base = core.ints[table + BASE]
    const isOfTable = bucket >= base && bucket < base + BUCKET_WORDS * (core.ints[table + MASK] + 1)
    if (!isOfTable || core.load(table + FUTURE) === 0) return
    for (let seat = 0; seat < core.seats; seat++) {
      const line = core.lineOf(seat)
      const object = core.load(line + MOVING)
      if (object === 0 || core.load(line + FROM) !== bucket) continue
      this.settle(table, bucket, core.load(line + TO), object)
      core.store(line + MOVING, 0)
    }
    this.moveAll(table, bucket)
  }

  /** An object was being moved: it is taken out of the old chain if it is in the new one, and is the old chain's last one else. */
  private settle(table: number, bucket: number, to: number, object: number): void {
    const { core } = this
    const end = END | core.load(table + FUTURE)
    let before = 0
    let at = core.firstOf(bucket)
    for (; core.isObject(at) && at !== object; at = core.nextOf(at)) before = at
    if (at !== object) return // it was taken out already
    core.lock(to)
    let inNew = core.firstOf(to)
    while (core.isObject(inNew) && inNew !== object) inNew = core.nextOf(inNew)
    core.unlock(to)
    if (inNew === object) core.relink(bucket, before, end)
    else core.store(object + LINK, end)
  }

  /** If who had this thread's seat before died in the middle of a move, that is finished before the line is used again. */
  private settleOwnLine(): void {
    const { core } = this
    const line = core.ownLine
    if (core.ints[line + MOVING] === 0) return
    const bucket = core.ints[line + FROM]
    core.lock(bucket) // which repairs it
    core.unlock(bucket)
  }
}
