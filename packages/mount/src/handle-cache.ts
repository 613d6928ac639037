/**
 * Things that are kept by node, the least recently used given up first: open files and directory readers. The kernel is told of no handles,
 * so what a node needs for being read is made when it is read, and found again while it is read on.
 *
 * Each thread keeps its own. A node that is forgotten is dropped in the thread that hears of it; in the others it is passed over from then
 * on, because the node's number comes back with another generation only.
 */

interface Kept<T> {
  readonly generation: number
  readonly value: T
}

export class HandleCache<T> {
  private readonly limit: number
  private readonly make: (node: number) => T
  private readonly close: (value: T) => void
  private readonly kept = new Map<number, Kept<T>>()
  private lastNode = 0
  private last: Kept<T> | undefined

  /** `make` opens what belongs to a node, `close` gives it up; `limit` bounds how many are kept. */
  constructor(limit: number, make: (node: number) => T, close: (value: T) => void = () => undefined) {
    this.limit = limit
    this.make = make
    this.close = close
  }

  get size(): number {
    return this.kept.size
  }

  /** What belongs to a node of that generation. Throws what `make` throws. */
  get(node: number, generation: number): T {
    if (this.last?.generation === generation && this.lastNode === node) return this.last.value
    const { kept } = this
    const present = kept.get(node)
    if (present !== undefined) kept.delete(node)
    else if (kept.size >= this.limit) this.dropOldest()
    const isRight = present?.generation === generation
    if (present !== undefined && !isRight) this.close(present.value)
    const found = isRight ? present : { generation, value: this.make(node) }
    kept.set(node, found) // at the end: the oldest are first
    this.lastNode = node
    this.last = found
    return found.value
  }

  /** Gives up what belongs to a node, which may come to stand for another file. */
  drop(node: number): void {
    const present = this.kept.get(node)
    if (present === undefined) return
    this.kept.delete(node)
    if (this.lastNode === node) this.last = undefined
    this.close(present.value)
  }

  /** Gives up all. */
  clear(): void {
    if (this.kept.size === 0) return
    this.last = undefined
    for (const { value } of this.kept.values()) this.close(value)
    this.kept.clear()
  }

  private dropOldest(): void {
    const oldest = this.kept.keys().next()
    if (oldest.done !== true) this.drop(oldest.value)
  }
}
