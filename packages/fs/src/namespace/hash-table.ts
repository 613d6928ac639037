/**
 * The hash tables that directories and attribute sets are, inside a transaction: finding an entry, putting one where it will be found, and
 * removing one so that the others still are. Format chapter 5, 5.4.5.
 *
 *     slot      h        h+1      h+2      h+3
 *              entry    gone     entry     -          an entry is searched from its home slot on, up to the first hole
 *
 * Every slot is looked at by its exact position: what lies between the slots of a directory, or was removed from it, costs nothing. A slot
 * that others are found by way of gets a tombstone (`hash_whiteout`) when its entry goes, in place of a hole.
 */

import {
  advanceBposNoSnapshot,
  copyBpos,
  Key,
  KEY_POS_AT,
  peekVersion,
  removeVisible,
  setBpos,
  type Bpos,
  type Updates,
} from '@cowherd/db'
import type { Inode } from '../inode.ts'
import { HASH_WHITEOUT, type Slot } from '../probe.ts'
import type { StringHash } from '../string-hash.ts'
import type { View } from './view.ts'

/** What the entries of a kind of table are. */
export interface EntryRules {
  readonly btree: number
  /** Key type of an entry. */
  readonly type: number
  /** What an entry is to the search that is under way. */
  slotOf(key: Key): Slot
  /** Hashes an entry of the table of `owner`: its home slot is in `hash` then. */
  hashEntry(owner: Inode, key: Key): void
}

const NO_VALUE = new Uint8Array(0)

/** One object serves all tables of a kind. */
export class HashTable {
  private readonly rules: EntryRules
  private readonly hash: StringHash
  /** Where the last search in vain found a place. */
  private readonly free: Bpos = new Uint32Array(5)
  private readonly pos: Bpos = new Uint32Array(5)
  private readonly made = new Key()

  constructor(rules: EntryRules, hash: StringHash) {
    this.rules = rules
    this.hash = hash
  }

  /**
   * Looks for the entry that `rules.slotOf` says is found, in the table of `owner`, from the home slot that is in the hash. True if it is
   * there: then it is in `key`.
   */
  search(updates: Updates, view: View, { numberHi, numberLo }: Inode, key: Key): boolean {
    const { pos, free, hash, rules } = this
    let hasFree = false
    setBpos(pos, numberHi, numberLo, hash.hi, hash.lo, view.snapshot)
    for (;;) {
      const isThere = peekVersion(updates, rules.btree, pos, view.ancestors, key)
      const slot = isThere && key.type === rules.type ? rules.slotOf(key) : 'free'
      if (slot === 'found') return true
      if (slot === 'free') {
        if (!hasFree) copyBpos(free, pos)
        hasFree = true
        if (!isThere || key.type !== HASH_WHITEOUT) return false
      }
      this.advance(view)
    }
  }

  /** Puts an entry where the last search, which was in vain, found a place. Returns that place, valid until the next search. */
  insert(updates: Updates, value: Uint8Array): Bpos {
    updates.put(this.rules.btree, this.made.make(this.rules.type, this.free, value))
    return this.free
  }

  /** Puts an entry in place of the one in `key`, which the same search finds, or one of the caller's choice. */
  replace(updates: Updates, view: View, key: Key, value: Uint8Array): void {
    copyBpos(this.pos, key.words, KEY_POS_AT)
    this.pos[0] = view.snapshot
    updates.put(this.rules.btree, this.made.make(this.rules.type, this.pos, value))
  }

  /** Removes what the view sees at the place of `key` from the table of `owner`. */
  remove(updates: Updates, view: View, owner: Inode, key: Key): void {
    this.removeIf(updates, view, key, this.leadsOn(updates, view, owner, key))
  }

  /** The same, where it is known whether a tombstone is needed. */
  removeIf(updates: Updates, view: View, key: Key, needsTombstone: boolean): void {
    const { pos, made, rules } = this
    copyBpos(pos, key.words, KEY_POS_AT)
    pos[0] = view.snapshot
    if (needsTombstone) updates.put(rules.btree, made.make(HASH_WHITEOUT, pos, NO_VALUE))
    else removeVisible(updates, rules.btree, pos, view.ancestors)
  }

  /**
   * True if an entry further on is found by way of the place of `key` only. Names that the subvolume doesn't see count too: fsck goes by the
   * keys.
   */
  leadsOn(updates: Updates, view: View, owner: Inode, key: Key): boolean {
    const { pos, made, hash, rules } = this
    const { offsetHi, offsetLo } = key
    copyBpos(pos, key.words, KEY_POS_AT)
    for (;;) {
      this.advance(view)
      if (!peekVersion(updates, rules.btree, pos, view.ancestors, made)) return false
      if (made.type === HASH_WHITEOUT) continue
      if (made.type !== rules.type) return false
      rules.hashEntry(owner, made)
      if (hash.hi < offsetHi || (hash.hi === offsetHi && hash.lo <= offsetLo)) return true
    }
  }

  /** To the next slot. Hashes have 63 bits at most, so there always is one. */
  private advance(view: View): void {
    advanceBposNoSnapshot(this.pos)
    this.pos[0] = view.snapshot
  }
}
