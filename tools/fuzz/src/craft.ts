/**
 * Volumes made to order from golden ones: a btree with other keys, other records in the section `clean`. For tests, and for the mutators
 * that change lengths. Only for volumes that were shut down cleanly: there the superblock says where the roots are.
 */

import { Bset, BtreePtrV2, JsetEntry, JsetEntryType, KEY_BYTES, NodeHeader, openVolume, POS_MIN } from '@cowherd/db'
import { fuzzCodecs } from './codecs.ts'
import { loadNode, storeNode } from './node-edit.ts'
import type { OverlayDevice } from './overlay-device.ts'
import type { NodeSite, Specimen } from './specimen.ts'
import { storeSuperblock, SuperblockEdit } from './superblock-edit.ts'

const SECTOR = 512
/** Bytes of the section `clean` before its records, without the section's header. */
export const CLEAN_HEAD_BYTES = 16
const FORMAT_CURRENT = 1

/** Changes the superblock of each device, in all its copies. */
export function editSuperblocks(
  { superblocks, sealer }: Specimen,
  devices: readonly OverlayDevice[],
  change: (edit: SuperblockEdit, device: number) => void,
): void {
  for (const { device, sectors } of superblocks) {
    const edit = readEdit(devices[device], sectors[0])
    change(edit, device)
    storeSuperblock(devices[device], edit, sectors, sealer)
  }
}

const U64S_AT = 124
const HEAD_BYTES = 752
const SUPERBLOCK_BYTES_MAX = 1 << 20

function readEdit(device: OverlayDevice, sector: number): SuperblockEdit {
  const u64s = new DataView(device.bytes(sector * SECTOR + U64S_AT, 4).buffer).getUint32(0, true)
  return new SuperblockEdit(device.bytes(sector * SECTOR, Math.min(SUPERBLOCK_BYTES_MAX, HEAD_BYTES + u64s * 8)))
}

/** All keys of the leaves of a btree, unpacked, whiteouts included. */
export function keysOfBtree(specimen: Specimen, devices: readonly OverlayDevice[], btree: number): Uint8Array[] {
  const volume = openVolume(devices, { codecs: fuzzCodecs, passphrase: () => specimen.passphrase })
  const cursor = volume.cursor(btree)
  const keys: Uint8Array[] = []
  for (let found = cursor.seek(POS_MIN); found; found = cursor.next()) {
    keys.push(cursor.key.bytes.slice(0, cursor.key.u64s * 8))
  }
  return keys
}

/** The root of a btree, if that is a leaf. */
export function leafRoot({ nodes }: Specimen, btree: number): NodeSite | undefined {
  return nodes.find((node) => node.btree === btree && node.isRoot && node.level === 0)
}

/** True if `keys` fit a node of this volume in unpacked form. */
export function fits({ nodeBytes }: Specimen, keys: readonly Uint8Array[]): boolean {
  return NodeHeader.size + keys.reduce((sum, key) => sum + key.length, 0) <= nodeBytes
}

/**
 * Writes `keys` (unpacked, sorted, as they are to lie there) as the only ones of a btree whose root is a leaf: one set, in the old
 * node's place. Everything else about the node stays, `header` may change that too.
 */
export function rewriteRoot(
  specimen: Specimen,
  devices: readonly OverlayDevice[],
  root: NodeSite,
  keys: readonly Uint8Array[],
  header: (bytes: Uint8Array) => void = () => undefined,
): void {
  const { blockBytes, sealer } = specimen
  const [copy] = root.copies
  const old = loadNode(devices[copy.device], copy.at, root.length, blockBytes, sealer)
  const size = keys.reduce((sum, key) => sum + key.length, 0)
  const bytes = new Uint8Array(Math.ceil((NodeHeader.size + size) / blockBytes) * blockBytes)
  bytes.set(old.subarray(0, NodeHeader.size))
  let at = NodeHeader.size
  for (const key of keys) {
    bytes.set(key, at)
    bytes[at + 1] = FORMAT_CURRENT
    at += key.length
  }
  new DataView(bytes.buffer).setUint16(NodeHeader.offsets.bset + Bset.offsets.u64s, size / 8, true)
  header(bytes)
  storeNode(devices, root.copies, bytes, blockBytes, sealer)
  editSuperblocks(specimen, devices, (edit) => setSectorsWritten(edit, root.btree, bytes.length / SECTOR))
}

function setSectorsWritten(edit: SuperblockEdit, btree: number, sectors: number): void {
  const clean = edit.find('clean')
  if (clean === undefined) return
  const { payload } = clean
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length)
  for (const record of recordsOf(payload)) {
    if (payload[record + JsetEntry.offsets.type] !== JsetEntryType.btreeRoot) continue
    if (payload[record + JsetEntry.offsets.btreeId] !== btree) continue
    view.setUint16(record + JsetEntry.size + KEY_BYTES + BtreePtrV2.offsets.sectorsWritten, sectors, true)
  }
}

/** Where the records of the section `clean` start. */
export function recordsOf(payload: Uint8Array): number[] {
  const starts: number[] = []
  for (let at = CLEAN_HEAD_BYTES; at + JsetEntry.size <= payload.length;) {
    starts.push(at)
    at += JsetEntry.size + (payload[at] | (payload[at + 1] << 8)) * 8
  }
  return starts
}

/** Adds a record at the end of the section `clean`. */
export function addRecord(
  edit: SuperblockEdit,
  { type, btree = 0, level = 0, data }: { type: number; btree?: number; level?: number; data: Uint8Array },
): void {
  const clean = edit.section('clean')
  const record = new Uint8Array(JsetEntry.size + data.length)
  new DataView(record.buffer).setUint16(JsetEntry.offsets.u64s, data.length / 8, true)
  record[JsetEntry.offsets.btreeId] = btree
  record[JsetEntry.offsets.level] = level
  record[JsetEntry.offsets.type] = type
  record.set(data, JsetEntry.size)
  const payload = new Uint8Array(clean.payload.length + record.length)
  payload.set(clean.payload)
  payload.set(record, clean.payload.length)
  clean.payload = payload
}
