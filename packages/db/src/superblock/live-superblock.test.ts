import { DeviceError, nativeCodecs } from '@cowherd/shim'
import { memoryStore } from '@cowherd/store'
import { beforeEach, describe, expect, test } from 'vitest'
import { DataType } from '../data-types.ts'
import { makeVolume } from '../new-volume/make-volume.ts'
import { Disk } from '../testing/disk.ts'
import { assemble } from './assemble.ts'
import { SuperblockDraft } from './draft.ts'
import { hasFeature } from './features.ts'
import { LiveSuperblock } from './live-superblock.ts'
import { readSuperblock } from './read.ts'
import { passBits } from './recovery-passes.ts'
import { withRange } from './sections/blacklist.ts'
import type { Superblock } from './superblock.ts'
import { writeSuperblocks } from './write.ts'

const codecs = nativeCodecs()
const MIB = 2 ** 20
const NOW = 1_700_000_000n
const JOURNAL = { dataType: DataType.journal, required: 1, devices: [1, 0] }

let disks: Disk[] = []

beforeEach(() => {
  disks = [new Disk(16 * MIB, 'a'), new Disk(16 * MIB, 'b')]
  makeVolume(
    disks.map((device) => ({ device, blockBytes: 4096 })),
    { codecs, random: (bytes) => void bytes.fill(7), nowNs: 5n, fill: () => undefined },
  )
})

const read = (index = 0, sector?: number): Superblock =>
  sector === undefined ? readSuperblock(disks[index], codecs) : readSuperblock(disks[index], codecs, sector)

const assembled = () => assemble(disks.map((device) => ({ device, superblock: readSuperblock(device, codecs) })))

const open = (): LiveSuperblock => new LiveSuperblock(assembled(), codecs, () => NOW)

