/**
 * Damage of which the outcome is known: what is told, what is refused, and what can still be read. Format chapters 1 (6), 2 (2.6.6),
 * 3 (3.4, 3.5) and 6 (6.5).
 */

import {
  BtreeError,
  BtreeId,
  DataError,
  ExtentPointers,
  JournalError,
  Jset,
  JsetEntry,
  POS_MIN,
  SuperblockError,
  SuperblockHead,
  VolumeError,
  entriesStart,
} from '@cowherd/db'
import { openFileSystem } from '@cowherd/fs'
import { describe, expect, test } from 'vitest'
import { editSuperblocks } from './craft.ts'
import { loadEntry, nextEntry, placeAfter, storeEntry } from './journal-edit.ts'
import { loadNode, setsOf } from './node-edit.ts'
import type { OverlayDevice } from './overlay-device.ts'
import { devicesOf, specimen, type NodeSite, type Specimen } from './specimen.ts'
import { filesOf, listed, listedAll, open } from './testing.ts'

const HEAD = SuperblockHead.offsets

/** Flips a bit of the byte at `at`. */
function flip(device: OverlayDevice, at: number): void {
  const byte = device.bytes(at, 1)
  byte[0] ^= 0x10
  device.overwrite(at, byte)
}

function nodeOf({ nodes }: Specimen, btree: number, level = 0): NodeSite {
  const node = nodes.find((each) => each.btree === btree && each.level === level)
  if (node === undefined) throw new Error(`no node of btree ${btree}`)
  return node
}

