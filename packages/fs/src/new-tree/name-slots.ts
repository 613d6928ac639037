/**
 * Which places of a hash table are taken, of a directory or a set of attributes that is being made: an entry goes to its home place, or to the
 * first free one behind it. Format chapter 5, 5.4.5.
 */

export class NameSlots {
  /** The place that was taken last. */
  hi = 0
  lo = 0
  /** By the low half: the high half, or several of them. */
  private readonly taken = new Map<number, number | number[]>()

  /** Takes the place `hi:lo`, or the next that is free. Places have 63 bits at most, so there always is one. */
  take(hi: number, lo: number): void {
    while (!this.tryTake(hi, lo)) {
      lo = (lo + 1) >>> 0
      if (lo === 0) hi++
    }
    this.hi = hi
    this.lo = lo
  }

  private tryTake(hi: number, lo: number): boolean {
    const there = this.taken.get(lo)
    if (there === undefined) this.taken.set(lo, hi)
    else if (typeof there !== 'number') {
      if (there.includes(hi)) return false
      there.push(hi)
    } else {
      if (there === hi) return false
      this.taken.set(lo, [there, hi])
    }
    return true
  }
}
