/** Extended attributes in the xattrs btree, inside a transaction. Format chapter 5, 5.4.5 and 5.6.1. */

import { BtreeId, Key, type Updates } from '@cowherd/db'
import type { Inode } from '../inode.ts'
import { XATTR, XATTR_NAME_AT, XattrValue, xattrNameEnd, xattrType, xattrValueEnd } from '../key-types/xattr.ts'
import type { Slot } from '../probe.ts'
import type { StringHash } from '../string-hash.ts'
import { HashTable } from './hash-table.ts'
import type { View } from './view.ts'

/** Of a name without its prefix and its value together, in bytes. */
export const ATTRIBUTE_BYTES_MAX = 1996

export class AttributeTable {
  private readonly hash: StringHash
  private readonly table: HashTable
  private wantedType = 0
  private wanted: Uint8Array = new Uint8Array(0)
  private readonly entry = new Key()

  constructor(hash: StringHash) {
    this.hash = hash
    this.table = new HashTable(
      {
        btree: BtreeId.xattrs,
        type: XATTR,
        slotOf: (key) => this.slotOf(key),
        hashEntry: (owner, key) => hash.attribute(owner, xattrType(key), nameOf(key)),
      },
      hash,
    )
  }

  /** The value, as stored, of an attribute; undefined if there is none. `name` has no prefix. */
  get(updates: Updates, view: View, inode: Inode, type: number, name: Uint8Array): Uint8Array | undefined {
    const { entry } = this
    if (!this.find(updates, view, inode, type, name)) return undefined
    return entry.bytes.slice(xattrNameEnd(entry), xattrValueEnd(entry))
  }

  /** True if the attribute is there. */
  has(updates: Updates, view: View, inode: Inode, type: number, name: Uint8Array): boolean {
    return this.find(updates, view, inode, type, name)
  }

  /** Sets an attribute. Name and value fit (ATTRIBUTE_BYTES_MAX). */
  set(updates: Updates, view: View, inode: Inode, type: number, name: Uint8Array, value: Uint8Array): void {
    const stored = new Uint8Array(XattrValue.size + name.length + value.length)
    const head = { type, nameLength: name.length, valueLength: value.length }
    XattrValue.write(new DataView(stored.buffer), 0, head)
    stored.set(name, XattrValue.size)
    stored.set(value, XattrValue.size + name.length)
    if (this.find(updates, view, inode, type, name)) this.table.replace(updates, view, this.entry, stored)
    else this.table.insert(updates, stored)
  }

  /** Removes an attribute. False if it isn't there. */
  remove(updates: Updates, view: View, inode: Inode, type: number, name: Uint8Array): boolean {
    const isThere = this.find(updates, view, inode, type, name)
    if (isThere) this.table.remove(updates, view, inode, this.entry)
    return isThere
  }

  private find(updates: Updates, view: View, inode: Inode, type: number, name: Uint8Array): boolean {
    this.wantedType = type
    this.wanted = name
    this.hash.attribute(inode, type, name)
    return this.table.search(updates, view, inode, this.entry)
  }

  private slotOf(key: Key): Slot {
    const { wanted } = this
    if (xattrType(key) !== this.wantedType || xattrNameEnd(key) - XATTR_NAME_AT !== wanted.length) return 'other'
    for (let i = 0; i < wanted.length; i++) {
      if (key.bytes[XATTR_NAME_AT + i] !== wanted[i]) return 'other'
    }
    return 'found'
  }
}

function nameOf(key: Key): Uint8Array {
  return key.bytes.subarray(XATTR_NAME_AT, xattrNameEnd(key))
}
