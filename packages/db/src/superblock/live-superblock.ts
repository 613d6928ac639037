/**
 * The superblock of a volume that is being written: what it has to say before something else may be written, and when the volume is shut
 * down. Format chapter 1, 7, and 3, 3.8.1.
 *
 * Every method changes memory, and returns whether `write` has to follow before what relies on the change may be written; so changes can be
 * collected and written at once. What could not be written stays to be written.
 */

import { isWritable, type Codecs } from '@cowherd/shim'
import { DataType } from '../data-types.ts'
import { SuperblockError } from '../errors.ts'
import { METADATA_CHECKSUM_TYPES } from '../integrity-seal.ts'
import type { Assembly } from './assemble.ts'
import { coveringOf } from './btree-bitmap.ts'
import { isDevicesOwn, SuperblockDraft } from './draft.ts'
import { COMPAT_FEATURES, FEATURES } from './features.ts'
import { Flag } from './flags.ts'
import { makeBlacklist, withRange, type SeqRange } from './sections/blacklist.ts'
import { makeClean } from './sections/clean.ts'
import { ExtRecord, makeEmptyExt, wideNumber } from './sections/ext.ts'
import { makeJournalBuckets, readJournalBuckets, type JournalBuckets } from './sections/journal-buckets.ts'
import { makeMembers, type Member, type MEMBER_STATES } from './sections/members.ts'
import { makeReplicas, type ReplicasEntry } from './sections/replicas.ts'
import { findSection, SECTION_NAMES, viewOf, type Section } from './sections/section.ts'
import { VERSION_CURRENT, versionText } from './versions.ts'
import { writeSuperblocks, type SuperblockTarget } from './write.ts'

type Feature = (typeof FEATURES)[number]

/** What every volume has that is written, and what it has only until it is shut down. */
const FEATURES_WRITTEN: readonly Feature[] = ['new_extent_overwrite', 'alloc_v2', 'extents_across_btree_nodes']
const FEATURES_DIRTY: readonly Feature[] = ['extents_above_btree_updates', 'btree_updates_journalled']

/** Where the journal of a device goes on after a clean shutdown. */
export interface ShutdownPosition {
  readonly device: number
  /** Index in the device's journal buckets. */
  readonly bucketIndex: number
  readonly sectorsUsed: number
}

export class LiveSuperblock {
  private readonly draft: SuperblockDraft
  private readonly codecs: Codecs
  private readonly nowSeconds: () => bigint
  private readonly blockBytes: number
  private readonly buckets: (JournalBuckets | undefined)[]
  private targets: SuperblockTarget[]
  private all: Member[]
  private replicas: ReplicasEntry[]
  /** Names of the replicas entries that are on the devices. */
  private marked: ReadonlySet<string>
  private ranges: readonly SeqRange[]
  private ext: Section | undefined
  private isChanged = false
  /** Nothing is written: all takes effect at once, later. */
  private isHeld = false

  /**
   * All devices of `assembly` are open for writing. `nowSeconds`: since 1970. Throws SuperblockError EOPNOTSUPP for volumes of another version
   * than 1.13, EROFS for a device that can't be written.
   */
  constructor({ best, devices, superblocks, journalBuckets }: Assembly, codecs: Codecs, nowSeconds: () => bigint) {
    if (best.version !== VERSION_CURRENT || best.versionUpgradeComplete !== VERSION_CURRENT) {
      const message = `a volume of version ${versionText(best.version)} is not written, only those of 1.13 are`
      throw new SuperblockError('EOPNOTSUPP', '', message)
    }
    const strange = best.members.find(({ state }) => state === 'unknown')
    if (strange !== undefined) throw new SuperblockError('EOPNOTSUPP', `device ${strange.index}`, 'in no known state')
    this.draft = SuperblockDraft.of(best)
    this.codecs = codecs
    this.nowSeconds = nowSeconds
    this.blockBytes = best.blockSectors * 512
    this.buckets = [...journalBuckets]
    this.targets = []
    devices.forEach((device, index) => {
      const superblock = superblocks[index]
      if (device === undefined || superblock === undefined) return
      if (!isWritable(device)) throw new SuperblockError('EROFS', device.name, 'open for reading only')
      const { layout, sections } = superblock
      const order = sections.map(({ type }) => type)
      this.targets.push({ device, index, layout, sections: sections.filter(isDevicesOwn), order })
    })
    this.all = [...best.members]
    this.replicas = [...best.replicas]
    this.marked = new Set(this.replicas.map(replicasName))
    this.ranges = best.blacklist
    this.ext = findSection(best.sections, 'ext')
  }

  /** Whether the devices have all that was changed. */
  get isWritten(): boolean {
    return !this.isChanged
  }

  /** Of the last write. */
  get seq(): bigint {
    return this.draft.seq
  }

