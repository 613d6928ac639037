/** `list -m keys`: the keys of one level of a btree, in order. What lies in unreadable nodes is passed over, and said. */

import {
  advanceBpos,
  BtreeError,
  btreeName,
  compareBpos,
  copyBpos,
  KEY_POS_AT,
  type Bpos,
  type Key,
  type Volume,
} from '@cowherd/db'

/** Which keys. */
export interface KeyRange {
  readonly btree: number
  readonly level: number
  /** First and last position, both included. */
  readonly start: Bpos
  readonly end: Bpos
}

/**
 * Walks over the keys of a range. The walk is driven by its user, who may rest between keys; what could not be read is
 * told to `fail`.
 */
export class KeyWalk {
  readonly key: Key
  readonly #volume: Volume
  readonly #range: KeyRange
  readonly #fail: (message: string) => void
  readonly #cursor: ReturnType<Volume['cursor']>
  readonly #at = new Uint32Array(5)
  #started = false

  constructor(volume: Volume, range: KeyRange, fail: (message: string) => void) {
    this.#volume = volume
    this.#range = range
    this.#fail = fail
    this.#cursor = volume.cursor(range.btree, range.level)
    this.key = this.#cursor.key
    copyBpos(this.#at, range.start)
  }

  /** Goes to the first or next key. False at the end of the range. */
  next(): boolean {
    const { key } = this
    const { end } = this.#range
    try {
      const found = this.#started ? this.#cursor.next() : this.#cursor.seek(this.#at)
      this.#started = true
      return found && compareBpos(key.words, KEY_POS_AT, end, 0) <= 0
    } catch (error) {
      if (!(error instanceof BtreeError)) throw error
      this.#fail(`btree ${btreeName(this.#range.btree)}: ${error.message}`)
      return this.#goAround()
    }
  }

  /** Goes to the first key behind an unreadable node, or several. */
  #goAround(): boolean {
    const { btree, level, end } = this.#range
    if (this.#started) {
      copyBpos(this.#at, this.key.words, KEY_POS_AT)
      if (!advanceBpos(this.#at)) return false
    }
    for (;;) {
      if (!this.#skipNode(level + 1)) return false
      if (compareBpos(this.#at, 0, end, 0) > 0) return false
      try {
        const found = this.#cursor.seek(this.#at)
        this.#started = true
        return found && compareBpos(this.key.words, KEY_POS_AT, end, 0) <= 0
      } catch (error) {
        if (!(error instanceof BtreeError)) throw error
        this.#fail(`btree ${btreeName(btree)}: ${error.message}`)
      }
    }
  }

  /** Moves behind the node that covers the position, as its parent on `level` or above says. False if there is none. */
  #skipNode(level: number): boolean {
    const { btree } = this.#range
    for (let above = level; above <= this.#volume.rootLevel(btree); above++) {
      try {
        const cursor = this.#volume.cursor(btree, above)
        if (!cursor.seek(this.#at)) return false
        copyBpos(this.#at, cursor.key.words, KEY_POS_AT)
        return advanceBpos(this.#at)
      } catch (error) {
        if (!(error instanceof BtreeError)) throw error
        // then the parent is what can't be read: go around that
      }
    }
    return false
  }
}
