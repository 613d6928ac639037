/**
 * The layout of a btree node on disk, format chapter 2, 2.6.1 to 2.6.3: a header with the first set of keys ("bset"), then
 * further bsets at block-aligned offsets.
 */

import { bits32, bits64, bytes, pad, struct, u16, u64 } from '@cowherd/kernel-lib'
import { BPOS_BYTES } from '../bpos.ts'
import { KeyFormatLayout } from './key-format.ts'

/** bset header, 24 bytes, never encrypted. */
export const Bset = struct({
  seq: u64,
  journalSeq: u64,
  flags: bits32({ csumType: [0, 4], bigEndian: [4, 5], separateWhiteouts: [5, 6], offsetSectors: [16, 32] }),
  version: u16,
  u64s: u16,
})

/** btree_node: header of the node and of its first bset, 160 bytes. */
export const NodeHeader = struct({
  csum: bytes(16),
  magic: u64,
  flags: bits64({ idLo: [0, 4], level: [4, 8], newExtentOverwrite: [8, 9], idHi: [9, 25], seq: [32, 64] }),
  minKey: bytes(BPOS_BYTES),
  maxKey: bytes(BPOS_BYTES),
  unused: pad(8),
  format: KeyFormatLayout,
  bset: Bset,
})

/** btree_node_entry: header of a later bset, 40 bytes. */
export const BsetEntry = struct({ csum: bytes(16), bset: Bset })

/** XORed with the first 8 bytes of the volume's internal uuid. */
export const BSET_MAGIC = 0x90135c78b99e07f5n
