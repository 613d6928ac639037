/**
 * Volumes of newer versions: made from golden ones by adding what this program can't know. They are read; what is unknown is passed
 * over and told once. Refused, by name, is only what forbids reading. Format chapters 1 (1.2, 3.3, 3.4, 4), 2 (2.3, 2.4), 3 (3.3).
 */

import {
  BtreeId,
  Bset,
  Jset,
  JsetEntryType,
  NodeHeader,
  SuperblockHead,
  VolumeError,
  describeSuperblock,
  printSuperblock,
} from '@cowherd/db'
import { describe, expect, test } from 'vitest'
import { addRecord, editSuperblocks, keysOfBtree, leafRoot, rewriteRoot } from './craft.ts'
import { loadEntry, nextEntry, placeAfter, storeEntry } from './journal-edit.ts'
import { loadNode, setsOf, storeNode } from './node-edit.ts'
import { devicesOf, specimen, type NodeSite, type Specimen } from './specimen.ts'
import { filesOf, listed, listedAll, open, type Opened } from './testing.ts'

const HEAD = SuperblockHead.offsets
const KEY_BYTES = 40
const newer = (minor: number) => (1 << 10) | minor

function errorOf(use: () => unknown): VolumeError {
  try {
    use()
  } catch (error) {
    if (error instanceof VolumeError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

function rootOf(base: Specimen, btree: number): NodeSite {
  const root = leafRoot(base, btree)
  if (root === undefined) throw new Error(`the root of btree ${btree} is no leaf`)
  return root
}

function expectSame({ volume }: Opened, base: Specimen): void {
  const before = open(devicesOf(base)).volume
  expect(listedAll(volume)).toEqual(listedAll(before))
  expect(filesOf(volume)).toEqual(filesOf(before))
}

const base = specimen('default')

describe('newer versions', () => {
  test('a newer minor version opens, and that is told once', () => {
    const devices = devicesOf(base)
    editSuperblocks(base, devices, ({ headView }) => headView.setUint16(HEAD.version, newer(32), true))
    const opened = open(devices)
    expectSame(opened, base)
    expect(opened.notes).toEqual([expect.stringMatching(/^the volume's format version, 1\.32.*is newer than 1\.13/)])
  })

  test('nodes and journal entries of a newer minor version are read', () => {
    const unclean = specimen('unclean-early')
    const devices = devicesOf(unclean)
    for (const { copies, length } of unclean.nodes) {
      const bytes = loadNode(devices[0], copies[0].at, length, unclean.blockBytes, unclean.sealer)
      const view = new DataView(bytes.buffer)
      for (const { bset } of setsOf(bytes, unclean.blockBytes)) {
        view.setUint16(bset + Bset.offsets.version, newer(32), true)
      }
      storeNode(devices, copies, bytes, unclean.blockBytes, unclean.sealer)
    }
    for (const { device, at, length } of unclean.entries) {
      const bytes = loadEntry(devices[device], at, length, unclean.sealer)
      new DataView(bytes.buffer).setUint32(Jset.offsets.version, newer(32), true)
      storeEntry(devices[device], at, bytes, unclean.sealer)
    }
    editSuperblocks(unclean, devices, ({ headView }) => headView.setUint16(HEAD.version, newer(32), true))
    expectSame(open(devices), unclean)
  })

  test('a newer major version is refused by its number', () => {
    const devices = devicesOf(base)
    editSuperblocks(base, devices, ({ headView }) => headView.setUint16(HEAD.version, 2 << 10, true))
    const error = errorOf(() => open(devices))
    expect(error.code).toBe('EOPNOTSUPP')
    expect(error.message).toMatch(/format version 2\.0.* is too new/)
  })

  test('a journal entry of a newer major version is refused by its number', () => {
    const unclean = specimen('unclean-early')
    const devices = devicesOf(unclean)
    const { device, at, length } = unclean.entries[unclean.entries.length - 1]
    const bytes = loadEntry(devices[device], at, length, unclean.sealer)
    new DataView(bytes.buffer).setUint32(Jset.offsets.version, 3 << 10, true)
    storeEntry(devices[device], at, bytes, unclean.sealer)
    const error = errorOf(() => open(devices))
    expect(error.code).toBe('EOPNOTSUPP')
    expect(error.message).toMatch(/journal entry: version 3\.0 is not supported/)
  })

  test('unknown incompatible features are refused by their bits, unknown compatible ones do not matter', () => {
    for (const bit of [19, 40, 63]) {
      const devices = devicesOf(base)
      editSuperblocks(base, devices, (edit) => (edit.features |= 1n << BigInt(bit)))
      const error = errorOf(() => open(devices))
      expect(error.code).toBe('EOPNOTSUPP')
      expect(error.message).toMatch(new RegExp(`unknown incompatible feature bit ${bit}$|bit ${bit}\\)`))
    }
    const devices = devicesOf(base)
    editSuperblocks(base, devices, ({ headView }) => {
      headView.setBigUint64(HEAD.compat, headView.getBigUint64(HEAD.compat, true) | (1n << 40n) | (1n << 5n), true)
      headView.setBigUint64(HEAD.compat + 8, 1n << 63n, true)
    })
    const opened = open(devices)
    expectSame(opened, base)
    expect(opened.notes).toEqual([])
  })
})

describe('what is unknown inside', () => {
  test('superblock sections', () => {
    const devices = devicesOf(base)
    editSuperblocks(base, devices, ({ sections }) => {
      sections.splice(2, 0, { type: 15, payload: new Uint8Array(24).fill(1) })
      sections.push({ type: 200, payload: new Uint8Array(0) })
    })
    const opened = open(devices)
    expectSame(opened, base)
    expect(opened.notes).toEqual([expect.stringMatching(/unknown superblock sections are skipped: .*15.*200/)])
    expect(printSuperblock(opened.volume.superblock, { fields: 'all' })).toMatch(/15\)? \(size 32\)/)
    expect(describeSuperblock(opened.volume.superblock)).toBeDefined()
  })

  test('longer member records', () => {
    const devices = devicesOf(base)
    editSuperblocks(base, devices, (edit) => {
      const section = edit.section('members_v2')
      const old = section.payload
      const stride = old[0] | (old[1] << 8)
      const count = edit.head[HEAD.nrDevices]
      const payload = new Uint8Array(8 + (stride + 24) * count).fill(0xee)
      payload.set(old.subarray(0, 8))
      new DataView(payload.buffer).setUint16(0, stride + 24, true)
      for (let i = 0; i < count; i++) {
        payload.set(old.subarray(8 + i * stride, 8 + (i + 1) * stride), 8 + i * (stride + 24))
      }
      section.payload = payload
    })
    const opened = open(devices)
    expectSame(opened, base)
    expect(opened.volume.superblock.members).toEqual(open(devicesOf(base)).volume.superblock.members)
  })

  test('btrees: their roots are told once', () => {
    const devices = devicesOf(base)
    const sample = rootOf(base, BtreeId.backpointers)
    for (const btree of [21, 62]) {
      editSuperblocks(base, devices, (edit) => {
        const data = sample.pointer.bytes.slice(0, sample.pointer.u64s * 8)
        addRecord(edit, { type: JsetEntryType.btreeRoot, btree, data })
      })
    }
    const { volume, notes } = open(devices)
    expect(notes).toEqual(['btree 21 is of a newer version: skipped', 'btree 62 is of a newer version: skipped'])
    expect(volume.btreeIds.slice(-2)).toEqual([21, 62])
    expect(filesOf(volume)).toEqual(filesOf(open(devicesOf(base)).volume))
    // The node there says that it belongs to another btree.
    expect(() => listed(volume, 62)).toThrow(/^unknown btree 62 level 0 node SPOS_MAX: .*a node of backpointers/)
  })

  test('keys of unknown btrees may have sizes and snapshots', () => {
    const devices = devicesOf(base)
    const sample = rootOf(base, BtreeId.extents)
    const bytes = loadNode(devices[0], sample.copies[0].at, sample.length, base.blockBytes, base.sealer)
    const view = new DataView(bytes.buffer)
    const flags = NodeHeader.offsets.flags
    const btree = 37n
    view.setBigUint64(flags, (view.getBigUint64(flags, true) & ~0xfn) | (btree & 0xfn) | ((btree >> 4n) << 9n), true)
    // In a place where nothing lies: the last bucket before the superblock's copy at the end.
    const free = devices[0].size - (4 << 20)
    const copies = [{ device: 0, at: Math.floor(free / (1 << 20)) * (1 << 20) }]
    storeNode(devices, copies, bytes, base.blockBytes, base.sealer)
    editSuperblocks(base, devices, (edit) => {
      const data = sample.pointer.bytes.slice(0, sample.pointer.u64s * 8)
      const pointer = new DataView(data.buffer)
      pointer.setBigUint64(data.length - 8, BigInt(copies[0].at / 512) * 16n + 1n, true)
      addRecord(edit, { type: JsetEntryType.btreeRoot, btree: 37, data })
    })
    const { volume } = open(devices)
    expect(listed(volume, 37)).toEqual(listed(volume, BtreeId.extents))
  })

  test('root records of btrees that can not be are ignored, and told', () => {
    const devices = devicesOf(base)
    const { pointer } = rootOf(base, BtreeId.lru)
    editSuperblocks(base, devices, (edit) => {
      addRecord(edit, { type: JsetEntryType.btreeRoot, btree: 70, data: pointer.bytes.slice(0, pointer.u64s * 8) })
    })
    const opened = open(devices)
    expectSame(opened, base)
    expect(opened.notes).toEqual([expect.stringMatching(/btree 70.*ignored/)])
  })

  test('key types: told once, listed with their size, passed over by files', () => {
    const devices = devicesOf(base)
    const keys = keysOfBtree(base, devices, BtreeId.xattrs)
    for (const key of keys.slice(0, 3)) key[2] = 35
    keys[3][2] = 255
    rewriteRoot(base, devices, rootOf(base, BtreeId.xattrs), keys)
    const { volume, notes } = open(devices)
    const lines = listed(volume, BtreeId.xattrs)
    expect(lines).toHaveLength(keys.length)
    expect(lines[0]).toMatch(/type 35 .*: \d+ bytes$/)
    expect(notes).toEqual([
      'keys of type 35 are of a newer version: skipped',
      'keys of type 255 are of a newer version: skipped',
    ])
    const files = filesOf(volume)
    expect([...files.keys()]).toEqual([...filesOf(open(devicesOf(base)).volume).keys()])
    expect([...files.values()].filter((text) => text.includes('Error'))).toEqual([])
  })

  test('values that are longer than known', () => {
    const devices = devicesOf(base)
    const grown = [BtreeId.inodes, BtreeId.subvolumes, BtreeId.snapshots, BtreeId.snapshotTrees, BtreeId.backpointers]
    for (const btree of grown) {
      const keys = keysOfBtree(base, devices, btree).map((key) => {
        const longer = new Uint8Array(key.length + 16)
        longer.set(key)
        longer.fill(0x77, key.length)
        longer[0] += 2
        return longer
      })
      rewriteRoot(base, devices, rootOf(base, btree), keys)
    }
    const { volume, notes } = open(devices)
    expect(filesOf(volume)).toEqual(filesOf(open(devicesOf(base)).volume))
    expect(notes).toEqual([])
    const known = open(devicesOf(base)).volume
    const plain = (text: string) => text.replace(/^u64s \d+/, '')
    for (const btree of grown) expect(listed(volume, btree).map(plain)).toEqual(listed(known, btree).map(plain))
  })

  test('records in the section clean and in journal entries', () => {
    const devices = devicesOf(base)
    editSuperblocks(base, devices, (edit) => {
      for (const type of [13, 40, 255]) addRecord(edit, { type, data: new Uint8Array(16).fill(0xaa) })
    })
    expectSame(open(devices), base)

    const unclean = specimen('unclean-early')
    const last = unclean.entries[unclean.entries.length - 1]
    const changed = devicesOf(unclean)
    const record = new Uint8Array(8 + 40).fill(0x33)
    record.set([5, 0, 0, 0, 14, 0, 0, 0])
    const entry = nextEntry(loadEntry(changed[0], last.at, last.length, unclean.sealer), [record])
    const place = placeAfter(unclean, last, entry.length)
    storeEntry(changed[place.device], place.at, entry, unclean.sealer)
    const opened = open(changed)
    expect(opened.volume.journalEntries(false)).toHaveLength(4)
    expectSame(opened, unclean)
  })
})

test('an unpacked, rewritten root is read as the packed one was', () => {
  const devices = devicesOf(base)
  for (const btree of [BtreeId.extents, BtreeId.dirents, BtreeId.xattrs, BtreeId.alloc]) {
    const keys = keysOfBtree(base, devices, btree)
    expect(keys[0].length).toBeGreaterThanOrEqual(KEY_BYTES)
    rewriteRoot(base, devices, rootOf(base, btree), keys)
  }
  expectSame(open(devices), base)
})
