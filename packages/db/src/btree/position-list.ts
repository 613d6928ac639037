/** A row of positions, without an object for each: those that were deleted from a node, for one. */

import { BPOS_WORDS, compareBpos } from '../bpos.ts'

export class PositionList {
  words = new Uint32Array(4 * BPOS_WORDS)
  count = 0

  clear(): void {
    this.count = 0
  }

  /** Adds the position at `words[at]`. */
  add(words: Uint32Array, at: number): void {
    const to = this.count * BPOS_WORDS
    if (to === this.words.length) {
      const larger = new Uint32Array(2 * to)
      larger.set(this.words)
      this.words = larger
    }
    for (let i = 0; i < BPOS_WORDS; i++) this.words[to + i] = words[at + i]
    this.count++
  }

  addAll(other: PositionList): void {
    for (let i = 0; i < other.count; i++) this.add(other.words, i * BPOS_WORDS)
  }

  /** The words at which the positions start, in order, each position once. */
  sorted(): number[] {
    const { words } = this
    const starts = Array.from({ length: this.count }, (_, i) => i * BPOS_WORDS)
    starts.sort((a, b) => compareBpos(words, a, words, b))
    return starts.filter((at, i) => i === 0 || compareBpos(words, at, words, starts[i - 1]) !== 0)
  }
}
