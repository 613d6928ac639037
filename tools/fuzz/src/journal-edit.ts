/** Journal entries for editing: read and decrypted, and stored again, encrypted and sealed. Format chapter 3, 3.2. */

import { JSET_ENCRYPTED_FROM, Jset } from '@cowherd/db'
import type { OverlayDevice } from './overlay-device.ts'
import { CSUM_BYTES, NonceUse, type Sealer } from './seal.ts'

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

function typeOf(bytes: Uint8Array): number {
  return bytes[Jset.offsets.flags] & 0xf
}

function nonceOf(bytes: Uint8Array): Uint32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const { seq } = Jset.offsets
  return Uint32Array.of(0, view.getUint32(seq, true), view.getUint32(seq + 4, true), NonceUse.journal)
}
