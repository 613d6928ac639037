/**
 * The layout record: where a device's superblock copies are. It lies inside each copy, and in sector 7, where it helps
 * to find the others when the copy at sector 8 is damaged. Format chapter 1, 2.2.
 */

import { array, bytes, pad, struct, u64, u8, type ValueOf } from '@cowherd/kernel-lib'
import { isMagic } from './magic.ts'
import { Malformed } from './malformed.ts'

export const LAYOUT_SECTOR = 7
/** Greatest `sbMaxSizeBits` that is believed: 32 MiB. */
export const LAYOUT_SIZE_BITS_MAX = 16
/** Copies that a layout record has room for. */
export const LAYOUT_COPIES_MAX = 61

/** 512 bytes. */
export const Layout = struct({
  magic: bytes(16),
  layoutType: u8,
  sbMaxSizeBits: u8, // log2 of the space for each copy in sectors
  nrSuperblocks: u8,
  pad: pad(5),
  sbOffset: array(u64, LAYOUT_COPIES_MAX), // sectors, ascending
})

/** A layout record, checked. */
export interface LayoutRecord {
  readonly type: number
  /** Space for each copy in sectors. */
  readonly maxSectors: number
  /** First sectors of the copies, ascending; at least one. They may lie beyond the device. */
  readonly sectors: readonly bigint[]
}

/** Checks a layout record and gives what it says. Throws Malformed. */
export function checkedLayout(layout: ValueOf<typeof Layout>): LayoutRecord {
  if (!isMagic(layout.magic)) throw new Malformed('not a superblock layout (wrong magic number)')
  if (layout.layoutType !== 0) throw new Malformed(`unknown layout type ${layout.layoutType}`)
  if (layout.sbMaxSizeBits > LAYOUT_SIZE_BITS_MAX) {
    throw new Malformed(`space of 2^${layout.sbMaxSizeBits} sectors for each superblock is too large`)
  }
  const copies = layout.nrSuperblocks
  if (copies === 0 || copies > LAYOUT_COPIES_MAX)
    throw new Malformed(`${copies} superblocks where 1 to ${LAYOUT_COPIES_MAX} can be`)
  const maxSectors = 2 ** layout.sbMaxSizeBits
  const sectors = layout.sbOffset.slice(0, copies)
  for (let i = 1; i < copies; i++) {
    if (sectors[i] < sectors[i - 1] + BigInt(maxSectors)) {
      throw new Malformed(`superblocks ${i - 1} and ${i} overlap (sectors ${sectors[i - 1]} and ${sectors[i]})`)
    }
  }
  return { type: layout.layoutType, maxSectors, sectors }
}
