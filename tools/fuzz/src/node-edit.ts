/**
 * Btree nodes for editing: read and decrypted as they lie, and stored again on all devices that have a copy, each set of keys
 * encrypted and sealed as far as its own header says it reaches. Format chapter 2, 2.6.
 */

import { BsetEntry, NodeHeader } from '@cowherd/db'
import type { OverlayDevice } from './overlay-device.ts'
import { CSUM_BYTES, NonceUse, type Sealer } from './seal.ts'

const HEADER = NodeHeader.offsets
const BSET = NodeHeader.fields.bset.offsets
const LATER_BSET = BsetEntry.offsets.bset

/** Where copies of a node lie. */
export interface NodeCopy {
  readonly device: number
  /** First byte on the device. */
  readonly at: number
}

/** One set of keys inside a node: where it starts, where its bset header, its keys and their end are. */
export interface SetPlace {
  readonly start: number
  readonly bset: number
  readonly keys: number
  readonly end: number
}

/** The sets of a node of which `bytes` are valid, as its headers say. Stops at the first that doesn't fit. */
export function setsOf(bytes: Uint8Array, blockBytes: number): SetPlace[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const sets: SetPlace[] = []
  for (let start = 0; start < bytes.length;) {
    const bset = start === 0 ? HEADER.bset : start + LATER_BSET
    const keys = start === 0 ? NodeHeader.size : start + BsetEntry.size
    if (keys > bytes.length) break
    const end = keys + view.getUint16(bset + BSET.u64s, true) * 8
    if (end > bytes.length) break
    sets.push({ start, bset, keys, end })
    start = Math.ceil(end / blockBytes) * blockBytes
  }
  return sets
}

/** Reads `length` bytes of a node and decrypts them. */
export function loadNode(
  device: OverlayDevice,
  at: number,
  length: number,
  blockBytes: number,
  sealer: Sealer,
): Uint8Array {
  const bytes = device.bytes(at, length)
  for (const set of setsOf(bytes, blockBytes)) cryptSet(bytes, set, sealer)
  return bytes
}

/** Encrypts, seals and writes a node to all its places. `bytes` stays as it is. */
export function storeNode(
  devices: readonly OverlayDevice[],
  copies: readonly NodeCopy[],
  bytes: Uint8Array,
  blockBytes: number,
  sealer: Sealer,
): void {
  const sealed = bytes.slice()
  for (const set of setsOf(sealed, blockBytes)) {
    cryptSet(sealed, set, sealer)
    sealer.seal(
      typeOf(sealed, set),
      nonceOf(sealed, set),
      sealed.subarray(set.start + CSUM_BYTES, set.end),
      sealed,
      set.start,
    )
  }
  for (const { device, at } of copies) devices[device].overwrite(at, sealed)
}

/** Encryption and decryption are the same. */
function cryptSet(bytes: Uint8Array, set: SetPlace, sealer: Sealer): void {
  const type = typeOf(bytes, set)
  const nonce = nonceOf(bytes, set)
  if (set.start === 0) {
    sealer.crypt(type, nonce, bytes.subarray(HEADER.flags, HEADER.bset))
    nonce[0] += Math.ceil((HEADER.bset - HEADER.flags) / 64)
  }
  sealer.crypt(type, nonce, bytes.subarray(set.keys, set.end))
}

function typeOf(bytes: Uint8Array, { bset }: SetPlace): number {
  return bytes[bset + BSET.flags] & 0xf
}

function nonceOf(bytes: Uint8Array, { start, bset }: SetPlace): Uint32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  return Uint32Array.of(
    start,
    view.getUint32(bset + BSET.seq, true),
    view.getUint32(bset + BSET.seq + 4, true),
    view.getUint32(bset + BSET.journalSeq, true) ^ NonceUse.btree,
  )
}