  get isClean(): boolean {
    return this.draft.getFlag(Flag.clean) === 1
  }

  /** All slots by index. */
  get members(): readonly Member[] {
    return this.all
  }

  get blacklist(): readonly SeqRange[] {
    return this.ranges
  }

  /** Recovery passes that must run at the next start: bit = stable pass id. */
  get passesRequired(): bigint {
    return this.ext === undefined ? 0n : wideNumber(ExtRecord.readPadded(this.ext.bytes).recoveryPassesRequired)
  }

  /** The journal of a device; undefined if it is missing. */
  journalBuckets(device: number): JournalBuckets | undefined {
    return this.buckets[device]
  }

  /** Before the first write to a volume. It has to be written although it may say so already: the last user may have crashed. */
  markDirty(): boolean {
    const { draft } = this
    draft.setFlag(Flag.clean, 0)
    draft.features |= featureBits([...FEATURES_WRITTEN, ...FEATURES_DIRTY])
    const now = this.nowSeconds()
    for (const { index } of this.targets) this.setMember(index, { lastMount: now })
    return this.changed()
  }

  /**
   * After the last write to a volume, when nothing is pinned any more. `journalSeq`: of the last entry, which has no keys; `records`: those of
   * the section `clean`; `journalDevices`: those that have that entry, ascending; no others are needed for the journal any more.
   */
  markClean(
    journalSeq: number,
    records: Uint8Array,
    positions: readonly ShutdownPosition[],
    journalDevices: readonly number[],
  ): boolean {
    const { draft } = this
    draft.setFlag(Flag.clean, 1)
    draft.features &= ~featureBits(FEATURES_DIRTY)
    draft.compat |= compatBit('alloc_info') | compatBit('alloc_metadata')
    draft.setSection(makeClean(BigInt(journalSeq), records))
    for (const { device, bucketIndex, sectorsUsed } of positions) {
      this.setMember(device, { lastJournalBucket: bucketIndex, lastJournalBucketSectors: sectorsUsed })
    }
    const needed = journalDevices.join()
    this.replicas = this.replicas.filter(
      ({ dataType, devices }) => dataType !== DataType.journal || sorted(devices).join() === needed,
    )
    this.storeReplicas()
    return this.changed()
  }

  /** Before data of a type go to a set of devices that didn't hold any together. `devices` in any order, each once. */
  addReplicas(entry: ReplicasEntry): boolean {
    const name = replicasName(entry)
    if (this.replicas.some((each) => replicasName(each) === name)) return this.isChanged
    this.replicas.push({ ...entry, devices: sorted(entry.devices) })
    this.storeReplicas()
    return this.changed()
  }

  /** Whether the devices know that data of the type lie on this set of devices. */
  hasReplicas(entry: ReplicasEntry): boolean {
    return this.marked.has(replicasName(entry))
  }

  /** Before a btree node in these sectors can be reached. */
  coverNode(device: number, sector: number, sectors: number): boolean {
    const { btreeBitmap, btreeBitmapShift, bucketCount, bucketSectors } = this.member(device)
    const bitmap = { bits: btreeBitmap, shift: btreeBitmapShift }
    const { bits, shift } = coveringOf(bitmap, sector, sector + sectors, bucketCount * bucketSectors)
    if (bits === btreeBitmap && shift === btreeBitmapShift) return this.isChanged
    this.setMember(device, { btreeBitmap: bits, btreeBitmapShift: shift })
    return this.changed()
  }

  /** Before the journal is written after a crash: numbers from `start` up to but not including `end` never count. */
  addBlacklist(start: number, end: number): boolean {
    const range = { start: BigInt(start), end: BigInt(end) }
    if (range.start >= range.end) throw new RangeError(`sequence numbers from ${start} to ${end}`)
    if (this.ranges.some((each) => each.start <= range.start && range.end <= each.end)) return this.isChanged
    this.ranges = withRange(this.ranges, range)
    this.draft.setSection(makeBlacklist(this.ranges))
    this.draft.features |= featureBits(['journal_seq_blacklist_v3'])
    return this.changed()
  }

  /** Before a feature is used for the first time. */
  addFeature(feature: Feature): boolean {
    const bits = featureBits([feature])
    if ((this.draft.features & bits) === bits) return this.isChanged
    this.draft.features |= bits
    return this.changed()
  }

  /** When the freespace btree covers the device. */
  setFreespaceInitialized(device: number): boolean {
    if (this.member(device).freespaceInitialized) return this.isChanged
    this.setMember(device, { freespaceInitialized: true })
    return this.changed()
  }

