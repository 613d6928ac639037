/**
 * Sections `members_v1` and `members_v2`: one record for each device slot of the volume, by device index.
 *
 * `members_v2` is the truth where it exists; it brings its own record size, so that shorter (older) and longer (newer)
 * records can be read. `members_v1` must always exist and holds the first 56 bytes of each record.
 * A slot whose uuid is zero is unused: its device was removed. Format chapter 1, 4.1 and 4.2.
 */

import {
  array,
  bits64,
  bytes,
  column,
  humanSize,
  localTimeText,
  pad,
  struct,
  u16,
  u32,
  u64,
  u8,
  uuidText,
  visibleText,
  type ValueOf,
} from '@cowherd/kernel-lib'
import { DATA_TYPES } from '../../data-types.ts'
import type { DeviceShape } from '../../key-type.ts'
import { bitNames } from '../features.ts'
import { allZero } from '../magic.ts'
import { Malformed } from '../malformed.ts'
import type { Superblock } from '../superblock.ts'
import { findSection, makeSection, requireBytes, SectionHeader, sectionName, viewOf, type Section } from './section.ts'

/** Slots for devices at most. */
export const MEMBERS_MAX = 64
/** Device index "none" in pointers and replicas entries. */
export const MEMBER_INVALID = 255

export const MemberRecord = struct({
  uuid: bytes(16),
  nbuckets: u64,
  firstBucket: u16,
  bucketSize: u16, // sectors
  btreeBitmapShift: u8,
  pad: pad(3),
  lastMount: u64, // seconds since 1970
  flags: bits64({
    state: [0, 4],
    discard: [14, 15],
    dataAllowed: [15, 20],
    group: [20, 28], // disk group + 1
    durability: [28, 30], // durability + 1, 0 = default
    freespaceInitialized: [30, 31],
  }),
  iops: array(u32, 4), // the v1 record ends in the middle of these
  errors: array(u64, 3),
  errorsAtReset: array(u64, 3),
  errorsResetTime: u64,
  seq: u64,
  btreeAllocatedBitmap: u64,
  lastJournalBucket: u32, // index in the device's journal list
  lastJournalBucketOffset: u32, // sectors
})

const MEMBER_V1_BYTES = 56
const MembersV2Header = struct({ header: SectionHeader, memberBytes: u16, pad: pad(6) })
/** Buckets of a device. */
export const BUCKETS_MIN = 64
export const BUCKETS_MAX = 0x7fffffff - 64

export const MEMBER_STATES = ['rw', 'ro', 'failed', 'spare'] as const
export type MemberState = (typeof MEMBER_STATES)[number] | 'unknown'

/** One device slot of the volume. */
export interface Member extends DeviceShape {
  /** Device index: how pointers and replicas entries name the device. */
  readonly index: number
  /** False for a slot without a device (removed): its other fields mean nothing. */
  readonly alive: boolean
  readonly uuid: Uint8Array
  readonly bucketCount: number
  readonly firstBucket: number
  readonly bucketSectors: number
  readonly durability: number
  readonly state: MemberState
  readonly discard: boolean
  /** Data types that may be allocated here: bit = data type. */
  readonly dataAllowed: number
  /** Index of its disk group (the leaf of its label), undefined without a label. */
  readonly group: number | undefined
  readonly freespaceInitialized: boolean
  /** Seconds since 1970, 0 = never. */
  readonly lastMount: bigint
  /** Sequential read and write, random read and write. Unused. */
  readonly iops: readonly number[]
  /** I/O errors: read, write, checksum. */
  readonly errors: readonly bigint[]
  readonly errorsAtReset: readonly bigint[]
  /** Seconds since 1970, 0 = never. */
  readonly errorsResetTime: bigint
  /** Sequence number of the last superblock write in which the device took part. */
  readonly seq: bigint
  /** Bit k: btree nodes may lie in sectors [k << btreeBitmapShift, (k + 1) << btreeBitmapShift). */
  readonly btreeBitmap: bigint
  readonly btreeBitmapShift: number
  /** Where journal writing goes on after a clean shutdown: index in the journal's bucket list, and sectors used there. */
  readonly lastJournalBucket: number
  readonly lastJournalBucketSectors: number
}

