/** Keys with pointers made by hand, for tests. */

import { bpos } from '../bpos.ts'
import { Key } from '../key.ts'

export interface PointerFields {
  readonly device: number
  readonly sector: number
  readonly gen?: number
  readonly cached?: boolean
  readonly unwritten?: boolean
  /** Block of a stripe. */
  readonly stripe?: { readonly index: number; readonly block: number }
}

/** A checksum entry (crc32) for the pointers behind it. */
export interface CrcFields {
  readonly compressed: number
  readonly uncompressed: number
  readonly offset?: number
  readonly compression?: number
}

export interface RebalanceFields {
  readonly target: number
  readonly compression: number
}

export type EntryFields = PointerFields | CrcFields | RebalanceFields

const KEY_TYPE_EXTENT = 6

/** An extent (or, by `type`, another key whose value is an entry list) that ends at `offset`. */
export function extentOf(
  { inode, offset, size, snapshot = 0xffffffff }: { inode: number; offset: number; size: number; snapshot?: number },
  entries: readonly EntryFields[],
): Key {
  return new Key().make(KEY_TYPE_EXTENT, bpos(inode, offset, snapshot), entryBytes(entries), size)
}

/** A pointer to a node whose greatest position is `maxKey`. */
export function nodePointerOf(maxKey: Uint32Array, places: readonly PointerFields[]): Key {
  return new Key().make(18, maxKey, new Uint8Array([...new Uint8Array(40), ...entryBytes(places)]))
}

export function entryBytes(entries: readonly EntryFields[]): Uint8Array {
  const words = entries.flatMap(entryWords)
  return new Uint8Array(new BigUint64Array(words).buffer)
}

function entryWords(entry: EntryFields): bigint[] {
  if ('device' in entry) {
    const { device, sector, gen = 0, cached = false, unwritten = false, stripe } = entry
    const pointer =
      1n |
      (cached ? 2n : 0n) |
      (unwritten ? 8n : 0n) |
      (BigInt(sector) << 4n) |
      (BigInt(device) << 48n) |
      (BigInt(gen) << 56n)
    if (stripe === undefined) return [pointer]
    return [16n | (BigInt(stripe.block) << 5n) | (1n << 13n) | (BigInt(stripe.index) << 17n), pointer]
  }
  if ('compressed' in entry) {
    const { compressed, uncompressed, offset = 0, compression = 0 } = entry
    const fields = 2 | ((compressed - 1) << 2) | ((uncompressed - 1) << 9) | (offset << 16) | (5 << 24)
    return [BigInt((fields | (compression << 28)) >>> 0)]
  }
  return [32n | (BigInt(entry.compression) << 40n) | (BigInt(entry.target) << 48n)]
}
