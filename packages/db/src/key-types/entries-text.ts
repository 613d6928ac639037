/**
 * The text of pointers and of whole entry lists, in the order in which the entries lie: what `list` prints for extents,
 * indirect extents, btree pointers and stripes. Format chapter 6, 6.1.3.
 */

import { u64Hex } from '@cowherd/kernel-lib'
import { entryBytes, entryType, EntryType, ExtentPointers } from '../extent-entries.ts'
import type { Key } from '../key.ts'
import type { VolumeShape } from '../key-type.ts'
import { compressionOptionText, compressionTypeText, csumTypeText } from './names.ts'

/** Targets from here on are disk groups, lower ones (but 0) devices. Format chapter 1. */
const FIRST_GROUP_TARGET = 257

/**
 * `durability: N` and all entries from `firstByte` of the key to its end. A list with an entry of unknown type is printed up
 * to that. Any bytes yield some text.
 */
export function entriesText(key: Key, firstByte: number, shape: VolumeShape): string {
  const { words } = key
  const end = key.u64s * 2
  let durability = 0
  let redundancy = -1
  let text = ''
  for (let at = firstByte >>> 2; at < end;) {
    const lo = words[at]
    const hi = words[at + 1]
    const type = entryType(lo)
    if (text !== '') text += ' '
    switch (type) {
      case EntryType.ptr: {
        text += pointerText(lo, hi, shape)
        if ((lo & 2) === 0) {
          const member = shape.member((hi >>> 16) & 0xff)
          if (member !== undefined) durability += redundancy >= 0 ? redundancy + 1 : member.durability
        }
        redundancy = -1
        break
      }
      case EntryType.crc32:
        text += crcText(
          ((lo >>> 2) & 0x7f) + 1,
          ((lo >>> 9) & 0x7f) + 1,
          (lo >>> 16) & 0x7f,
          0,
          (lo >>> 24) & 0xf,
          '0:' + hi.toString(16),
          lo >>> 28,
        )
        break
      case EntryType.crc64:
        text += crcText(
          ((lo >>> 3) & 0x1ff) + 1,
          ((lo >>> 12) & 0x1ff) + 1,
          (lo >>> 21) & 0x1ff,
          (lo >>> 30) | ((hi & 0xff) << 2),
          (hi >>> 8) & 0xf,
          (hi >>> 16).toString(16) + ':' + u64Hex(words[at + 3], words[at + 2]),
          (hi >>> 12) & 0xf,
        )
        break
      case EntryType.crc128:
        text += crcText(
          ((lo >>> 4) & 0x1fff) + 1,
          ((lo >>> 17) & 0x1fff) + 1,
          (lo >>> 30) | ((hi & 0x7ff) << 2),
          (hi >>> 11) & 0x1fff,
          (hi >>> 24) & 0xf,
          u64Hex(words[at + 5], words[at + 4]) + ':' + u64Hex(words[at + 3], words[at + 2]),
          hi >>> 28,
        )
        break
      case EntryType.stripePtr:
        redundancy = (lo >>> 13) & 0xf
        text += `ec: idx ${(lo >>> 17) + hi * 0x8000} block ${(lo >>> 5) & 0xff}`
        break
      case EntryType.rebalance:
        text += `rebalance: target ${targetText(hi >>> 16, shape)} compression ${compressionOptionText((hi >>> 8) & 0xff)}`
        break
      default:
        return `durability: ${durability} ${text}(invalid extent entry ${u64Hex(hi, lo).padStart(16, '0')})`
    }
    at += (entryBytes(type) ?? 0) / 4
  }
  return 'durability: ' + durability + ' ' + text
}

