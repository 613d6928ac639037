/** Taking a snapshot of a subvolume, by the letter of format chapter 5, 5.7.6, in one transaction. The volume has to be opened anew then. */

import { bpos, BtreeId, Key, SnapshotValue, type Database } from '@cowherd/db'
import { encodeUtf8 } from '@cowherd/kernel-lib'
import { Inode } from '../inode.ts'
import { loadInode, storeInode } from '../inode-versions.ts'
import { DT_SUBVOL } from '../key-types/dirent.ts'
import { subvolume as subvolumeType, SubvolumeValue } from '../key-types/subvolume.ts'
import { Field } from '../inode-fields.ts'
import { pointBack, setField } from '../namespace/inode-changes.ts'
import { Names } from '../namespace/names.ts'
import type { NodeRef } from '../node-ref.ts'
import { StringHash } from '../string-hash.ts'

const SNAPSHOT_KEY = 22
const FIRST_SNAPSHOT = 0xffffffff

export interface SnapshotRequest {
  /** The subvolume to take it of. */
  readonly source: number
  readonly id: number
  /** Where its name is to be: a directory of subvolume `parent`. */
  readonly directory: Readonly<NodeRef>
  readonly name: string
  readonly readOnly?: boolean
}

export function takeSnapshot(db: Database, { source, id, directory, name, readOnly = false }: SnapshotRequest): void {
  db.write((updates) => {
    const key = new Key()
    const get = (btree: number, offset: number): Uint8Array => {
      if (!updates.get(btree, bpos(0, offset), key)) throw new Error(`no key ${offset} in btree ${btree}`)
      return key.value.slice()
    }
    const put = (btree: number, offset: number, type: number, value: Uint8Array): void =>
      updates.put(btree, key.make(type, bpos(0, offset), value))
    const of = SubvolumeValue.readPadded(get(BtreeId.subvolumes, source))
    const old = of.snapshot
    const node = SnapshotValue.readPadded(get(BtreeId.snapshots, old))
    const cursor = db.cursor(BtreeId.snapshots)
    const lowest = cursor.seek(bpos(0, 0)) ? cursor.key.offset : FIRST_SNAPSHOT
    const [n0, n1] = [lowest - 1, lowest - 2]
    const child = (subvolume: number): Uint8Array =>
      SnapshotValue.bytes({
        ...node,
        ...{ flags: { deleted: 0, subvolume: 1 }, parent: old, children: [0, 0], subvolume },
        ...{ depth: node.depth + 1, skip: [old, old, old] },
      })
    put(BtreeId.snapshots, n0, SNAPSHOT_KEY, child(id))
    put(BtreeId.snapshots, n1, SNAPSHOT_KEY, child(source))
    const inner = { ...node, flags: { deleted: 0, subvolume: 0 }, children: [n0, n1], subvolume: 0 }
    put(BtreeId.snapshots, old, SNAPSHOT_KEY, SnapshotValue.bytes(inner))
    const parent = directory.subvolume
    put(BtreeId.subvolumes, source, subvolumeType.number, SubvolumeValue.bytes({ ...of, snapshot: n1 }))
    const taken = { ...of, snapshot: n0, creationParent: source, fsPathParent: parent }
    const flags = { readOnly: readOnly ? 1 : 0, snapshot: 1, unlinked: 0 }
    put(BtreeId.subvolumes, id, subvolumeType.number, SubvolumeValue.bytes({ ...taken, flags }))

    const parentSnapshot = SubvolumeValue.readPadded(get(BtreeId.subvolumes, parent)).snapshot
    const above = parent === source ? old : parentSnapshot
    const ancestors = new Set([parentSnapshot, ...db.snapshots.ancestorsOf(above)])
    const view = { subvolume: parent, snapshot: parentSnapshot, ancestors }
    const holder = new Inode()
    const number = { numberHi: directory.inodeHi, numberLo: directory.inodeLo }
    if (!loadInode(updates, db.snapshots, number, above, holder)) throw new Error('no such directory')
    holder.snapshot = parentSnapshot
    const names = new Names(new StringHash(db.codecs), db.snapshots)
    const bytes = encodeUtf8(name)
    if (names.find(updates, view, holder, bytes, key)) throw new Error(`${name} is there`)
    const place = names.insert(updates, bytes, { hi: parent, lo: id, type: DT_SUBVOL })

    const root = new Inode()
    const rootNumber = { numberHi: Number(of.inode >> 32n), numberLo: Number(of.inode & 0xffffffffn) }
    if (!loadInode(updates, db.snapshots, rootNumber, old, root)) throw new Error('no root')
    root.snapshot = n0
    setField(root, Field.subvol, id)
    setField(root, Field.parentSubvol, parent)
    pointBack(root, place)
    storeInode(updates, root)
    storeInode(updates, holder)
  })
}
