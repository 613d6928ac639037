/**
 * Key type `xattr`: one extended attribute of an inode, in the xattrs btree at (inode, hash of type and name).
 * Format chapter 5, 5.6.
 */

import type { Key, KeyType } from '@cowherd/db'
import { KEY_BYTES } from '@cowherd/db'
import { decodeUtf8, struct, u16, u8 } from '@cowherd/kernel-lib'
import { aclText } from '../acl.ts'
import { hexOf } from '../halves.ts'

export const XATTR = 11

/** The name without its prefix follows, then the value, then zero padding. */
export const XattrValue = struct({ type: u8, nameLength: u8, valueLength: u16 })

/** x_type. */
export const XattrType = { user: 0, aclAccess: 1, aclDefault: 2, trusted: 3, security: 4 } as const

/** Prefixes of names as users see them, by x_type; those of access control lists are whole names. */
export const XATTR_PREFIXES: readonly string[] = [
  'user.',
  'system.posix_acl_access',
  'system.posix_acl_default',
  'trusted.',
  'security.',
]

const TYPE_AT = KEY_BYTES + XattrValue.offsets.type
const NAME_LENGTH_AT = KEY_BYTES + XattrValue.offsets.nameLength
const VALUE_LENGTH_AT = KEY_BYTES + XattrValue.offsets.valueLength

/** Where the name starts, in the key's bytes. */
export const XATTR_NAME_AT = KEY_BYTES + XattrValue.size

/** x_type as stored. */
export function xattrType(key: Key): number {
  return key.bytes[TYPE_AT]
}

/** Position behind the name, where the value starts. */
export function xattrNameEnd(key: Key): number {
  return XATTR_NAME_AT + key.bytes[NAME_LENGTH_AT]
}

/** Position behind the value. */
export function xattrValueEnd(key: Key): number {
  return xattrNameEnd(key) + (key.bytes[VALUE_LENGTH_AT] | (key.bytes[VALUE_LENGTH_AT + 1] << 8))
}

export const xattr: KeyType = {
  number: XATTR,
  name: 'xattr',
  minValueBytes: 8,
  check(key) {
    const used = xattrValueEnd(key) - KEY_BYTES
    if (key.valueBytes < Math.ceil(used / 8) * 8) {
      return `xattr_val_size_too_small: ${key.valueBytes} bytes where name and value take ${used}`
    }
    // Older writers left room for up to four bytes more.
    if (key.valueBytes > Math.ceil((used + 4) / 8) * 8) {
      return `xattr_val_size_too_big: ${key.valueBytes} bytes where name and value take ${used}`
    }
    if (xattrType(key) >= XATTR_PREFIXES.length) return `xattr_invalid_type: type ${xattrType(key)}`
    const end = xattrNameEnd(key)
    for (let at = XATTR_NAME_AT; at < end; at++) {
      if (key.bytes[at] === 0) return 'xattr_name_invalid_chars: a zero byte inside the name'
    }
    return undefined
  },
  print(key) {
    const type = xattrType(key)
    const nameEnd = xattrNameEnd(key)
    const valueEnd = xattrValueEnd(key)
    // The reference prints the raw value of access control lists as well, up to its first zero byte.
    const text =
      printedPrefix(type) + textUpToNul(key, XATTR_NAME_AT, nameEnd) + ':' + textUpToNul(key, nameEnd, valueEnd)
    return isAcl(type) ? text + ' ' + aclText(key.bytes.subarray(nameEnd, valueEnd)) : text
  },
  describe(key) {
    const type = xattrType(key)
    const nameEnd = xattrNameEnd(key)
    const value = key.bytes.subarray(nameEnd, xattrValueEnd(key))
    const text = decodeUtf8(value)
    const printable = !isAcl(type) && isPlainText(text)
    return {
      name: (XATTR_PREFIXES[type] ?? `type ${type}:`) + decodeUtf8(key.bytes, XATTR_NAME_AT, nameEnd),
      ...(printable ? { value: text } : { value_hex: hexOf(value) }),
      ...(isAcl(type) ? { acl: aclText(value) } : {}),
    }
  },
}

/** Without bytes that are not UTF-8, and without control characters other than tabs and line ends. */
function isPlainText(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === 0xfffd || code < 9 || (code > 13 && code < 32)) return false
  }
  return true
}

function isAcl(type: number): boolean {
  return type === XattrType.aclAccess || type === XattrType.aclDefault
}

function printedPrefix(type: number): string {
  if (isAcl(type)) return '(type ' + type + ')'
  return XATTR_PREFIXES[type] ?? '(unknown type ' + type + ')'
}

function textUpToNul(key: Key, from: number, to: number): string {
  let end = from
  while (end < to && key.bytes[end] !== 0) end++
  return decodeUtf8(key.bytes, from, end)
}
