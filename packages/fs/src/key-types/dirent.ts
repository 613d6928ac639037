/**
 * Key type `dirent`: one name in a directory, in the dirents btree at (directory inode, hash of the name).
 * Format chapter 5, 5.5.
 *
 * The name has no length field: it ends where the zero padding of the last eight bytes begins.
 */

import type { Key, KeyType } from '@cowherd/db'
import { KEY_BYTES, KEY_WORDS } from '@cowherd/db'
import { decodeUtf8, struct, u64, u8, visibleText } from '@cowherd/kernel-lib'
import { decimalAt, hexOf, wideAt } from '../halves.ts'

export const DIRENT = 10

/** The name's bytes follow. For a subvolume, `target` is its id (low half) and that of the subvolume it is seen in. */
export const DirentValue = struct({ target: u64, type: u8 })

/** Word of the target's low half, and where the name starts, in the key's bytes. */
export const DIRENT_TARGET_AT = KEY_WORDS + DirentValue.offsets.target / 4
export const DIRENT_NAME_AT = KEY_BYTES + DirentValue.size
const TYPE_AT = KEY_BYTES + DirentValue.offsets.type

/** d_type of a name that leads to a subvolume; the others are the file type bits of the mode, shifted down by 12. */
export const DT_SUBVOL = 16
export const DT_DIR = 4

/** Longest name the format allows, in bytes. Linux allows 255. */
export const NAME_BYTES_MAX = 512

/** Names of the types, by d_type. */
const TYPE_NAMES: readonly (string | undefined)[] = [
  ...[undefined, 'fifo', 'chr', undefined, 'dir', undefined, 'blk', undefined, 'reg'],
  ...[undefined, 'lnk', undefined, 'sock', undefined, 'whiteout', undefined, 'subvol'],
]

const DOT = 0x2e
const SLASH = 0x2f

/** The value of an entry that leads to an inode. Byte by byte: each new name comes by here. */
export function direntBytes(targetHi: number, targetLo: number, type: number, name: Uint8Array): Uint8Array {
  const value = new Uint8Array(DirentValue.size + name.length)
  const { offsets } = DirentValue
  for (let i = 0; i < 4; i++) {
    value[offsets.target + i] = targetLo >>> (8 * i)
    value[offsets.target + 4 + i] = targetHi >>> (8 * i)
  }
  value[offsets.type] = type
  value.set(name, DirentValue.size)
  return value
}

/** d_type as stored. */
export function direntType(key: Key): number {
  return key.bytes[TYPE_AT]
}

/** The position behind the last byte of the name, in the key's bytes. Not behind DIRENT_NAME_AT if there is no name. */
export function direntNameEnd(key: Key): number {
  const bytes = key.bytes
  const end = key.u64s * 8
  let at = end
  while (at > end - 8 && bytes[at - 1] === 0) at--
  return at
}

export const dirent: KeyType = {
  number: DIRENT,
  name: 'dirent',
  minValueBytes: 16,
  check(key) {
    const bytes = key.bytes
    const end = direntNameEnd(key)
    const length = end - DIRENT_NAME_AT
    if (length <= 0) return 'dirent_empty_name: a name without bytes'
    if (key.valueBytes > Math.ceil((DirentValue.size + length) / 8) * 8) {
      return `dirent_val_too_big: ${key.valueBytes} bytes for a name of ${length}`
    }
    for (let at = DIRENT_NAME_AT; at < end; at++) {
      if (bytes[at] === 0) return 'dirent_name_embedded_nul: a zero byte inside the name'
      if (bytes[at] === SLASH) return `dirent_name_has_slash: ${visibleText(nameText(key))}`
    }
    if (bytes[DIRENT_NAME_AT] === DOT && (length === 1 || (length === 2 && bytes[DIRENT_NAME_AT + 1] === DOT))) {
      return `dirent_name_dot_or_dotdot: ${nameText(key)}`
    }
    const ownDirectory = key.words[DIRENT_TARGET_AT] === key.inodeLo && key.words[DIRENT_TARGET_AT + 1] === key.inodeHi
    if (ownDirectory && bytes[TYPE_AT] !== DT_SUBVOL) {
      return `dirent_to_itself: ${visibleText(nameText(key))} leads to its own directory`
    }
    return undefined
  },
  print(key) {
    const type = direntType(key)
    const target =
      type === DT_SUBVOL
        ? key.words[DIRENT_TARGET_AT + 1] + ' -> ' + key.words[DIRENT_TARGET_AT]
        : decimalAt(key, DIRENT_TARGET_AT)
    return nameText(key) + ' -> ' + target + ' type ' + (TYPE_NAMES[type] ?? '(bad d_type)')
  },
  describe(key) {
    const type = direntType(key)
    const nameBytes = key.bytes.subarray(DIRENT_NAME_AT, Math.max(DIRENT_NAME_AT, direntNameEnd(key)))
    const name = decodeUtf8(nameBytes)
    return {
      name,
      ...(name.includes('\ufffd') ? { name_hex: hexOf(nameBytes) } : {}),
      type: TYPE_NAMES[type] ?? type,
      ...(type === DT_SUBVOL
        ? { child_subvol: key.words[DIRENT_TARGET_AT], parent_subvol: key.words[DIRENT_TARGET_AT + 1] }
        : { inum: wideAt(key, DIRENT_TARGET_AT) }),
    }
  },
}

function nameText(key: Key): string {
  return decodeUtf8(key.bytes, DIRENT_NAME_AT, direntNameEnd(key))
}
