/**
 * A walk over all objects of a hashtable, while it changes. It goes through the root and then through the table that
 * follows, if there is one: objects move in this direction only, so each one that is in the hashtable throughout is seen, perhaps more than
 * once.
 *
 * The objects of a bucket are noted together. If the thread has been quiescent since, they may be gone, and the rest is read again:
 * as many as are missing, counted from the chain's end, because new objects come first in a chain, and are moved away from its end. If
 * the table itself is gone, the walk begins again.
 */

import type { Core } from './core.ts'
import { BASE, BUCKET_WORDS, END, END_MASK, FUTURE, HEAD, LINK, MASK, peek, ROOT, TABLE_SERIAL } from './layout.ts'

/** Tries to read a chain before its lock is taken. */
const TRIES_MAX = 16

export class HashWalk implements Iterable<number> {
  private readonly core: Core
  private table = 0
  private serial = 0
  /** The bucket that comes next. */
  private bucket = 0
  /** Objects of the bucket before it; the last `left` have not been returned. */
  private objects: number[] = []
  private left = 0
  private passages = -1
  private restarts_ = 0

  /** @internal */
  constructor(core: Core) {
    this.core = core
    this.restart()
  }

  /** How often the walk began again, or went on in another table: since then, objects may have been returned a second time. */
  get restarts(): number {
    return this.restarts_
  }

  /**
   * The next object; 0: that was all. With RCU the thread is online, and may be quiescent between two calls; without, the table
   * may be changed between them.
   */
  next(): number {
    const { core } = this
    if (core.passages !== this.passages) this.resume()
    while (this.left === 0) {
      if (this.bucket <= core.ints[this.table + MASK]) {
        this.objects = this.chainOf(this.bucket)
        this.bucket++
        this.left = this.objects.length
      } else if (!this.goOn()) {
        return 0
      }
    }
    return this.objects[this.objects.length - this.left--]
  }

  *[Symbol.iterator](): Generator<number> {
    for (let object = this.next(); object !== 0; object = this.next()) yield object
  }

  private restart(): void {
    const { core } = this
    this.begin(core.load(core.at + ROOT))
    this.passages = core.passages
  }

  private begin(table: number): void {
    this.table = table
    this.serial = this.core.ints[table + TABLE_SERIAL]
    this.bucket = 0
    this.objects = []
    this.left = 0
  }

  /** Into the table that follows. False: there is none. */
  private goOn(): boolean {
    const future = this.core.load(this.table + FUTURE)
    if (future === 0) return false
    this.begin(future)
    this.restarts_++
    return true
  }

  /** After the thread has been quiescent. */
  private resume(): void {
    const { core } = this
    this.passages = core.passages
    for (let table = core.load(core.at + ROOT); table !== 0; table = core.load(table + FUTURE)) {
      if (table !== this.table || core.ints[table + TABLE_SERIAL] !== this.serial) continue
      if (this.left === 0) return
      this.objects = this.chainOf(this.bucket - 1)
      this.left = Math.min(this.left, this.objects.length)
      return
    }
    this.restart()
    this.restarts_++
  }

  /** The objects of a bucket, in order. */
  private chainOf(n: number): number[] {
    const { core } = this
    const bucket = core.ints[this.table + BASE] + BUCKET_WORDS * n
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const objects = this.read(bucket)
      if (objects !== undefined) return objects
    }
    core.lock(bucket)
    const objects = this.read(bucket)
    core.unlock(bucket)
    if (objects === undefined) throw new Error(`the chain of bucket ${bucket} leads elsewhere`)
    return objects
  }

  /** Undefined: we were carried to another chain. */
  private read(bucket: number): number[] | undefined {
    const { core } = this
    const objects: number[] = []
    let link = peek(core.ints, bucket + HEAD)
    if (link === 0) return objects
    while ((link & END) === 0) {
      objects.push(link)
      link = peek(core.ints, link + LINK)
    }
    const isEnd = link === (END | bucket) || (link & END_MASK) === core.load(this.table + FUTURE)
    return isEnd ? objects : undefined
  }
}