/** What the fixed part demands of each member. */
export interface MemberLimits {
  readonly deviceCount: number
  readonly blockSectors: number
  readonly btreeNodeSectors: number
}

/** All member slots from whichever section holds the truth. Throws Malformed. */
export function readMembers(sections: readonly Section[], limits: MemberLimits): Member[] {
  const v1 = findSection(sections, 'members_v1')
  if (v1 === undefined) throw new Malformed('section members_v1 is missing')
  const v1Members = checkedMembers(v1, limits)
  const v2 = findSection(sections, 'members_v2')
  return v2 === undefined ? v1Members : checkedMembers(v2, limits)
}

/** Sections `members_v2` and `members_v1` of the same records. */
export function makeMembers(members: readonly Member[]): [v2: Section, v1: Section] {
  const head = MembersV2Header.bytes({ header: { u64s: 0, type: 0 }, memberBytes: MemberRecord.size, pad: undefined })
  const from = head.length - SectionHeader.size
  const v2 = new Uint8Array(from + members.length * MemberRecord.size)
  v2.set(head.subarray(SectionHeader.size))
  const v1 = new Uint8Array(members.length * MEMBER_V1_BYTES)
  members.forEach((member, i) => {
    const record = MemberRecord.bytes(encodeMember(member))
    v2.set(record, from + i * record.length)
    v1.set(record.subarray(0, MEMBER_V1_BYTES), i * MEMBER_V1_BYTES)
  })
  return [makeSection('members_v2', v2), makeSection('members_v1', v1)]
}

function encodeMember(member: Member): MemberRecordValue {
  const state = MEMBER_STATES.indexOf(member.state as (typeof MEMBER_STATES)[number])
  if (state < 0) throw new RangeError(`device ${member.index} is in no known state`)
  return {
    uuid: member.uuid,
    nbuckets: BigInt(member.bucketCount),
    firstBucket: member.firstBucket,
    bucketSize: member.bucketSectors,
    btreeBitmapShift: member.btreeBitmapShift,
    pad: undefined,
    lastMount: member.lastMount,
    flags: {
      state,
      discard: Number(member.discard),
      dataAllowed: member.dataAllowed,
      group: member.group === undefined ? 0 : member.group + 1,
      durability: member.durability + 1,
      freespaceInitialized: Number(member.freespaceInitialized),
    },
    iops: [...member.iops],
    errors: [...member.errors],
    errorsAtReset: [...member.errorsAtReset],
    errorsResetTime: member.errorsResetTime,
    seq: member.seq,
    btreeAllocatedBitmap: member.btreeBitmap,
    lastJournalBucket: member.lastJournalBucket,
    lastJournalBucketOffset: member.lastJournalBucketSectors,
  }
}

/** As `show-super` prints the section: each device in it. */
export function printMembers(section: Section, superblock: Superblock): string {
  const members = recordsOf(section, superblock.deviceCount).map(decodeMember)
  return members
    .filter(({ alive }) => alive)
    .map((member) => `${column('Device:', 43)}${member.index}\n${memberLines(member, superblock).join('')}`)
    .join('')
}

function memberLines(member: Member, { diskGroups, replicas }: Superblock): string[] {
  const { iops, errors } = member
  const data = DATA_TYPES.filter((_, type) =>
    replicas.some(({ dataType, devices }) => dataType === type && devices.includes(member.index)),
  )
  const lines: [name: string, value: unknown][] = [
    ['Label', labelText(member, diskGroups)],
    ['UUID', uuidText(member.uuid)],
    ['Size', humanSize(member.bucketCount * member.bucketSectors * 512)],
    ['read errors', errors[0]],
    ['write errors', errors[1]],
    ['checksum errors', errors[2]],
    ['seqread iops', iops[0]],
    ['seqwrite iops', iops[1]],
    ['randread iops', iops[2]],
    ['randwrite iops', iops[3]],
    ['Bucket size', humanSize(member.bucketSectors * 512)],
    ['First bucket', member.firstBucket],
    ['Buckets', member.bucketCount],
    ['Last mount', member.lastMount === 0n ? '(never)' : localTimeText(member.lastMount)],
    ['Last superblock write', member.seq],
    ['State', member.state],
    ['Data allowed', listText(bitNames(BigInt(member.dataAllowed), DATA_TYPES))],
    ['Has data', listText(data)],
    // The unit is sectors, but the reference prints it as bytes.
    ['Btree allocated bitmap blocksize', humanSize(2 ** member.btreeBitmapShift)],
    ['Btree allocated bitmap', member.btreeBitmap.toString(2).padStart(64, '0')],
    ['Durability', member.durability],
    ['Discard', Number(member.discard)],
    ['Freespace initialized', Number(member.freespaceInitialized)],
  ]
  return lines.map(([name, value]) => `${column(`  ${name}:`, 43)}${String(value)}\n`)
}