describe('the superblock of a volume in use', () => {
  test('says so, until the volume is shut down', () => {
    const live = open()
    expect([live.isClean, live.isWritten]).toEqual([true, true])
    expect(live.markDirty()).toBe(true)
    expect([live.isClean, live.isWritten, read().clean]).toEqual([false, false, true])
    live.write()
    expect(live.isWritten).toBe(true)
    for (const index of [0, 1]) {
      const { clean, features, members, seq, writeTime, cleanSection } = read(index)
      expect({ clean, seq, writeTime }).toEqual({ clean: false, seq: 2n, writeTime: NOW })
      expect(features & 0x63200n).toBe(0x63200n)
      expect(cleanSection?.journalSeq).toBe(1n) // stale
      expect(members.map((member) => [member.seq, member.lastMount])).toEqual([
        [2n, NOW],
        [2n, NOW],
      ])
    }
    const positions = [
      { device: 0, bucketIndex: 3, sectorsUsed: 16 },
      { device: 1, bucketIndex: 5, sectorsUsed: 0 },
    ]
    live.markClean(17, new Uint8Array(24), positions, [0])
    live.write()
    const { clean, features, compat, members, cleanSection } = read(1)
    expect({ clean, compat }).toEqual({ clean: true, compat: 15n })
    expect(features & 0x3000n).toBe(0n)
    expect(features & 0x60200n).toBe(0x60200n)
    expect(cleanSection?.journalSeq).toBe(17n)
    expect(members.map((member) => [member.lastJournalBucket, member.lastJournalBucketSectors])).toEqual([
      [3, 16],
      [5, 0],
    ])
    expect(assembled().notes).toEqual([])
  })

  test('is written to all places', () => {
    const live = open()
    live.write()
    for (const index of [0, 1]) {
      const { layout } = read(index)
      expect(layout.sectors).toHaveLength(3)
      for (const sector of layout.sectors) {
        expect(read(index, Number(sector))).toMatchObject({ seq: 2n, sector: Number(sector), deviceIndex: index })
      }
    }
    expect(disks[0].log.slice(-6).map((line) => line.replace(/ .*/, ''))).toEqual([
      ...['write', 'flush'],
      ...['write', 'flush'],
      ...['write', 'flush'],
    ])
  })

  test('names which devices hold what', () => {
    const live = open()
    expect(live.hasReplicas(JOURNAL)).toBe(false)
    expect(live.addReplicas(JOURNAL)).toBe(true)
    expect(live.hasReplicas(JOURNAL)).toBe(false) // not on the devices
    live.write()
    expect(live.hasReplicas({ ...JOURNAL, devices: [0, 1] })).toBe(true)
    expect(live.addReplicas(JOURNAL)).toBe(false)
    const before = read(1).replicas
    expect(before).toContainEqual({ dataType: DataType.journal, required: 1, devices: [0, 1] })
    // another section holds them from now on
    const parity = { dataType: DataType.parity, required: 0, devices: [1] }
    live.addReplicas(parity)
    live.write()
    expect(read().replicas).toEqual([...before, parity])
    expect(open().hasReplicas(parity)).toBe(true)
  })

  test('says where btree nodes may lie', () => {
    const live = open()
    const { btreeBitmap, btreeBitmapShift } = live.members[1]
    const bit = [...Array(64).keys()].findLast((at) => ((btreeBitmap >> BigInt(at)) & 1n) === 1n) ?? 0
    expect(live.coverNode(1, bit * 2 ** btreeBitmapShift, 1)).toBe(false)
    expect(live.coverNode(1, (bit + 1) * 2 ** btreeBitmapShift, 256)).toBe(true)
    live.write()
    expect(read().members[1].btreeBitmap).not.toBe(btreeBitmap)
    expect(live.coverNode(1, (bit + 1) * 2 ** btreeBitmapShift, 256)).toBe(false)
    expect(() => live.coverNode(2, 0, 1)).toThrow(RangeError)
  })

  test('gives up sequence numbers', () => {
    const live = open()
    expect(hasFeature(read().features, 'journal_seq_blacklist_v3')).toBe(false)
    live.addBlacklist(20, 28)
    live.addBlacklist(5, 9)
    live.write()
    expect(read().blacklist).toEqual([
      { start: 5n, end: 9n },
      { start: 20n, end: 28n },
    ])
    expect(hasFeature(read().features, 'journal_seq_blacklist_v3')).toBe(true)
    expect(live.addBlacklist(21, 28)).toBe(false)
    const next = open()
    next.addBlacklist(28, 30)
    next.write()
    expect(read(1).blacklist).toEqual([
      { start: 5n, end: 9n },
      { start: 20n, end: 30n },
    ])
    expect(next.blacklist).toEqual(read(1).blacklist)
    expect(() => next.addBlacklist(9, 9)).toThrow(RangeError)
  })

  test('knows the rest of it', () => {
    const live = open()
    const passes = passBits('check_allocations', 'check_unreachable_inodes')
    expect([live.setPassesRequired(0n), live.setInitialized(), live.setFreespaceInitialized(0)]).toEqual([
      ...[false, false, false],
    ])
    expect([live.setPassesRequired(passes), live.setState(1, 'ro'), live.addFeature('reflink')]).toEqual([
      ...[true, true, true],
    ])
    expect(live.journalBuckets(0)?.count).toBe(8)
    live.setJournalBuckets(0, [40, 41, 50])
    live.write()
    expect(read(1).members.map(({ state }) => state)).toEqual(['rw', 'ro'])
    expect(read(1)).toMatchObject({ ext: { passesRequired: passes }, journalBuckets: { count: 8 } })
    expect(hasFeature(read().features, 'reflink')).toBe(true)
    const runs = [
      { start: 40, count: 2 },
      { start: 50, count: 1 },
    ]
    expect([live.journalBuckets(0), read().journalBuckets]).toEqual([
      { runs, count: 3 },
      { runs, count: 3 },
    ])
    live.setPassesRequired(0n)
    live.write()
    expect([live.passesRequired, read().ext?.passesRequired]).toEqual([0n, 0n])
    expect([live.addFeature('reflink'), live.setState(1, 'ro')]).toEqual([false, false])
  })

  test('keeps what it does not know, each device its own', () => {
    const unknown = (byte: number) => {
      const bytes = new Uint8Array(16).fill(byte, 8)
      new DataView(bytes.buffer).setUint32(0, 2, true)
      new DataView(bytes.buffer).setUint32(4, 99, true)
      return { type: 99, bytes }
    }
    const { best, superblocks } = assembled()
    const draft = SuperblockDraft.of(best)
    const targets = superblocks.map((superblock, index) => ({
      ...{ index, device: disks[index], layout: superblock?.layout ?? best.layout },
      sections: [unknown(index + 1), ...(superblock?.sections.filter(({ type }) => type === 9) ?? [])],
    }))
    writeSuperblocks(draft, targets, 4096, codecs)
    const order = (index: number) => read(index).sections.map(({ type }) => type)
    const before = order(0)
    const live = open()
    live.markDirty()
    live.write()
    expect(order(0)).toEqual(before)
    for (const index of [0, 1]) {
      expect(read(index).sections.filter(({ type }) => type === 99)).toEqual([unknown(index + 1)])
      expect(read(index).journalBuckets.count).toBe(8)
    }
  })
})

