/**
 * The superblock: what a volume says of itself. Every device has several copies; nearly all of it is the same on every
 * device. A fixed part of 752 bytes is followed by sections (`sections/`). Format chapter 1, 3.
 *
 * A `Superblock` here is one that was read and found valid in whole (`readSuperblock`), or the common one of several
 * devices (`assemble`). It is never changed.
 */

import { array, bytes, pad, struct, u16, u32, u64, u8, type ValueOf } from '@cowherd/kernel-lib'
import { Layout, type LayoutRecord } from './layout.ts'
import type { Options } from './options.ts'
import type { SeqRange } from './sections/blacklist.ts'
import type { CleanSection } from './sections/clean.ts'
import type { CryptSection } from './sections/crypt.ts'
import type { DiskGroup } from './sections/disk-groups.ts'
import type { DowngradeEntry } from './sections/downgrade.ts'
import type { ErrorCount } from './sections/errors.ts'
import type { ExtSection } from './sections/ext.ts'
import type { JournalBuckets } from './sections/journal-buckets.ts'
import type { Member } from './sections/members.ts'
import type { QuotaLimits } from './sections/quota.ts'
import type { ReplicasEntry } from './sections/replicas.ts'
import type { Section } from './sections/section.ts'

/** Sector of the first copy, unless another place is given by hand. */
export const SUPERBLOCK_SECTOR = 8

/** The fixed part, 752 bytes. */
export const SuperblockHead = struct({
  csum: bytes(16), // of all behind it; type in flags[0]
  version: u16,
  versionMin: u16,
  pad: pad(4),
  magic: bytes(16),
  uuid: bytes(16),
  userUuid: bytes(16),
  label: bytes(32),
  offset: u64, // sector of this copy
  seq: u64,
  blockSize: u16, // sectors
  devIdx: u8,
  nrDevices: u8,
  u64s: u32, // size of the sections area
  timeBaseLo: u64,
  timeBaseHi: u32,
  timePrecision: u32,
  flags: array(u64, 7),
  writeTime: u64,
  features: array(u64, 2),
  compat: array(u64, 2),
  layout: Layout,
})

export type SuperblockHeadValue = ValueOf<typeof SuperblockHead>

/** One superblock, read and valid. Sections that are absent are empty lists, or undefined where that makes a difference. */
export interface Superblock {
  /** All its bytes as they lie on the device: fixed part and sections. Preserves what we don't know. */
  readonly bytes: Uint8Array
  /** Sector this copy was read at. */
  readonly sector: number
  /** What is wrong with the copies that were looked at before this one, a sentence each. */
  readonly badCopies: readonly string[]

  /** Format version in use, `major << 10 | minor`. */
  readonly version: number
  /** Oldest version of any structure still on the volume. */
  readonly versionMin: number
  /** Version whose upgrade passes are done; equals `version` where the field is 0. */
  readonly versionUpgradeComplete: number
  /** True if the minor version is newer than the one described: to be read only, unknown things to be skipped. */
  readonly newerMinor: boolean

  /** Internal uuid (16 bytes): never changes; seeds magic numbers and nonces. */
  readonly uuid: Uint8Array
  /** External uuid (16 bytes): what users see. */
  readonly userUuid: Uint8Array
  /** The filesystem's name, 0 to 32 bytes, without padding. */
  readonly label: Uint8Array

  /** Raised by every superblock write. The device with the greatest one speaks for the volume. */
  readonly seq: bigint
  /** Seconds since 1970 of this write, 0 if unknown. */
  readonly writeTime: bigint
  /** Size of a block in sectors: 1 to 8. */
  readonly blockSectors: number
  /** Index of the device that this superblock is on. */
  readonly deviceIndex: number
  /** Number of member slots, dead ones included: 1 to 64. */
  readonly deviceCount: number
  /** Creation time in ns since 1970; inode times count from here. */
  readonly timeBaseNs: bigint
  /** ns per unit of inode times. */
  readonly timePrecisionNs: number

  /** The raw bitfields, as stored. */
  readonly flags: readonly bigint[]
  /** Incompatible features, bit = number in `FEATURES`; no unknown ones are set. */
  readonly features: bigint
  /** Compatible features, bit = number in `COMPAT_FEATURES`; may contain unknown ones. */
  readonly compat: bigint
  /** False until the first start of a new volume has completed: there is nothing in it yet. */
  readonly initialized: boolean
  /** True after a clean shutdown: the btree roots are in the section `clean`, the journal is not needed. */
  readonly clean: boolean
  /** True if errors were found and not yet repaired by a full check. */
  readonly hasErrors: boolean
  readonly hasTopologyErrors: boolean
  /** True if last written by a big-endian machine. */
  readonly bigEndian: boolean
  /** Checksum type of this copy. */
  readonly checksumType: number
  /** 0 none, 1 chacha20/poly1305. */
  readonly encryptionType: number
  /** Effective values of all options, defaults filled in. */
  readonly options: Options

  /** Where this device's copies are. */
  readonly layout: LayoutRecord
  /** All sections as they lie, unknown ones included. */
  readonly sections: readonly Section[]
  /** Types of sections that we don't know, ascending. */
  readonly unknownSections: readonly number[]

  /** All device slots by index. Dead slots (`alive` false) keep their place. */
  readonly members: readonly Member[]
  /** This device's journal. */
  readonly journalBuckets: JournalBuckets
  /** Sequence numbers to ignore, ascending, disjoint. */
  readonly blacklist: readonly SeqRange[]
  /** Present does not mean valid: only with the flag `clean`. */
  readonly cleanSection: CleanSection | undefined
  readonly replicas: readonly ReplicasEntry[]
  readonly diskGroups: readonly DiskGroup[]
  /** The volume's key; its presence means that encrypted checksum types may occur. */
  readonly crypt: CryptSection | undefined
  /** Limits of user, group and project quotas. */
  readonly quota: readonly QuotaLimits[]
  /** Informative counters by number. */
  readonly counters: readonly bigint[]
  readonly errors: readonly ErrorCount[]
  readonly ext: ExtSection | undefined
  readonly downgrade: readonly DowngradeEntry[]
}
