/** Golden volumes with one thing wrong: changed in memory, and sealed again, so that nothing but the change is to be found. */

import * as fs from 'node:fs'
import { join } from 'node:path'
import {
  bpos,
  Bset,
  BtreeId,
  BtreePtrV2,
  Jset,
  JsetEntryType,
  Key,
  KEY_BYTES,
  KEY_POS_AT,
  openVolume,
  walkRecords,
  type FoundEntry,
} from '@cowherd/db'
import { fsKeyTypes } from '@cowherd/fs'
import {
  devicesOf,
  editSuperblocks,
  fuzzCodecs,
  keysOfBtree,
  leafRoot,
  loadEntry,
  loadNode,
  rewriteRoot,
  setsOf,
  specimen,
  storeEntry,
  storeNode,
  type NodeSite,
  type OverlayDevice,
  type SetPlace,
  type Specimen,
  type SuperblockEdit,
} from '@cowherd/fuzz'
import { verifyVolume } from './verify.ts'

const SECTOR = 512
const PIECE_BYTES = 1 << 20
/** Of the section `clean`: what lies before its records. */
const CLEAN_HEAD_BYTES = 16
const POS_BYTE = KEY_POS_AT * 4

export class Patient {
  readonly specimen: Specimen
  readonly devices: OverlayDevice[]

  /** `name`: of a golden volume. It isn't changed. */
  constructor(name: string) {
    this.specimen = specimen(name)
    this.devices = devicesOf(this.specimen)
  }

  /** What the judge says. */
  faults(): string[] {
    const { devices, specimen } = this
    return verifyVolume(devices, { codecs: fuzzCodecs, keyTypes: fsKeyTypes, passphrase: () => specimen.passphrase })
  }

  /** Changes the keys of a btree that is one leaf. They are sorted then, and lie in one set, unpacked. */
  changeKeys(btree: number, change: (keys: Key[]) => Key[] | undefined): this {
    const { specimen, devices } = this
    const root = leafRoot(specimen, btree)
    if (root === undefined) throw new Error(`btree ${btree} is not one leaf`)
    const keys = keysOfBtree(specimen, devices, btree).map(keyOf)
    const changed = change(keys) ?? keys
    rewriteRoot(
      ...([specimen, devices, root] as const),
      changed.sort(comparePositions).map((key) => key.bytes.slice(0, key.u64s * 8)),
    )
    const length = setsOf(this.nodeBytes(root, specimen.nodeBytes), specimen.blockBytes)[0].end
    const sectors = (Math.ceil(length / specimen.blockBytes) * specimen.blockBytes) / SECTOR
    return this.changeEntry((bytes) => {
      changePointer(bytes, Jset.size, btree, (view, value) => {
        view.setUint16(value + BtreePtrV2.offsets.sectorsWritten, sectors, true)
      })
    })
  }

  /** How many keys a btree that is one leaf has. */
  count(btree: number): number {
    const { specimen, devices } = this
    return leafRoot(specimen, btree) === undefined ? 0 : keysOfBtree(specimen, devices, btree).length
  }

  /** Changes one key: the first that `choose` takes. */
  changeKey(btree: number, choose: (key: Key) => boolean, change: (key: Key) => void): this {
    return this.changeKeys(btree, (keys) => {
      change(first(keys, choose))
      return keys
    })
  }

  removeKey(btree: number, choose: (key: Key) => boolean): this {
    return this.changeKeys(btree, (keys) => {
      const gone = first(keys, choose)
      return keys.filter((key) => key !== gone)
    })
  }

  addKey(btree: number, key: Key): this {
    return this.changeKeys(btree, (keys) => [...keys, key])
  }

  changeSuperblocks(change: (edit: SuperblockEdit, device: number) => void): this {
    editSuperblocks(this.specimen, this.devices, change)
    return this
  }

  /** Lets the superblock name the sets of devices for data of type `from` as if they were for `to`. */
  renameReplicas(from: number, to: number): this {
    return this.changeSuperblocks((edit) => {
      const { payload } = edit.section('replicas_v0')
      for (let at = 0; at < payload.length && payload[at] !== 0; at += 2 + payload[at + 1]) {
        if (payload[at] === from) payload[at] = to
      }
    })
  }

  /** Changes the bytes of the root node of a btree, as they are on disk but decrypted, with the places of its sets. */
  changeRoot(btree: number, change: (bytes: Uint8Array, sets: readonly SetPlace[]) => void): this {
    const { specimen, devices } = this
    const root = specimen.nodes.find((node) => node.isRoot && node.btree === btree)
    if (root === undefined) throw new Error(`no btree ${btree}`)
    const bytes = this.nodeBytes(root, root.length)
    change(bytes, setsOf(bytes, specimen.blockBytes))
    storeNode(devices, root.copies, bytes, specimen.blockBytes, specimen.sealer)
    return this
  }