describe('what can not be written', () => {
  test('stays to be written', () => {
    const live = open()
    live.addReplicas(JOURNAL)
    disks[1].failsWrites = true
    expect(() => live.write()).toThrow(DeviceError)
    expect([live.isWritten, live.hasReplicas(JOURNAL), live.addReplicas(JOURNAL)]).toEqual([false, false, true])
    live.leaveOut(1)
    live.setState(1, 'failed')
    live.write()
    expect([live.isWritten, live.hasReplicas(JOURNAL)]).toEqual([true, true])
    expect(read().seq).toBe(3n)
    expect(read(1).seq).toBe(1n)
    expect(assembled().notes).toEqual([]) // it is known that the other one stayed behind
    live.leaveOut(0)
    expect(() => live.write()).toThrow('no device is left')
  })

  test('devices that are open for reading', () => {
    const readOnly = disks.map(({ bytes, name }) => memoryStore(bytes, name))
    const assembly = assemble(readOnly.map((device) => ({ device, superblock: readSuperblock(device, codecs) })))
    expect(() => new LiveSuperblock(assembly, codecs, () => NOW)).toThrow('open for reading only')
  })

  test('volumes of other versions, and members in an unknown state', () => {
    const { best, ...rest } = assembled()
    const older = { ...best, version: 1036 }
    expect(() => new LiveSuperblock({ best: older, ...rest }, codecs, () => NOW)).toThrow('only those of 1.13 are')
    const strange = { ...best, members: best.members.map((member) => ({ ...member, state: 'unknown' as const })) }
    expect(() => new LiveSuperblock({ best: strange, ...rest }, codecs, () => NOW)).toThrow('in no known state')
  })

  test('a new volume, before its first start has come to its end', () => {
    disks = [new Disk(16 * MIB)]
    makeVolume([{ device: disks[0], blockBytes: 4096 }], { codecs, random: (bytes) => void bytes.fill(7), nowNs: 5n })
    const { best, ...rest } = assembled()
    const live = new LiveSuperblock({ best, ...rest }, codecs, () => NOW)
    live.setJournalBuckets(0, [17, 18, 19, 20])
    live.markDirty()
    live.write()
    expect([live.isWritten, read().seq]).toEqual([false, best.seq])
    live.setPassesRequired(passBits('check_nlinks'))
    live.setInitialized()
    live.write()
    expect(read()).toMatchObject({ initialized: true, clean: false, ext: { passesRequired: passBits('check_nlinks') } })
    expect(read()).toMatchObject({ journalBuckets: { count: 4 }, compat: 12n })
  })
})

test.each<[[number, number][], [number, number], [number, number][]]>([
  [[], [1, 2], [[1, 2]]],
  [[[5, 9]], [1, 4], [[1, 4], [5, 9]]], // prettier-ignore
  [[[5, 9]], [1, 5], [[1, 9]]],
  [[[5, 9]], [9, 12], [[5, 12]]],
  [[[5, 9]], [6, 7], [[5, 9]]],
  [[[5, 9], [11, 13], [20, 21]], [8, 11], [[5, 13], [20, 21]]], // prettier-ignore
  [[[5, 9], [11, 13], [20, 21]], [1, 30], [[1, 30]]], // prettier-ignore
])('ranges %j with %j are %j', (before, added, after) => {
  const range = ([start, end]: [number, number]) => ({ start: BigInt(start), end: BigInt(end) })
  expect(withRange(before.map(range), range(added))).toEqual(after.map(range))
})
