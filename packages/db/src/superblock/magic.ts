/** Magic numbers of superblocks and layout records, and the number that seeds all others. Format chapter 1, 1.3. */

/** What is written. */
export const BCHFS_MAGIC = Uint8Array.of(
  ...[0xc6, 0x85, 0x73, 0xf6, 0x66, 0xce, 0x90, 0xa9],
  ...[0xd9, 0x6a, 0x60, 0xcf, 0x80, 0x3d, 0xf7, 0xef],
)
/** What the earliest volumes have. */
const BCACHE_MAGIC = Uint8Array.of(
  ...[0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca],
  ...[0x82, 0x65, 0xf5, 0x7f, 0x48, 0xba, 0x6d, 0x81],
)

/** True for the 16 bytes that a superblock or layout record may carry. */
export function isMagic(magic: Uint8Array): boolean {
  return sameBytes(magic, BCHFS_MAGIC) || sameBytes(magic, BCACHE_MAGIC)
}

/** True if both hold the same bytes. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}

/** True if there are only zero bytes. */
export function allZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0)
}

/** The bytes before the first NUL. */
export function untilNul(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0)
  return end < 0 ? bytes : bytes.subarray(0, end)
}
