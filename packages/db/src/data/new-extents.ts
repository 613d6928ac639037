/**
 * Data that was written, and the keys that are going to lead to it: what `ExtentWriter` hands over to who puts them into a transaction. The
 * space is held until `done` says that the transaction was committed, or never will be.
 *
 * One object serves one transaction after another; nothing is allocated per key.
 */

import { KEY_POS_AT, KEY_SIZE_AT, KEY_U64S, KEY_WORDS, type Key } from '../key.ts'
import { extent } from '../key-types/extent.ts'
import type { Allocator, Place } from '../space/allocator.ts'

/** Who hands out space. */
export type SpaceHolder = Pick<Allocator, 'done'>

export class NewExtents {
  /** How many keys there are, and sectors that they cover. */
  count = 0
  sectors = 0
  private readonly holder: SpaceHolder
  private readonly places: Place[] = []
  /** Unpacked keys; the offset is counted from the first sector that was written. */
  private heap = new Uint32Array(1 << 10)
  private used = 0
  private ats = new Int32Array(32)

  constructor(holder: SpaceHolder) {
    this.holder = holder
  }

  /** Forgets the keys; whoever needed the space has it, or doesn't need it any more. */
  done(): void {
    this.holder.done(this.places)
    this.places.length = 0
    this.count = 0
    this.sectors = 0
    this.used = 0
  }

  /** Copies the extent at `index` to `key`, as one of a file's in a snapshot: `start` is the first sector that was written. */
  copy(
    index: number,
    key: Key,
    { numberHi, numberLo, snapshot }: Readonly<{ numberHi: number; numberLo: number; snapshot: number }>,
    start: number,
  ): void {
    key.set(this.heap, this.ats[index])
    const end = start + key.offset
    const { words } = key
    words[KEY_POS_AT] = snapshot
    words[KEY_POS_AT + 1] = end
    words[KEY_POS_AT + 2] = Math.floor(end / 0x100000000)
    words[KEY_POS_AT + 3] = numberLo
    words[KEY_POS_AT + 4] = numberHi
  }

  /** For the writer: holds places. */
  hold(places: readonly Place[]): void {
    for (const place of places) this.places.push(place)
  }

  /** For the writer: the memory to which the value of the next key goes, at `valueAt`. It has room for `wordsMax`. */
  beginKey(wordsMax: number): Uint32Array {
    const needed = this.used + KEY_WORDS + wordsMax
    if (needed > this.heap.length) {
      const larger = new Uint32Array(Math.max(2 * this.heap.length, needed))
      larger.set(this.heap)
      this.heap = larger
    }
    return this.heap
  }

  get valueAt(): number {
    return this.used + KEY_WORDS
  }

  /** For the writer: the value of the next key, which covers `sectors`, ends at `end`. */
  endKey(end: number, sectors: number, versionLo: number, versionHi: number): void {
    const { heap, used } = this
    this.sectors += sectors
    heap.fill(0, used, used + KEY_WORDS)
    heap[used] = (KEY_U64S + (end - this.valueAt) / 2) | 0x100 | (extent.number << 16)
    heap[used + 1] = versionLo
    heap[used + 2] = versionHi
    heap[used + KEY_SIZE_AT] = sectors
    heap[used + KEY_POS_AT + 1] = this.sectors
    if (this.count === this.ats.length) {
      const larger = new Int32Array(2 * this.ats.length)
      larger.set(this.ats)
      this.ats = larger
    }
    this.ats[this.count++] = used
    this.used = end
  }
}
