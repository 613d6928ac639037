/**
 * Extended attributes: those stored in the xattrs btree, under the names that users see. Format chapter 5, 5.6.1 and 5.6.2.
 * The attributes that stand for options of an inode are made elsewhere (option-attributes.ts).
 */

import { KeyError, setBpos } from '@cowherd/db'
import type { Bpos, Key } from '@cowherd/db'
import { encodeUtf8 } from '@cowherd/kernel-lib'
import { aclShown } from './acl.ts'
import type { Inode } from './inode.ts'
import {
  XATTR,
  XATTR_NAME_AT,
  XATTR_PREFIXES,
  XattrType,
  xattrNameEnd,
  xattrType,
  xattrValueEnd,
} from './key-types/xattr.ts'
import { probe } from './probe.ts'
import type { Slot } from './probe.ts'
import type { StringHash } from './string-hash.ts'
import type { Subvolumes } from './subvolumes.ts'

/** An attribute under its whole name, which is bytes like any name. */
export interface Attribute {
  readonly name: Uint8Array
  readonly value: Uint8Array
}

const PREFIXES = XATTR_PREFIXES.map((prefix) => encodeUtf8(prefix))
const NAME_MAX = 255

export class Attributes {
  private readonly subvolumes: Subvolumes
  private readonly hash: StringHash
  private readonly pos: Bpos = new Uint32Array(5)
  private wantedType = 0
  private wanted: Uint8Array = new Uint8Array(0)
  private readonly slotOf = (key: Key): Slot => this.examine(key)

  constructor(subvolumes: Subvolumes, hash: StringHash) {
    this.subvolumes = subvolumes
    this.hash = hash
  }

  /** Calls `visit` for each attribute of `inode` in the order in which Linux lists them. Throws KeyError for a malformed ACL. */
  forEach(subvolume: number, inode: Inode, visit: (name: Uint8Array, value: Uint8Array) => void): void {
    const cursor = this.subvolumes.view(subvolume).xattrs
    const { key } = cursor
    setBpos(this.pos, inode.numberHi, inode.numberLo, 0, 0, 0)
    for (let found = cursor.seek(this.pos); found; found = cursor.next()) {
      if (key.inodeLo !== inode.numberLo || key.inodeHi !== inode.numberHi) return
      if (key.type === XATTR && xattrType(key) < PREFIXES.length) visit(wholeName(key), shownValue(key))
    }
  }

  /** The value of the attribute of that whole name, or undefined. */
  get(subvolume: number, inode: Inode, name: Uint8Array): Uint8Array | undefined {
    const parsed = parseAttributeName(name)
    if (parsed === undefined || parsed.rest.length > NAME_MAX) return undefined
    const { type, rest } = parsed
    const cursor = this.subvolumes.view(subvolume).xattrs
    this.wantedType = type
    this.wanted = rest
    this.hash.attribute(inode, type, rest)
    const { hi, lo } = this.hash
    return probe(cursor, inode.numberHi, inode.numberLo, hi, lo, this.slotOf) ? shownValue(cursor.key) : undefined
  }

  private examine(key: Key): Slot {
    if (key.type !== XATTR) return 'free'
    const { wanted } = this
    if (xattrType(key) !== this.wantedType || xattrNameEnd(key) - XATTR_NAME_AT !== wanted.length) return 'other'
    for (let i = 0; i < wanted.length; i++) {
      if (key.bytes[XATTR_NAME_AT + i] !== wanted[i]) return 'other'
    }
    return 'found'
  }
}

/** The type (`XattrType`) of an attribute and its name without prefix; undefined for what can't be the name of one. */
export function parseAttributeName(name: Uint8Array): { readonly type: number; readonly rest: Uint8Array } | undefined {
  const type = PREFIXES.findIndex((prefix, index) => startsWith(name, prefix) && isWhole(index, name, prefix))
  return type < 0 ? undefined : { type, rest: name.subarray(PREFIXES[type].length) }
}

/** Whether there can be an attribute of that whole name: it is in a name space that is kept. */
export function isAttributeName(name: Uint8Array): boolean {
  return parseAttributeName(name) !== undefined
}

/** Whether attributes of the type are access control lists. */
export function isAcl(type: number): boolean {
  return type === XattrType.aclAccess || type === XattrType.aclDefault
}

function wholeName(key: Key): Uint8Array {
  const prefix = PREFIXES[xattrType(key)]
  const rest = key.bytes.subarray(XATTR_NAME_AT, xattrNameEnd(key))
  const name = new Uint8Array(prefix.length + rest.length)
  name.set(prefix)
  name.set(rest, prefix.length)
  return name
}

/** The value in memory of its own. */
function shownValue(key: Key): Uint8Array {
  const stored = key.bytes.slice(xattrNameEnd(key), xattrValueEnd(key))
  if (!isAcl(xattrType(key))) return stored
  const shown = aclShown(stored)
  if (shown === undefined) throw new KeyError('EIO', `xattrs key ${key.posText}`, 'a malformed access control list')
  return shown
}

/** Lists have no name behind the prefix, other attributes must have one. */
function isWhole(type: number, name: Uint8Array, prefix: Uint8Array): boolean {
  return isAcl(type) === (name.length === prefix.length)
}

function startsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  return bytes.length >= start.length && start.every((byte, i) => bytes[i] === byte)
}
