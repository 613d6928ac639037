/**
 * Things that are kept by node, the least recently used given up first: open files and directory readers. The kernel is told of no handles,
 * so what a node needs for being read is made when it is read, and found again while it is read on.
 */

export class HandleCache<T> {
  private readonly limit: number
  private readonly make: (node: number) => T
  private readonly kept = new Map<number, T>()
  private lastNode = 0
  private last: T | undefined

  /** `make` opens what belongs to a node; `limit` bounds how many are kept. */
  constructor(limit: number, make: (node: number) => T) {
    this.limit = limit
    this.make = make
  }

  get size(): number {
    return this.kept.size
  }

  /** What belongs to a node. Throws what `make` throws. */
  get(node: number): T {
    if (this.last !== undefined && this.lastNode === node) return this.last
    const { kept } = this
    const found = kept.get(node)
    const value = found ?? this.make(node)
    if (found !== undefined) kept.delete(node)
    else if (kept.size >= this.limit) this.dropOldest()
    kept.set(node, value) // at the end: the oldest are first
    this.lastNode = node
    this.last = value
    return value
  }

  /** Gives up what belongs to a node, which may come to stand for another file. */
  drop(node: number): void {
    if (!this.kept.delete(node)) return
    if (this.lastNode === node) this.last = undefined
  }

  private dropOldest(): void {
    const oldest = this.kept.keys().next()
    if (oldest.done !== true) this.drop(oldest.value)
  }
}
