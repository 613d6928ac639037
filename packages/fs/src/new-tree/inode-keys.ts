/**
 * The extended attributes of one inode that is being made, as a transaction that has nothing else in it: so what sets attributes in a volume sets
 * them here too. There are few of them.
 */

import { compareBpos, copyBpos, Key, KEY_POS_AT, type Updates } from '@cowherd/db'

export class InodeKeys implements Updates {
  readonly seq = 0
  private keys: Key[] = []

  /** Gives out the keys, and forgets them. */
  take(): Key[] {
    const { keys } = this
    this.keys = []
    return keys
  }

  get(_btree: number, pos: Uint32Array, key: Key): boolean {
    return this.copy(this.at(pos), key)
  }

  peek(_btree: number, pos: Uint32Array, key: Key): boolean {
    return this.copy(
      this.keys.find((each) => compareBpos(each.words, KEY_POS_AT, pos, 0) >= 0),
      key,
    )
  }

  peekBack(_btree: number, pos: Uint32Array, key: Key): boolean {
    return this.copy(
      this.keys.findLast((each) => compareBpos(each.words, KEY_POS_AT, pos, 0) <= 0),
      key,
    )
  }

  put(_btree: number, key: Key): void {
    const pos = new Uint32Array(5)
    copyBpos(pos, key.words, KEY_POS_AT)
    const there = this.at(pos)
    const stored = there ?? new Key()
    stored.set(key.words, 0)
    if (there !== undefined) return
    this.keys.push(stored)
    this.keys.sort((a, b) => compareBpos(a.words, KEY_POS_AT, b.words, KEY_POS_AT))
  }

  remove(_btree: number, pos: Uint32Array): void {
    this.keys = this.keys.filter((each) => compareBpos(each.words, KEY_POS_AT, pos, 0) !== 0)
  }

  account(): void {
    throw new RangeError('attributes are not counted')
  }

  private at(pos: Uint32Array): Key | undefined {
    return this.keys.find((each) => compareBpos(each.words, KEY_POS_AT, pos, 0) === 0)
  }

  private copy(found: Key | undefined, key: Key): boolean {
    if (found !== undefined) key.set(found.words, 0)
    return found !== undefined
  }
}