/** Only the leaf's name and its index. The records of `members_v1` aren't checked against the labels. */
function labelText({ group }: Member, diskGroups: Superblock['diskGroups']): string {
  if (group === undefined) return '(none)'
  return group < diskGroups.length ? `${visibleText(diskGroups[group].label)} (${group})` : `(bad label ${group})`
}

function listText(names: readonly string[]): string {
  return names.length === 0 ? '(none)' : names.join(',')
}

type MemberRecordValue = ValueOf<typeof MemberRecord>

function checkedMembers(section: Section, limits: MemberLimits): Member[] {
  const records = recordsOf(section, limits.deviceCount)
  records.forEach((record, i) => checkRecord(record, `section ${sectionName(section.type)}: device ${i}`, limits))
  return records.map(decodeMember)
}

function recordsOf(section: Section, count: number): MemberRecordValue[] {
  const { from, stride } = sectionName(section.type) === 'members_v1' ? RECORDS_V1 : recordsV2(section)
  if (stride < MEMBER_V1_BYTES) {
    throw new Malformed(`section ${sectionName(section.type)}: records of ${stride} bytes are too short`)
  }
  requireBytes(section, from + stride * count)
  return Array.from({ length: count }, (_, index) => {
    const at = from + index * stride
    return MemberRecord.readPadded(section.bytes.subarray(at, at + stride))
  })
}

const RECORDS_V1 = { from: SectionHeader.size, stride: MEMBER_V1_BYTES }

function recordsV2(section: Section): { from: number; stride: number } {
  requireBytes(section, MembersV2Header.size)
  return { from: MembersV2Header.size, stride: MembersV2Header.read(viewOf(section.bytes), 0).memberBytes }
}

function checkRecord(record: MemberRecordValue, where: string, limits: MemberLimits): void {
  const { nbuckets, firstBucket, bucketSize } = record
  if (nbuckets > BUCKETS_MAX) throw new Malformed(`${where} has too many buckets (${nbuckets})`)
  if (Number(nbuckets) - firstBucket < BUCKETS_MIN) {
    throw new Malformed(`${where} has too few buckets (${nbuckets} from ${firstBucket} on, at least ${BUCKETS_MIN})`)
  }
  if (bucketSize < limits.blockSectors) {
    throw new Malformed(`${where}: buckets of ${bucketSize} sectors are smaller than a block (${limits.blockSectors})`)
  }
  if (bucketSize < limits.btreeNodeSectors) {
    throw new Malformed(
      `${where}: buckets of ${bucketSize} sectors are smaller than a btree node (${limits.btreeNodeSectors})`,
    )
  }
}

function decodeMember(record: MemberRecordValue, index: number): Member {
  const { flags } = record
  return {
    index,
    alive: !allZero(record.uuid),
    uuid: record.uuid,
    bucketCount: Number(record.nbuckets),
    firstBucket: record.firstBucket,
    bucketSectors: record.bucketSize,
    durability: flags.durability === 0 ? 1 : flags.durability - 1,
    state: MEMBER_STATES[flags.state] ?? 'unknown',
    discard: flags.discard === 1,
    dataAllowed: flags.dataAllowed,
    group: flags.group === 0 ? undefined : flags.group - 1,
    freespaceInitialized: flags.freespaceInitialized === 1,
    lastMount: record.lastMount,
    iops: record.iops,
    errors: record.errors,
    errorsAtReset: record.errorsAtReset,
    errorsResetTime: record.errorsResetTime,
    seq: record.seq,
    btreeBitmap: record.btreeAllocatedBitmap,
    btreeBitmapShift: record.btreeBitmapShift,
    lastJournalBucket: record.lastJournalBucket,
    lastJournalBucketSectors: record.lastJournalBucketOffset,
  }
}
