/**
 * What is due when: a binary heap in shared memory of slots (small numbers) with a time each. A slot knows its position, so that
 * it can be taken out from the middle. Everything here is done under the mutex of who uses it: plain accesses.
 *
 *     word 0 how many | heap of slots | position + 1 of each slot | time of each slot, 64-bit floats
 */

export class TimerHeap {
  private readonly words: Int32Array
  private readonly times: DataView
  private readonly capacity: number

  /** The heap at word `at`, for slots below `capacity`. Zeroed memory is an empty one. */
  constructor(words: Int32Array, at: number, capacity: number) {
    this.words = words.subarray(at, at + 1 + 2 * capacity)
    const timesAt = words.byteOffset + 4 * (at + 1 + 2 * capacity)
    this.times = new DataView(words.buffer, timesAt, 8 * capacity) // which need no alignment there
    this.capacity = capacity
  }

  /** Words of a heap. */
  static words(capacity: number): number {
    return 1 + 4 * capacity
  }

  get size(): number {
    return this.words[0]
  }

  /** When the first one is due; Infinity if there is none. */
  get firstDueMs(): number {
    return this.size === 0 ? Infinity : this.dueMs(this.words[1])
  }

  has(slot: number): boolean {
    return this.words[1 + this.capacity + slot] !== 0
  }

  /** When a slot that is in the heap is due. */
  dueMs(slot: number): number {
    return this.times.getFloat64(8 * slot)
  }

  /** Puts a slot in, or changes its time. */
  set(slot: number, dueMs: number): void {
    const at = this.has(slot) ? this.positionOf(slot) : this.words[0]++
    this.times.setFloat64(8 * slot, dueMs)
    this.put(at, slot)
    this.sink(this.rise(at))
  }

  /** Takes a slot out. False: it was not in. */
  remove(slot: number): boolean {
    if (!this.has(slot)) return false
    const at = this.positionOf(slot)
    this.words[1 + this.capacity + slot] = 0
    const last = this.words[1 + --this.words[0]]
    if (last === slot) return true
    this.put(at, last)
    this.sink(this.rise(at))
    return true
  }

  /** Takes out the first slot if it is due; -1: none is. */
  takeDue(now: number): number {
    if (this.size === 0 || this.firstDueMs > now) return -1
    const slot = this.words[1]
    this.remove(slot)
    return slot
  }

  private positionOf(slot: number): number {
    return this.words[1 + this.capacity + slot] - 1
  }

  private put(at: number, slot: number): void {
    this.words[1 + at] = slot
    this.words[1 + this.capacity + slot] = at + 1
  }

  /** Moves what is at `from` towards the top. Returns where it ends. */
  private rise(from: number): number {
    let at = from
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (this.dueMs(this.words[1 + parent]) <= this.dueMs(this.words[1 + at])) break
      this.swap(at, parent)
      at = parent
    }
    return at
  }

  private sink(from: number): void {
    for (let at = from; ;) {
      let least = at
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < this.size && this.dueMs(this.words[1 + child]) < this.dueMs(this.words[1 + least])) least = child
      }
      if (least === at) return
      this.swap(at, least)
      at = least
    }
  }

  private swap(a: number, b: number): void {
    const slot = this.words[1 + a]
    this.put(a, this.words[1 + b])
    this.put(b, slot)
  }
}
