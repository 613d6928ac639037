/** Journal entries for editing: read and decrypted, and stored again, encrypted and sealed. Format chapter 3, 3.2. */

import { JSET_ENCRYPTED_FROM, Jset, JsetEntryType, walkRecords } from '@cowherd/db'
import type { OverlayDevice } from './overlay-device.ts'
import { CSUM_BYTES, NonceUse, type Sealer } from './seal.ts'
import type { Site, Specimen } from './specimen.ts'

/** Reads the `length` bytes of an entry and decrypts them. */
export function loadEntry(device: OverlayDevice, at: number, length: number, sealer: Sealer): Uint8Array {
  const bytes = device.bytes(at, length)
  sealer.crypt(typeOf(bytes), nonceOf(bytes), bytes.subarray(JSET_ENCRYPTED_FROM))
  return bytes
}

/** Encrypts, seals and writes an entry; the checksum covers what its header says. `bytes` stays as it is. */
export function storeEntry(device: OverlayDevice, at: number, bytes: Uint8Array, sealer: Sealer): void {
  const sealed = bytes.slice()
  const view = new DataView(sealed.buffer)
  const end = Math.min(sealed.length, Jset.size + view.getUint32(Jset.offsets.u64s, true) * 8)
  const type = typeOf(sealed)
  const nonce = nonceOf(sealed)
  sealer.crypt(type, nonce, sealed.subarray(JSET_ENCRYPTED_FROM, end))
  sealer.seal(type, nonce, sealed.subarray(CSUM_BYTES, end), sealed, 0)
  device.overwrite(at, sealed)
}

/** An entry to follow `last` (decrypted): the same header with the next number, the same roots, and `records`. */
export function nextEntry(last: Uint8Array, records: readonly Uint8Array[]): Uint8Array {
  const roots: Uint8Array[] = []
  const lastView = new DataView(last.buffer, last.byteOffset, last.length)
  walkRecords(lastView, Jset.size, last.length, ({ type, start, end }) => {
    if (type === JsetEntryType.btreeRoot) roots.push(last.slice(start - RECORD_HEADER_BYTES, end))
  })
  const parts = [last.subarray(0, Jset.size), ...roots, ...records]
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  const view = new DataView(bytes.buffer)
  view.setUint32(Jset.offsets.u64s, (bytes.length - Jset.size) / 8, true)
  view.setBigUint64(Jset.offsets.seq, view.getBigUint64(Jset.offsets.seq, true) + 1n, true)
  return bytes
}

/** Where an entry of `length` bytes behind the one at `last` goes: right behind it, or to the start of the next bucket. */
export function placeAfter(
  { entries, buckets, blockBytes }: Specimen,
  last: Site,
  length: number,
): { device: number; at: number } {
  const behind = last.at + Math.ceil(last.length / blockBytes) * blockBytes
  const index = buckets.findIndex(
    (each) => each.device === last.device && last.at < each.at + each.length && last.at >= each.at,
  )
  const bucket = buckets[index]
  if (behind + length <= bucket.at + bucket.length) return { device: last.device, at: behind }
  const others = buckets.filter(({ device }) => device === last.device)
  const isUsed = (site: Site) =>
    entries.some(({ device, at }) => device === site.device && at >= site.at && at < site.at + site.length)
  const free =
    others.find((site) => site.at > last.at && !isUsed(site)) ?? others.find((site) => !isUsed(site)) ?? others[0]
  return { device: free.device, at: free.at }
}

const RECORD_HEADER_BYTES = 8

function typeOf(bytes: Uint8Array): number {
  return bytes[Jset.offsets.flags] & 0xf
}

function nonceOf(bytes: Uint8Array): Uint32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const { seq } = Jset.offsets
  return Uint32Array.of(0, view.getUint32(seq, true), view.getUint32(seq + 4, true), NonceUse.journal)
}