/** One pointer: device, bucket and offset in it; device and sector where the volume has no such device. */
export function pointerText(lo: number, hi: number, shape: VolumeShape): string {
  const device = (hi >>> 16) & 0xff
  const gen = hi >>> 24
  const sector = (hi & 0xffff) * 0x10000000 + (lo >>> 4)
  const cached = (lo & 2) !== 0 ? ' cached' : ''
  const member = shape.member(device)
  if (member === undefined) return 'ptr: ' + device + ':' + sector + ' gen ' + gen + cached
  const bucket = Math.floor(sector / member.bucketSectors)
  const text = 'ptr: ' + device + ':' + bucket + ':' + (sector - bucket * member.bucketSectors) + ' gen ' + gen + cached
  const unwritten = (lo & 8) !== 0 ? ' unwritten' : ''
  if (bucket < member.firstBucket || bucket >= member.bucketCount) return text + unwritten + ' invalid'
  const current = shape.bucketGeneration?.(device, bucket)
  const stale = current !== undefined && ((current - gen) << 24) >> 24 > 0 ? ' stale' : ''
  return text + unwritten + stale
}

/** A target: none, a device, or the path of a disk group. */
export function targetText(target: number, shape: VolumeShape): string {
  if (target === 0) return 'none'
  if (target >= FIRST_GROUP_TARGET) {
    return shape.groupPath(target - FIRST_GROUP_TARGET) ?? `invalid label ${target - FIRST_GROUP_TARGET}`
  }
  const device = target - 1
  if (shape.member(device) === undefined) return `invalid device ${device}`
  const name = shape.deviceName?.(device)
  return name === undefined ? `offline device ${device}` : `/dev/${name}`
}

const scratch = new ExtentPointers()

/** The decoded pointers of an entry list for JSON. The list has been checked. */
export function describePointers(key: Key, firstByte: number): Record<string, unknown> {
  const fault = scratch.load(key, firstByte, undefined)
  if (fault !== undefined) return { invalid: fault }
  const pointers: Record<string, unknown>[] = []
  for (let i = 0; i < scratch.count; i++) {
    const pointer: Record<string, unknown> = {
      device: scratch.device[i],
      sector: scratch.sector[i],
      gen: scratch.gen[i],
    }
    if (scratch.cached[i] !== 0) pointer['cached'] = true
    if (scratch.unwritten[i] !== 0) pointer['unwritten'] = true
    if (scratch.hasCrc[i] !== 0) pointer['crc'] = describeCrc(i)
    if (scratch.hasStripe[i] !== 0) {
      pointer['stripe'] = {
        index: scratch.stripeIndex[i],
        block: scratch.stripeBlock[i],
        redundancy: scratch.stripeRedundancy[i],
      }
    }
    pointers.push(pointer)
  }
  const described: Record<string, unknown> = { pointers }
  if (scratch.hasRebalance) {
    described['rebalance'] = {
      target: scratch.rebalanceTarget,
      compression: compressionOptionText(scratch.rebalanceCompression),
    }
  }
  return described
}

function describeCrc(i: number): Record<string, unknown> {
  const csum = scratch.csum.subarray(4 * i, 4 * i + 4)
  return {
    c_size: scratch.compressedSectors[i],
    size: scratch.uncompressedSectors[i],
    offset: scratch.crcOffset[i],
    nonce: scratch.nonce[i],
    csum_type: csumTypeText(scratch.csumType[i]),
    csum: `${u64Hex(csum[3], csum[2])}:${u64Hex(csum[1], csum[0])}`,
    compression: compressionTypeText(scratch.compressionType[i]),
  }
}

function crcText(
  compressed: number,
  uncompressed: number,
  offset: number,
  nonce: number,
  csumType: number,
  csum: string,
  compressionType: number,
): string {
  return (
    'crc: c_size ' +
    compressed +
    ' size ' +
    uncompressed +
    ' offset ' +
    offset +
    ' nonce ' +
    nonce +
    ' csum ' +
    csumTypeText(csumType) +
    ' ' +
    csum +
    '  compress ' +
    compressionTypeText(compressionType)
  )
}
