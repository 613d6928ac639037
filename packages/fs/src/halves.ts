/** 64-bit numbers from two halves, for output that is not in anybody's way. */

import type { Key } from '@cowherd/db'
import { u64Decimal } from '@cowherd/kernel-lib'

/** A plain number where it is exact, else a bigint. */
export function wide(hi: number, lo: number): number | bigint {
  return hi < 0x200000 ? hi * 0x100000000 + lo : (BigInt(hi) << 32n) | BigInt(lo)
}

/** The number at word `at` of the key, as `wide`. */
export function wideAt(key: Key, at: number): number | bigint {
  return wide(key.words[at + 1], key.words[at])
}

/** The number at word `at` of the key, in decimal. */
export function decimalAt(key: Key, at: number): string {
  return u64Decimal(key.words[at + 1], key.words[at])
}

/** Bytes in hexadecimal. */
export function hexOf(bytes: Uint8Array): string {
  let text = ''
  for (let i = 0; i < bytes.length; i++) text += HEX[bytes[i]]
  return text
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))