  /** What the next start has to do. */
  setPassesRequired(passes: bigint): boolean {
    if (passes === this.passesRequired) return this.isChanged
    const { type, bytes } = this.ext ?? makeEmptyExt()
    const copy = bytes.slice()
    const at = ExtRecord.offsets.recoveryPassesRequired
    ExtRecord.fields.recoveryPassesRequired.write(viewOf(copy), at, [BigInt.asUintN(64, passes), passes >> 64n])
    this.ext = { type, bytes: copy }
    this.draft.setSection(this.ext)
    return this.changed()
  }

  /** When a new volume's first start has put everything there that it needs: nothing is written before. */
  setInitialized(): boolean {
    const { draft } = this
    if (draft.getFlag(Flag.initialized) === 1) return this.isChanged
    draft.setFlag(Flag.initialized, 1)
    draft.setFlag(Flag.versionUpgradeComplete, VERSION_CURRENT)
    draft.compat |= compatBit('extents_above_btree_updates_done') | compatBit('bformat_overflow_done')
    if (this.ext === undefined) {
      this.ext = makeEmptyExt()
      draft.setSection(this.ext)
    }
    return this.changed()
  }

  setState(device: number, state: (typeof MEMBER_STATES)[number]): boolean {
    if (this.member(device).state === state) return this.isChanged
    this.setMember(device, { state })
    return this.changed()
  }

  /** The buckets of a device's journal, in ring order. */
  setJournalBuckets(device: number, buckets: readonly number[]): boolean {
    const section = makeJournalBuckets(buckets)
    const types = [section.type, SECTION_NAMES.indexOf('journal')]
    this.targets = this.targets.map((target) => {
      if (target.index !== device) return target
      return { ...target, sections: [...target.sections.filter(({ type }) => !types.includes(type)), section] }
    })
    this.buckets[device] = readJournalBuckets([section], this.member(device))
    return this.changed()
  }

  /** Lets `write` do nothing until `release`: all changes take effect together. */
  hold(): void {
    this.isHeld = true
  }

  /**
   * Writes everything. `first`: a device of which those on the others don't know yet; it has all its copies before any other is touched, so
   * that whoever finds one that names the device finds the device. Throws as `write` does.
   */
  release(first: number | undefined): void {
    this.isHeld = false
    const { targets } = this
    if (first !== undefined) {
      this.targets = targets.filter(({ index }) => index === first)
      try {
        this.write()
      } finally {
        this.targets = targets
      }
    }
    this.write()
  }

  /** Writes no more to a device that has failed. */
  leaveOut(device: number): void {
    this.targets = this.targets.filter(({ index }) => index !== device)
  }

  /**
   * Writes all copies on all devices, whether anything was changed or not. Nothing happens until a new volume is initialized. Throws
   * DeviceError: then some devices may have it; SuperblockError ENOSPC if the layout has too little room, EIO if no device is left.
   */
  write(): void {
    const { draft, targets } = this
    if (this.isHeld || draft.getFlag(Flag.initialized) === 0) return
    if (targets.length === 0) throw new SuperblockError('EIO', '', 'no device is left to write it to')
    this.isChanged = true
    draft.seq += 1n
    draft.writeTime = this.nowSeconds()
    // A device that fails now may have it all the same; its record says so from now on.
    for (const { index } of targets) this.setMember(index, { seq: draft.seq })
    for (const section of makeMembers(this.all)) draft.setSection(section)
    draft.setFlag(Flag.checksumType, METADATA_CHECKSUM_TYPES[draft.getOption('metadataChecksum')])
    writeSuperblocks(draft, targets, this.blockBytes, this.codecs)
    this.isChanged = false
    this.marked = new Set(this.replicas.map(replicasName))
  }

  private changed(): true {
    this.isChanged = true
    return true
  }

  /** One of the two sections has them all. */
  private storeReplicas(): void {
    const section = makeReplicas(this.replicas)
    const isOld = section.type === SECTION_NAMES.indexOf('replicas_v0')
    this.draft.removeSection(isOld ? 'replicas' : 'replicas_v0')
    this.draft.setSection(section)
  }

  private member(device: number): Member {
    const member = device < this.all.length ? this.all[device] : undefined
    if (member?.alive !== true) throw new RangeError(`there is no device ${device}`)
    return member
  }

  private setMember(device: number, change: Partial<Member>): void {
    this.all[device] = { ...this.member(device), ...change }
  }
}

function featureBits(names: readonly Feature[]): bigint {
  return names.reduce((bits, name) => bits | (1n << BigInt(FEATURES.indexOf(name))), 0n)
}

function compatBit(name: (typeof COMPAT_FEATURES)[number]): bigint {
  return 1n << BigInt(COMPAT_FEATURES.indexOf(name))
}

function replicasName({ dataType, required, devices }: ReplicasEntry): string {
  return `${dataType}:${required}:${sorted(devices).join()}`
}

function sorted(devices: readonly number[]): number[] {
  return [...devices].sort((a, b) => a - b)
}
