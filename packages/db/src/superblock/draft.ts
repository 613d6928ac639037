/**
 * A superblock in the making: the fixed part and the sections of a volume, to be changed and then encoded for each device and each of
 * its copies. What is unknown in it stays as it is. Format chapter 1, 3, 4.0 and 7.1.
 */

import type { Codecs } from '@cowherd/shim'
import { Checksum, CHECKSUM_BYTES, ChecksumType } from '../checksum.ts'
import { SuperblockError } from '../errors.ts'
import { Flag, flag, putBits, type BitRange } from './flags.ts'
import { LAYOUT_COPIES_MAX, type LayoutRecord } from './layout.ts'
import { BCHFS_MAGIC } from './magic.ts'
import { BLOCK_SIZE_WORD, OPTIONS, type Option, type OptionName, type Options } from './options.ts'
import type { DiskGroup } from './sections/disk-groups.ts'
import { SECTION_NAMES, viewOf, type Section, type SectionName } from './sections/section.ts'
import { SuperblockHead, type Superblock, type SuperblockHeadValue } from './superblock.ts'

const SECTOR = 512

/** What differs between the devices of a volume. */
export interface DevicePart {
  readonly index: number
  readonly layout: LayoutRecord
  /** The device's own sections. */
  readonly sections: readonly Section[]
  /** Types of sections in the order in which they lie on the device; others come behind them. */
  readonly order?: readonly number[]
}

/** Of the fixed part: what is the same on all devices, and stands nowhere else in a draft. */
export type SuperblockIdentity = Pick<
  SuperblockHeadValue,
  'version' | 'versionMin' | 'uuid' | 'userUuid' | 'label' | 'nrDevices' | 'timeBaseLo' | 'timePrecision'
>

export class SuperblockDraft {
  identity: SuperblockIdentity
  seq = 0n
  writeTime = 0n
  features = 0n
  compat = 0n
  /** Labels; they lie in a section of their own. */
  groups: readonly DiskGroup[] = []
  /** The seven flag words, and the block size in sectors. */
  private readonly words: bigint[] = Array.from({ length: BLOCK_SIZE_WORD + 1 }, () => 0n)
  /** Those that all devices have, in their order. */
  private readonly sections: Section[] = []

  private timeBaseHi = 0
  private compatHi = 0n

  constructor(identity: SuperblockIdentity) {
    this.identity = identity
  }

  /** Of a superblock that was read. The devices' own sections are left out. */
  static of(superblock: Superblock): SuperblockDraft {
    const head = SuperblockHead.read(viewOf(superblock.bytes), 0)
    const { version, versionMin, uuid, userUuid, label, nrDevices, timeBaseLo, timePrecision } = head
    const draft = new SuperblockDraft({
      ...{ version, versionMin, uuid, userUuid, label, nrDevices, timeBaseLo, timePrecision },
    })
    draft.timeBaseHi = head.timeBaseHi
    draft.seq = head.seq
    draft.writeTime = head.writeTime
    draft.features = head.features[0]
    draft.compat = head.compat[0]
    draft.compatHi = head.compat[1]
    draft.groups = superblock.diskGroups
    ;[...head.flags, BigInt(head.blockSize)].forEach((word, i) => (draft.words[i] = word))
    for (const section of superblock.sections) {
      if (!isDevicesOwn(section)) draft.sections.push({ type: section.type, bytes: section.bytes.slice() })
    }
    return draft
  }

  /** Throws Malformed if the value isn't valid. */
  setOption<K extends OptionName>(name: K, value: Options[K]): void {
    const option = OPTIONS[name] as unknown as Option<Options[K]>
    option.store(this.words, value)
  }

  setFlag(range: BitRange, value: number): void {
    putBits(this.words, range, BigInt(value))
  }

  /** Throws Malformed if what is stored isn't valid. */
  getOption<K extends OptionName>(name: K): Options[K] {
    const option = OPTIONS[name] as unknown as Option<Options[K]>
    return option.read(this.words)
  }

  getFlag(range: BitRange): number {
    return flag(this.words, range)
  }

  /** Puts a section in the place of the one of its type, or behind all others. */
  setSection(section: Section): void {
    const at = this.sections.findIndex(({ type }) => type === section.type)
    if (at < 0) this.sections.push(section)
    else this.sections[at] = section
  }

  removeSection(name: SectionName): void {
    const at = this.sections.findIndex(({ type }) => type === SECTION_NAMES.indexOf(name))
    if (at >= 0) this.sections.splice(at, 1)
  }

  /**
   * The copy for sector `sector` of a device, with its checksum. Throws SuperblockError ENOSPC if the layout gives it less room.
   */
  encode(device: DevicePart, sector: number, codecs: Codecs): Uint8Array {
    const place = ({ type }: Section): number => {
      const at = device.order?.indexOf(type) ?? -1
      return at < 0 ? Infinity : at
    }
    const sections = [...this.sections, ...device.sections].sort((a, b) =>
      place(a) < place(b) ? -1 : Number(place(a) > place(b)),
    )
    const size = sections.reduce((sum, { bytes }) => sum + bytes.length, SuperblockHead.size)
    if (size > device.layout.maxSectors * SECTOR) {
      const message = `${size} bytes of superblock where there is room for ${device.layout.maxSectors * SECTOR}`
      throw new SuperblockError('ENOSPC', `dev ${device.index}`, message)
    }
    const copy = new Uint8Array(size)
    const flags = this.words.slice(0, BLOCK_SIZE_WORD)
    SuperblockHead.write(new DataView(copy.buffer), 0, {
      ...this.identity,
      csum: new Uint8Array(CHECKSUM_BYTES),
      pad: undefined,
      magic: BCHFS_MAGIC,
      offset: BigInt(sector),
      seq: this.seq,
      blockSize: Number(this.words[BLOCK_SIZE_WORD]),
      devIdx: device.index,
      u64s: (size - SuperblockHead.size) / 8,
      timeBaseHi: this.timeBaseHi,
      flags,
      writeTime: this.writeTime,
      features: [this.features, 0n],
      compat: [this.compat, this.compatHi],
      layout: layoutValue(device.layout),
    })
    let at = SuperblockHead.size
    for (const { bytes } of sections) {
      copy.set(bytes, at)
      at += bytes.length
    }
    const type = this.getFlag(Flag.checksumType)
    if (type !== ChecksumType.none) {
      const checksum = new Checksum(codecs)
      checksum.compute(type, copy.subarray(CHECKSUM_BYTES))
      copy.set(new Uint8Array(checksum.words.buffer))
    }
    return copy
  }
}

/** Whether a section stays on the device that it was read from: its journal, and what we know nothing of. */
export function isDevicesOwn({ type }: Section): boolean {
  const isJournal = type === SECTION_NAMES.indexOf('journal') || type === SECTION_NAMES.indexOf('journal_v2')
  return isJournal || type >= SECTION_NAMES.length
}

/** The layout record as it is stored. */
export function layoutValue({ maxSectors, sectors }: LayoutRecord): SuperblockHeadValue['layout'] {
  return {
    magic: BCHFS_MAGIC,
    layoutType: 0,
    sbMaxSizeBits: Math.log2(maxSectors),
    nrSuperblocks: sectors.length,
    pad: undefined,
    sbOffset: Array.from({ length: LAYOUT_COPIES_MAX }, (_, i) => sectors[i] ?? 0n),
  }
}
