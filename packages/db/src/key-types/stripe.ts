/** Key type `stripe`: the blocks of an erasure-coded stripe, at (0, index). Format chapter 6, 6.11. */

import { struct, u16, u8 } from '@cowherd/kernel-lib'
import { CHECKSUM_TYPES } from '../checksum.ts'
import { MAX_POINTERS, pointerFault } from '../extent-entries.ts'
import { KEY_BYTES, KEY_WORDS, type Key } from '../key.ts'
import type { KeyType, VolumeShape } from '../key-type.ts'
import { pointerText } from './entries-text.ts'
import { csumTypeText } from './names.ts'

/** The fixed part; pointers, checksums and sector counts of the blocks follow. */
export const StripeValue = struct({
  sectors: u16, // length of each block
  algorithm: u8,
  blocks: u8, // data blocks, then parity blocks
  redundantBlocks: u8,
  csumGranularityBits: u8, // log2 of the sectors under one checksum
  csumType: u8,
  diskLabel: u8, // 0, or the label's group + 1
})

/** Index of the word at which the blocks' pointers start. */
export const STRIPE_POINTERS_AT = KEY_WORDS + StripeValue.size / 4

export const stripe: KeyType = {
  number: 14,
  name: 'stripe',
  minValueBytes: 8,
  check(key, _place, shape) {
    const inRange = key.inodeHi === 0 && key.inodeLo === 0 && key.offsetHi === 0 && key.offsetLo !== 0
    if (!inRange) return 'stripe_pos_bad'
    const { blocks, csumType } = StripeValue.readPadded(key.value)
    if (csumType >= CHECKSUM_TYPES.length) return `stripe_val_size_bad: checksums of unknown type ${csumType}`
    const needed = stripeCountsAt(key) + 2 * blocks
    if (needed > key.valueBytes) return `stripe_val_size_bad: ${key.valueBytes} bytes, ${needed} needed`
    return blocksFault(key, shape)
  },
  print(key, shape) {
    const value = StripeValue.readPadded(key.value)
    const dataBlocks = (value.blocks - value.redundantBlocks) >>> 0
    const granularity = granularitySectors(value.csumGranularityBits)
    let text =
      `algo ${value.algorithm} sectors ${value.sectors} blocks ${dataBlocks}:${value.redundantBlocks} ` +
      `csum ${csumTypeText(value.csumType)} gran ${granularity}`
    if (value.diskLabel !== 0) {
      text += ` label${shape.groupPath(value.diskLabel - 1) ?? `invalid label ${value.diskLabel - 1}`}`
    }
    const counts = stripeCountsAt(key)
    const complete = counts + 2 * value.blocks <= key.valueBytes
    for (let i = 0; i < Math.min(value.blocks, pointersHeld(key)); i++) {
      text += ` ${pointerText(key.words[STRIPE_POINTERS_AT + 2 * i], key.words[STRIPE_POINTERS_AT + 2 * i + 1], shape)}`
      if (complete && i < dataBlocks) text += `#${key.view.getUint16(KEY_BYTES + counts + 2 * i, true)}`
    }
    return text
  },
  describe(key) {
    const value = StripeValue.readPadded(key.value)
    const counts = stripeCountsAt(key)
    const complete = counts + 2 * value.blocks <= key.valueBytes
    const blocks = Array.from({ length: Math.min(value.blocks, pointersHeld(key)) }, (_, i) => {
      const lo = key.words[STRIPE_POINTERS_AT + 2 * i]
      const hi = key.words[STRIPE_POINTERS_AT + 2 * i + 1]
      return {
        device: (hi >>> 16) & 0xff,
        sector: (hi & 0xffff) * 0x10000000 + (lo >>> 4),
        gen: hi >>> 24,
        ...(complete ? { sectors: key.view.getUint16(KEY_BYTES + counts + 2 * i, true) } : {}),
      }
    })
    return {
      sectors: value.sectors,
      algorithm: value.algorithm,
      nr_blocks: value.blocks,
      nr_redundant: value.redundantBlocks,
      csum_granularity: granularitySectors(value.csumGranularityBits),
      csum_type: csumTypeText(value.csumType),
      disk_label: value.diskLabel,
      blocks,
    }
  },
}

/** What is wrong with the blocks' pointers. */
function blocksFault(key: Key, shape: VolumeShape): string | undefined {
  const { blocks } = StripeValue.readPadded(key.value)
  if (blocks === 0) return 'extent_ptrs_no_ptrs'
  if (blocks > MAX_POINTERS) return `extent_ptrs_too_many_ptrs: ${blocks}`
  const seen = new Set<number>()
  let unwritten = 0
  for (let i = 0; i < blocks; i++) {
    const lo = key.words[STRIPE_POINTERS_AT + 2 * i]
    const hi = key.words[STRIPE_POINTERS_AT + 2 * i + 1]
    if ((lo & 1) === 0) return `extent_ptrs_invalid_entry: block ${i} is no pointer`
    unwritten += (lo >>> 3) & 1
    const device = (hi >>> 16) & 0xff
    const member = shape.member(device)
    if (member === undefined) continue
    if (seen.has(device)) return `ptr_to_duplicate_device: ${device}`
    seen.add(device)
    const fault = pointerFault(member, device, (hi & 0xffff) * 0x10000000 + (lo >>> 4), 0)
    if (fault !== undefined) return fault
  }
  if (unwritten === 0) return undefined
  return unwritten === blocks ? 'extent_ptrs_unwritten' : 'extent_ptrs_written_and_unwritten'
}

/** Where in the value the sector counts of the blocks start; NaN if the checksum's size is not known. */
export function stripeCountsAt(key: Key): number {
  const { sectors, blocks, csumGranularityBits, csumType } = StripeValue.readPadded(key.value)
  if (csumType >= CHECKSUM_TYPES.length) return Number.NaN
  const csums = Math.ceil(sectors / granularitySectors(csumGranularityBits))
  return StripeValue.size + 8 * blocks + blocks * csums * CHECKSUM_TYPES[csumType].bytes
}

/** More than 31 bits make no sense; like the reference we take the lowest five then. */
function granularitySectors(bits: number): number {
  return (1 << bits) >>> 0
}

function pointersHeld(key: Key): number {
  return Math.max(0, (key.u64s * 2 - STRIPE_POINTERS_AT) >> 1)
}
