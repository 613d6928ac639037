/**
 * An arena: one piece of memory, shared between threads where the platform can, cut into pieces of any size by the buddy
 * method. Pieces are powers of two, so a freed piece joins its free neighbour in a few steps and nothing ever needs moving.
 *
 * The memory is never given back while the arena lives: who still holds an offset into it reads something else at worst,
 * never what is not there.
 */

/** Offsets and sizes are 32-bit words. */
export class Arena {
  /** The memory, as words. */
  readonly words: Uint32Array
  /** Words of the smallest piece. */
  readonly unit: number

  /** Per unit: 1 + order of the piece that starts there and is in use; negative: free; 0: inside a piece. */
  private readonly orders: Int8Array
  /** First units of free pieces, by order. */
  private readonly free: Set<number>[]

  /** `bytes` is rounded down to whole units of `unitBytes`, a power of two. */
  constructor(bytes: number, unitBytes: number) {
    const units = Math.max(1, Math.floor(bytes / unitBytes))
    this.unit = unitBytes / 4
    this.words = new Uint32Array(sharedBuffer(units * unitBytes))
    this.orders = new Int8Array(units)
    this.free = Array.from({ length: 32 }, () => new Set<number>())
    for (let at = 0; at < units;) {
      let order = Math.floor(Math.log2(units - at))
      while (at % (1 << order) !== 0) order--
      this.release(at, order)
      at += 1 << order
    }
  }

  /** Size of the greatest piece that the arena can ever give, in words. */
  get largest(): number {
    return this.unit << Math.floor(Math.log2(this.orders.length))
  }

  /** Takes a piece of at least `words` words. Returns its first word, or -1 if no free piece is large enough. */
  allocate(words: number): number {
    const order = Math.max(0, Math.ceil(Math.log2(words / this.unit)))
    let from = order
    while (from < 32 && this.free[from].size === 0) from++
    if (from >= 32) return -1
    const [at] = this.free[from]
    this.free[from].delete(at)
    while (from > order) {
      from--
      this.release(at + (1 << from), from)
    }
    this.orders[at] = order + 1
    return at * this.unit
  }

  /** Gives back the piece that starts at word `at`. Throws RangeError if no piece in use starts there. */
  deallocate(at: number): void {
    let unit = at / this.unit
    let order = this.orders[unit] - 1
    if (!(order >= 0)) throw new RangeError(`no piece in use starts at word ${at}`)
    this.orders[unit] = 0
    for (;;) {
      const buddy = unit ^ (1 << order)
      if (this.orders[buddy] !== -(order + 1)) break
      this.free[order].delete(buddy)
      this.orders[buddy] = 0
      unit = Math.min(unit, buddy)
      order++
    }
    this.release(unit, order)
  }

  private release(at: number, order: number): void {
    this.orders[at] = -(order + 1)
    this.free[order].add(at)
  }
}

/** Shared memory where the platform has it; browsers without isolation have none. */
function sharedBuffer(bytes: number): ArrayBufferLike {
  return typeof SharedArrayBuffer === 'function' ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes)
}
