/** Makes the key that points to a node (`btree_ptr_v2`). Format chapter 2, 2.5. */

import { BPOS_BYTES } from '../bpos.ts'
import type { Key } from '../key.ts'
import { BTREE_PTR_V2_TYPE, BtreePtrV2, pointerCount, pointerDevice, pointerGen, pointerSector } from './btree-ptr.ts'

/** Where a copy of a node lies. */
export interface NodePlace {
  readonly device: number
  readonly sector: number
  /** Generation of the bucket. */
  readonly gen: number
}

/** What a pointer says of the node. */
export interface PointedNode {
  readonly minKey: Uint32Array
  readonly maxKey: Uint32Array
  readonly seqHi: number
  readonly seqLo: number
}

export function makeNodePointer(
  key: Key,
  { minKey, maxKey, seqHi, seqLo }: PointedNode,
  sectorsWritten: number,
  places: readonly NodePlace[],
): Key {
  const head = BtreePtrV2.bytes({
    memPtr: 0n,
    seq: (BigInt(seqHi) << 32n) | BigInt(seqLo),
    sectorsWritten,
    flags: 0,
    minKey: [...new Uint8Array(minKey.buffer, minKey.byteOffset, BPOS_BYTES)],
  })
  const value = new Uint8Array(head.length + 8 * places.length)
  value.set(head)
  const view = new DataView(value.buffer)
  places.forEach(({ device, sector, gen }, i) => {
    const at = head.length + 8 * i
    view.setBigUint64(at, 1n | (BigInt(sector) << 4n) | (BigInt(device) << 48n) | (BigInt(gen) << 56n), true)
  })
  return key.make(BTREE_PTR_V2_TYPE, maxKey, value)
}

/** Where the node that the unpacked key at `words[at]` points to lies. */
export function placesOf(words: Uint32Array, at: number): NodePlace[] {
  return Array.from({ length: pointerCount(words, at) }, (_, n) => ({
    device: pointerDevice(words, at, n),
    sector: pointerSector(words, at, n),
    gen: pointerGen(words, at, n),
  }))
}