  /** Gives the root node of a btree another number, and says so wherever it is pointed to. */
  renumber(btree: number, seq: bigint): this {
    const change = (view: DataView, value: number): void => view.setBigUint64(value + BtreePtrV2.offsets.seq, seq, true)
    this.changeRoot(btree, (bytes, sets) => {
      const view = new DataView(bytes.buffer)
      for (const { bset } of sets) view.setBigUint64(bset + Bset.offsets.seq, seq, true)
    })
    this.changeSuperblocks((edit) => changePointer(edit.section('clean').payload, CLEAN_HEAD_BYTES, btree, change))
    return this.changeEntry((bytes) => changePointer(bytes, Jset.size, btree, change))
  }

  /** The place of the root node of a btree. */
  rootOf(btree: number): NodeSite {
    const root = this.specimen.nodes.find((node) => node.isRoot && node.btree === btree)
    if (root === undefined) throw new Error(`no btree ${btree}`)
    return root
  }

  /** Changes the newest journal entry, in all its copies (or those on `onDevice`). */
  changeEntry(change: (bytes: Uint8Array) => void, onDevice = -1): this {
    const { specimen, devices } = this
    const { places, bytes: length } = this.newestEntry()
    for (const { device, sector } of places) {
      if (onDevice >= 0 && device !== onDevice) continue
      const bytes = loadEntry(devices[device], sector * SECTOR, length, specimen.sealer)
      change(bytes)
      storeEntry(devices[device], sector * SECTOR, bytes, specimen.sealer)
    }
    return this
  }

  newestEntry(): FoundEntry {
    const { specimen, devices } = this
    const volume = openVolume(devices, { codecs: fuzzCodecs, passphrase: () => specimen.passphrase })
    const entry = volume.journalEntries(false).findLast(({ noFlush }) => !noFlush)
    if (entry === undefined) throw new Error('no journal')
    return entry
  }

  /** Stores the images, sparse, below `folder`. Returns their paths. */
  save(folder: string): string[] {
    return this.devices.map((device, index) => {
      const path = join(folder, `${index}.img`)
      const fd = fs.openSync(path, 'w')
      try {
        fs.ftruncateSync(fd, device.size)
        for (let at = 0; at < device.size; at += PIECE_BYTES) {
          const piece = device.bytes(at, Math.min(PIECE_BYTES, device.size - at))
          if (piece.some((byte) => byte !== 0)) fs.writeSync(fd, piece, 0, piece.length, at)
        }
      } finally {
        fs.closeSync(fd)
      }
      return path
    })
  }

  private nodeBytes({ copies: [{ device, at }] }: NodeSite, length: number): Uint8Array {
    return loadNode(this.devices[device], at, length, this.specimen.blockBytes, this.specimen.sealer)
  }
}

/** Calls `change` with where the value of the pointer to a btree's root lies, among the records from byte `from` on. */
function changePointer(
  bytes: Uint8Array,
  from: number,
  btree: number,
  change: (view: DataView, value: number) => void,
): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  walkRecords(view, from, bytes.length, (record) => {
    if (record.type === JsetEntryType.btreeRoot && record.btree === btree) change(view, record.start + KEY_BYTES)
  })
}

/** A key of alloc that `is` of a data type. */
export function ofDataType(type: number): (key: Key) => boolean {
  return (key) => key.bytes[KEY_BYTES + 14] === type
}

/** Adds to the 32-bit number at byte `at` of a key's value. */
export function addTo(key: Key, at: number, add: number): void {
  key.view.setUint32(KEY_BYTES + at, key.view.getUint32(KEY_BYTES + at, true) + add, true)
}

/** A key with a value, at a place. */
export function newKey(type: number, inode: number | bigint, offset: number | bigint, value = new Uint8Array(0)): Key {
  return new Key().make(type, bpos(inode, offset), value)
}

export function movedTo(key: Key, inode: bigint, offset: bigint, snapshot: number): void {
  key.words.set(bpos(inode, offset, snapshot), KEY_POS_AT)
}

/** Whether a key of accounting counts things of a type. */
export function counts(type: number, second?: number): (key: Key) => boolean {
  return ({ bytes }) => bytes[POS_BYTE] === type && (second === undefined || bytes[POS_BYTE + 1] === second)
}

/** The btrees that follow from others. */
export const ALLOC_INFO = [
  ...[BtreeId.alloc, BtreeId.lru, BtreeId.freespace, BtreeId.needDiscard, BtreeId.backpointers, BtreeId.bucketGens],
  ...[BtreeId.rebalanceWork, BtreeId.accounting],
] as const

function keyOf(bytes: Uint8Array): Key {
  const key = new Key()
  key.bytes.set(bytes)
  return key
}

function first(keys: readonly Key[], choose: (key: Key) => boolean): Key {
  const found = keys.find(choose)
  if (found === undefined) throw new Error('no such key')
  return found
}

function comparePositions(a: Key, b: Key): number {
  for (let i = KEY_POS_AT + 4; i >= KEY_POS_AT; i--) {
    if (a.words[i] !== b.words[i]) return a.words[i] - b.words[i]
  }
  return 0
}
