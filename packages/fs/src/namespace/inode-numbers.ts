/**
 * Inode numbers for new files. Format chapter 5, 5.2.9.
 *
 * They ascend, from behind the greatest that was ever used, so a number is found at once. When none is left, those come back whose inodes were
 * deleted in all snapshots: an `inode_generation` key is left of each, which says what the generation of the next has to be.
 */

import {
  advanceBpos,
  advanceBposNoSnapshot,
  BtreeId,
  compareBpos,
  copyBpos,
  Key,
  KEY_POS_AT,
  KEY_WORDS,
  samePosIgnoringSnapshot,
  setBpos,
  VolumeError,
  type Bpos,
  type Updates,
} from '@cowherd/db'
import { isInode } from '../inode-versions.ts'
import { Field } from '../inode-fields.ts'
import { INODE_GENERATION, type Inode, ROOT_INODE } from '../inode.ts'

const ALL_ONES = 0xffffffff

export class InodeNumbers {
  /** The last number, which isn't used: position of a key. */
  private readonly end: Bpos
  private readonly next: Bpos = new Uint32Array(5)
  private readonly key = new Key()
  private readonly pos: Bpos = new Uint32Array(5)
  private isStarted = false
  /** Numbers of deleted inodes are used again. */
  private isSecondRound = false

  /** `bits`: of a number, 31 or 63. */
  constructor(bits: 31 | 63) {
    this.end = new Uint32Array(5)
    setBpos(this.end, 0, 0, bits === 63 ? ALL_ONES >>> 1 : 0, bits === 63 ? ALL_ONES : ALL_ONES >>> 1, 0)
  }

  /** Gives a new inode a number and a generation. Throws VolumeError ENOSPC. */
  choose(updates: Updates, inode: Inode): void {
    const { next, end, pos } = this
    if (!this.isStarted) this.start(updates)
    for (let wraps = 0; wraps < 2;) {
      if (compareBpos(next, 0, end, 0) >= 0) {
        setBpos(next, 0, 0, 0, ROOT_INODE, 0)
        this.isSecondRound = true
        wraps++
        continue
      }
      copyBpos(pos, next)
      const generation = this.generationAt(updates)
      advanceBposNoSnapshot(next)
      if (generation < 0) continue
      inode.numberHi = pos[2]
      inode.numberLo = pos[1]
      inode.fields[2 * Field.generation] = generation
      return
    }
    throw new VolumeError('ENOSPC', '', 'all inode numbers are used')
  }

  /** Goes behind all numbers that there are keys of. */
  private start(updates: Updates): void {
    const { next, key, pos, end } = this
    this.isStarted = true
    copyBpos(pos, end)
    const isThere = updates.peekBack(BtreeId.inodes, pos, key)
    if (!isThere) setBpos(next, 0, 0, 0, ROOT_INODE, 0)
    else {
      copyBpos(next, key.words, KEY_POS_AT)
      advanceBposNoSnapshot(next)
    }
  }

  /** The generation of an inode with the number at `pos`; less than 0 if the number is used. */
  private generationAt(updates: Updates): number {
    const { pos, key } = this
    let generation = 0
    while (updates.peek(BtreeId.inodes, pos, key) && samePosIgnoringSnapshot(key.words, KEY_POS_AT, pos, 0)) {
      if (!this.isSecondRound || isInode(key.type)) return -1
      if (key.type === INODE_GENERATION) generation = Math.max(generation, key.words[KEY_WORDS])
      pos[0] = key.snapshot
      if (key.snapshot === ALL_ONES || !advanceBpos(pos)) break
    }
    pos[0] = 0
    return generation
  }
}
