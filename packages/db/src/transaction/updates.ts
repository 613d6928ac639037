/**
 * A transaction as those see it who add to it: the function that a user hands to `Database.write`, and the triggers, which add what
 * follows from a key (`KeyTrigger`). All of it is committed in one journal entry or not at all. Format chapter 2, 2.12.
 */

import type { Key } from '../key.ts'

export interface Updates {
  /**
   * Sequence number of the journal entry that the transaction is going to be part of, as far as is known: what is stored as such in
   * alloc keys is corrected when they are journalled.
   */
  readonly seq: number
  /** Copies the key at exactly `pos`, as the transaction leaves it, to `key`. False if there is none. */
  get(btree: number, pos: Uint32Array, key: Key): boolean
  /** Copies the first key at or behind `pos`, as the transaction leaves it, to `key`. False if there is none. `pos` may be part of `key`. */
  peek(btree: number, pos: Uint32Array, key: Key): boolean
  /** Copies the last key at or before `pos`, as the transaction leaves it, to `key`. False if there is none. `pos` may be part of `key`. */
  peekBack(btree: number, pos: Uint32Array, key: Key): boolean
  /** Inserts the key, which is copied, or overwrites what is at its position. */
  put(btree: number, key: Key): void
  /** Deletes what is at exactly `pos`; nothing happens if there is nothing. */
  remove(btree: number, pos: Uint32Array): void
  /** Adds to the counters called `pos` (`accountingPos`), of which there are as many as numbers are given: safe integers. */
  account(pos: Uint32Array, ...deltas: readonly number[]): void
}

/**
 * What follows from a change of a key. Called once for each position that a transaction changes, with what was there before the
 * transaction and what is there after it (undefined: nothing). Both keys are the caller's, valid during the call.
 */
export type KeyTrigger = (updates: Updates, change: KeyChange) => void

export interface KeyChange {
  readonly btree: number
  /** Of the node that the key lies in; for the pointer to a root: the root's level + 1. */
  readonly level: number
  readonly old: Key | undefined
  readonly new: Key | undefined
}