function errorOf(use: () => unknown): VolumeError {
  try {
    use()
  } catch (error) {
    if (error instanceof VolumeError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

/** The text of all btrees of an undamaged specimen. */
const intact = (name: string) => listedAll(open(devicesOf(specimen(name))).volume)

describe('btree nodes', () => {
  const replicas = specimen('replicas')
  const inodes = nodeOf(replicas, BtreeId.inodes)

  test('a damaged copy is passed over for the other one, and told', () => {
    const devices = devicesOf(replicas)
    const [first] = inodes.copies
    flip(devices[first.device], first.at + 1000)
    const { volume, notes } = open(devices)
    expect(listedAll(volume)).toEqual(intact('replicas'))
    expect(notes).toEqual([
      expect.stringMatching(
        /^inodes level 0 node SPOS_MAX: dev \d sector \d+: keys at byte 0: checksum crc32c_nonzero is [0-9a-f]+, should be [0-9a-f]+; read from another copy$/,
      ),
    ])
  })

  test('a copy that the medium does not give back is passed over too', () => {
    const devices = devicesOf(replicas)
    const [, second] = inodes.copies
    const [first] = inodes.copies
    devices[first.device].breakRange(first.at, first.at + 4096)
    expect(second).toBeDefined()
    const { volume, notes } = open(devices)
    expect(listed(volume, BtreeId.inodes)).toEqual(intact('replicas').get(BtreeId.inodes))
    expect(notes).toHaveLength(1)
  })

  test('with both copies damaged the error names btree and node; everything else stays readable', () => {
    const devices = devicesOf(replicas)
    for (const { device, at } of inodes.copies) flip(devices[device], at + 1000)
    const { volume } = open(devices)
    const error = errorOf(() => listed(volume, BtreeId.inodes))
    expect(error).toBeInstanceOf(BtreeError)
    expect(error.code).toBe('EIO')
    expect(error.message).toMatch(/^inodes level 0 node SPOS_MAX: dev 0 sector \d+: .*; dev 1 sector \d+: /)
    const expected = intact('replicas')
    for (const btree of volume.btreeIds) {
      if (btree !== BtreeId.inodes) expect(listed(volume, btree)).toEqual(expected.get(btree))
    }
  })

  test('a damaged leaf hides its own keys only', () => {
    const small = specimen('small-nodes')
    const leaves = small.nodes.filter(({ btree, level }) => btree === BtreeId.inodes && level === 0)
    const damaged = leaves[3]
    const devices = devicesOf(small)
    flip(devices[0], damaged.copies[0].at + 500)
    const { volume } = open(devices)
    const cursor = volume.cursor(BtreeId.inodes)
    const seen: string[] = []
    expect(() => {
      for (let found = cursor.seek(POS_MIN); found; found = cursor.next()) seen.push(cursor.key.posText)
    }).toThrow(BtreeError)
    for (let found = cursor.seek(leaves[4].pointer.words.slice(5, 10)); found; found = cursor.next()) {
      seen.push(cursor.key.posText)
    }
    const all = open(devicesOf(small)).volume
    const expected = new Set(listed(all, BtreeId.inodes).map((line) => line.split(' ')[4]))
    expect(seen.every((pos) => expected.has(pos))).toBe(true)
    const { liveKeys } = all.inspectNode(BtreeId.inodes, 0, damaged.pointer)
    const { liveKeys: skipped } = all.inspectNode(BtreeId.inodes, 0, leaves[4].pointer)
    expect(seen.length).toBeGreaterThanOrEqual(expected.size - liveKeys - skipped)
    expect(seen.length).toBeLessThan(expected.size)
  })

  test('two pointers to one node: the wrong one is an error, and no walk goes in circles', () => {
    const small = specimen('small-nodes')
    const [a, b] = small.nodes.filter(({ btree, level }) => btree === BtreeId.dirents && level === 0)
    const devices = devicesOf(small)
    // The second leaf's place on disk holds the first leaf.
    devices[0].overwrite(b.copies[0].at, devices[0].bytes(a.copies[0].at, a.length))
    const error = errorOf(() => listed(open(devices).volume, BtreeId.dirents))
    expect(error.message).toMatch(/^dirents level 0 node .*another node lies there/)
  })
})

describe('file data', () => {
  const replicas = specimen('replicas')

  /** The first file with stored data, and where the copies of its first extent lie. */
  function victim() {
    const { volume } = open(devicesOf(replicas))
    const fs = openFileSystem(volume)
    const cursor = volume.cursor(BtreeId.extents)
    const pointers = new ExtentPointers()
    for (let found = cursor.seek(POS_MIN); found; found = cursor.next()) {
      const start = entriesStart(cursor.key.type)
      if (start < 0 || pointers.decode(cursor.key, start) !== 2 || pointers.csumType[0] === 0) continue
      const places = [0, 1].map((i) => ({ device: pointers.device[i], at: pointers.sector[i] * 512 }))
      for (const [path, text] of filesOf(volume)) {
        const ref = path === '' || text.startsWith('Err') ? undefined : fs.resolve(path, { followLast: false })
        if (ref?.inodeLo === cursor.key.inodeLo) return { path, places }
      }
    }
    throw new Error('no file with two copies')
  }
  const { path, places } = victim()

  test('one damaged copy: read from the other, and told', () => {
    const devices = devicesOf(replicas)
    flip(devices[places[0].device], places[0].at + 77)
    const { volume, notes } = open(devices)
    expect(filesOf(volume)).toEqual(filesOf(open(devicesOf(replicas)).volume))
    expect(notes.join('\n')).toMatch(/dev \d bucket \d+ sector \d+: checksum crc32c is .*; read from another copy/)
  })

  test('both damaged: EIO names file, devices, buckets and checksums; other files are not touched', () => {
    const devices = devicesOf(replicas)
    for (const { device, at } of places) flip(devices[device], at + 77)
    const { volume, notes } = open(devices)
    const fs = openFileSystem(volume)
    const error = errorOf(() => fs.open(fs.resolve(path), path).read(0, new Uint8Array(100)))
    expect(error).toBeInstanceOf(DataError)
    expect(error.code).toBe('EIO')
    const place = String.raw`dev \d bucket \d+ sector \d+: checksum crc32c is [0-9a-f]+, should be [0-9a-f]+`
    expect(error.message).toMatch(new RegExp(`^${path}: ${place}; ${place}$`))
    expect(notes).toContain(error.message)
    const before = filesOf(open(devicesOf(replicas)).volume)
    const after = filesOf(volume)
    const changed = [...before].filter(([name, text]) => after.get(name) !== text).map(([name]) => name)
    expect(changed).toEqual([path])
  })
})

describe('devices', () => {
  test('one of two copies missing: refused with the way out, then everything is there', () => {
    const replicas = specimen('replicas')
    for (const present of [0, 1]) {
      const error = errorOf(() => open([devicesOf(replicas)[present]]))
      expect(error).toBeInstanceOf(SuperblockError)
      expect(error.code).toBe('ENODEV')
      expect(error.message).toMatch(new RegExp(`device ${1 - present} \\(uuid .*is missing: -o degraded opens`))
      const { volume } = open([devicesOf(replicas)[present]], { missing: 'degraded' })
      expect(filesOf(volume)).toEqual(filesOf(open(devicesOf(replicas)).volume))
    }
  })

  test('one of three stripes missing: refused even degraded; very degraded, what lies on the others can be read', () => {
    const striped = specimen('striped')
    const two = () => devicesOf(striped).slice(0, 2)
    for (const missing of ['none', 'degraded'] as const) {
      const error = errorOf(() => open(two(), { missing }))
      expect(error.code).toBe('ENODEV')
      expect(error.message).toMatch(/device 2 \(uuid .*is missing: -o very_degraded opens the volume without/)
    }
    const { volume } = open(two(), { missing: 'very_degraded' })
    const before = filesOf(open(devicesOf(striped)).volume)
    const after = filesOf(volume)
    expect([...after.keys()]).toEqual([...before.keys()])
    const lost = [...after].filter(([, text]) => text.startsWith('DataError'))
    for (const [, text] of lost) expect(text).toMatch(/: dev 2 bucket \d+ sector \d+: the device is missing/)
    const kept = [...after].filter(([name, text]) => before.get(name) === text)
    expect(lost.length).toBeGreaterThan(0)
    expect(kept.length + lost.length).toBe(before.size)
    expect(kept.length).toBeGreaterThan(before.size / 2)
  })

  test('in any order, not twice, and no strangers', () => {
    const replicas = specimen('replicas')
    const [a, b] = devicesOf(replicas)
    expect(listedAll(open([b, a]).volume)).toEqual(intact('replicas'))
    expect(errorOf(() => open([a, b, b])).message).toMatch(/^replicas.1: given twice \(device 1\)/)
    const copy = devicesOf({ ...replicas, deviceNames: ['x', 'copy'] })[1]
    expect(errorOf(() => open([a, b, copy])).message).toMatch(/^copy: the same device as replicas.1/)
    const [stranger] = devicesOf(specimen('tiered'))
    const error = errorOf(() => open([a, stranger]))
    expect(error.code).toBe('EINVAL')
    expect(error.message).toMatch(/belongs to another volume/)
  })

  test('a device that is behind opens; the newest superblock speaks', () => {
    const replicas = specimen('replicas')
    const devices = devicesOf(replicas)
    editSuperblocks(replicas, devices, (edit, device) => {
      const seq = edit.headView.getBigUint64(HEAD.seq, true)
      edit.head.set(new TextEncoder().encode(device === 0 ? 'new\0' : 'old\0'), HEAD.label)
      if (device === 1) edit.headView.setBigUint64(HEAD.seq, seq - 1n, true)
    })
    const { volume } = open(devices)
    expect(new TextDecoder().decode(volume.superblock.label)).toBe('new')
    expect(listedAll(volume)).toEqual(intact('replicas'))
  })

  test('a device that was written without the others is left out: split brain', () => {
    const replicas = specimen('replicas')
    const devices = devicesOf(replicas)
    editSuperblocks(replicas, devices, (edit, device) => {
      const seq = edit.headView.getBigUint64(HEAD.seq, true)
      edit.headView.setBigUint64(HEAD.seq, seq + (device === 0 ? 5n : 3n), true)
    })
    expect(errorOf(() => open(devices)).message).toMatch(/device 1 .*is missing: -o degraded/)
    const { volume, notes } = open(devices, { missing: 'degraded' })
    expect(notes.join('\n')).toMatch(
      /^replicas.1: was written apart from the rest of the volume .*split brain; left out/,
    )
    expect(volume.devices.map((device) => device?.name)).toEqual(['replicas.0', undefined])
  })

  test('a damaged first superblock copy is replaced by the next, all copies damaged is refused with the reasons', () => {
    const volume = specimen('default')
    const devices = devicesOf(volume)
    const [{ sectors }] = volume.superblocks
    flip(devices[0], sectors[0] * 512 + 200)
    expect(listed(open(devices).volume, BtreeId.dirents)).toEqual(intact('default').get(BtreeId.dirents))
    for (const sector of sectors.slice(1)) flip(devices[0], sector * 512 + 200)
    const error = errorOf(() => open(devices))
    expect(error.code).toBe('EIO')
    expect(error.message).toMatch(/^default: no usable superblock \(sector 8: superblock: checksum mismatch/)
  })
})

describe('the journal of a volume that was not shut down', () => {
  const unclean = specimen('unclean')

  function entries() {
    const { volume } = open(devicesOf(unclean))
    return volume.journalEntries(false)
  }
  const newest = entries()[entries().length - 1]
  const bytesAt = (sector: number) => sector * 512

  test('newest entry torn: the state of the one before', () => {
    const devices = devicesOf(unclean)
    const [{ sector }] = newest.places
    devices[0].overwrite(bytesAt(sector) + 4096, new Uint8Array(newest.bytes - 4096))
    const { volume, notes } = open(devices)
    expect(notes).toEqual([`journal entry ${newest.seq} is torn: ignored`])
    // Nothing that only the torn entry said.
    expect(listed(volume, BtreeId.inodes)).not.toEqual(intact('unclean').get(BtreeId.inodes))
    expect([...filesOf(volume).values()].some((text) => text.includes('Error'))).toBe(false)
  })

  test('an entry in the middle damaged: refused, by number', () => {
    const devices = devicesOf(unclean)
    const middle = entries()[6]
    flip(devices[0], bytesAt(middle.places[0].sector) + 300)
    const error = errorOf(() => open(devices))
    expect(error).toBeInstanceOf(JournalError)
    expect(error.message).toBe(`journal entry ${middle.seq}: bad checksum in every copy`)
    // Without the journal's keys there is still something to see.
    expect(() => open(devices, { norecovery: true })).toThrow(JournalError)
  })

  test('an entry in the middle gone, with later ones found: refused', () => {
    const devices = devicesOf(unclean)
    // The last of its bucket: what follows lies in the next one.
    const last = entries()
      .filter(({ places }) => places[0].bucketIndex === newest.places[0].bucketIndex - 1)
      .at(-1)
    if (last === undefined) throw new Error('the journal lies in one bucket')
    devices[0].overwrite(bytesAt(last.places[0].sector), new Uint8Array(4096))
    expect(errorOf(() => open(devices)).message).toBe(
      `journal: entry ${last.seq} is missing (needed: ${newest.lastSeq} to ${newest.seq})`,
    )
  })

  test('the whole journal gone: refused, rather than shown empty', () => {
    const devices = devicesOf(unclean)
    for (const { at, length } of unclean.buckets) devices[0].overwrite(at, new Uint8Array(length))
    const error = errorOf(() => open(devices))
    expect(error).toBeInstanceOf(JournalError)
    expect(error.message).toMatch(/not shut down cleanly, and there are no journal entries/)
  })

  test('entries that were not flushed, behind the newest flushed one, never happened', () => {
    const devices = devicesOf(unclean)
    appendEntry(devices[0], (view) => {
      view.setUint32(Jset.offsets.flags, view.getUint32(Jset.offsets.flags, true) | 0x20, true)
      view.setBigUint64(Jset.offsets.lastSeq, 0n, true)
    })
    const { volume, notes } = open(devices)
    expect(notes).toEqual([`1 journal entry after ${newest.seq} not flushed: ignored`])
    expect(listedAll(volume)).toEqual(intact('unclean'))
  })

  test('a flushed entry that deletes a file is obeyed', () => {
    const devices = devicesOf(unclean)
    appendEntry(devices[0], () => undefined)
    const { volume, notes } = open(devices)
    expect(notes).toEqual([])
    expect(listed(volume, BtreeId.dirents)).toHaveLength((intact('unclean').get(BtreeId.dirents)?.length ?? 0) - 1)
  })

  test('a last_seq beyond its own entry is cut back to it, and told', () => {
    const early = specimen('unclean-early')
    const devices = devicesOf(early)
    const last = open(devicesOf(early)).volume.journalEntries(false).at(-1)
    if (last === undefined) throw new Error('no entries')
    const at = bytesAt(last.places[0].sector)
    const bytes = loadEntry(devices[0], at, last.bytes, early.sealer)
    new DataView(bytes.buffer).setBigUint64(Jset.offsets.lastSeq, 2n ** 63n, true)
    storeEntry(devices[0], at, bytes, early.sealer)
    const { notes } = open(devices)
    expect(notes[0]).toMatch(new RegExp(`^journal entry ${last.seq}: jset_last_seq_newer_than_seq`))
  })

  test('sets of keys with a blacklisted number are ignored', () => {
    const volume = specimen('default')
    const node = volume.nodes.find(({ level, copies, length }) => {
      if (level > 0) return false
      const bytes = loadNode(devicesOf(volume)[0], copies[0].at, length, volume.blockBytes, volume.sealer)
      return setsOf(bytes, volume.blockBytes).length > 1
    })
    if (node === undefined) throw new Error('no node with several sets')
    const before = open(devicesOf(volume)).volume
    const { sets, liveKeys } = before.inspectNode(node.btree, node.level, node.pointer)
    const { journalSeq } = sets[1]
    const devices = devicesOf(volume)
    editSuperblocks(volume, devices, (edit) => {
      const payload = new Uint8Array(16)
      const view = new DataView(payload.buffer)
      view.setBigUint64(0, journalSeq, true)
      view.setBigUint64(8, journalSeq + 1n, true)
      edit.sections.push({ type: 8, payload })
    })
    const after = open(devices).volume.inspectNode(node.btree, node.level, node.pointer)
    const counted = sets.filter((set, i) => i === 0 || set.journalSeq !== journalSeq)
    expect(after.sets).toHaveLength(counted.length)
    expect(after.liveKeys).toBeLessThanOrEqual(liveKeys)
    expect(after.sets.map((set) => set.offsetSectors)).toEqual(counted.map((set) => set.offsetSectors))
  })

  /** Writes an entry behind the newest one that deletes the first dirent; `change` may make it something else. */
  function appendEntry(device: OverlayDevice, change: (view: DataView) => void): void {
    const { volume } = open(devicesOf(unclean))
    const cursor = volume.cursor(BtreeId.dirents)
    cursor.seek(POS_MIN)
    const at = bytesAt(newest.places[0].sector)
    const last = loadEntry(device, at, newest.bytes, unclean.sealer)
    const record = new Uint8Array(JsetEntry.size + 40)
    record[0] = 5
    record[JsetEntry.offsets.btreeId] = BtreeId.dirents
    record.set(cursor.key.bytes.subarray(0, 40), JsetEntry.size)
    record[JsetEntry.size] = 5
    record[JsetEntry.size + 2] = 0
    const bytes = nextEntry(last, [record])
    const view = new DataView(bytes.buffer)
    change(view)
    const place = placeAfter(unclean, { device: 0, at, length: newest.bytes }, bytes.length)
    storeEntry(device, place.at, bytes, unclean.sealer)
  }
})
