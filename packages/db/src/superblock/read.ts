/**
 * Reads the superblock of one device: finds a good copy, verifies it, and checks every field and section before anything
 * relies on it. Format chapter 1, 5.
 *
 * The first good copy wins: the one at sector 8 if it is good, otherwise the first good one that the layout record in
 * sector 7 names. Nothing is allocated by a size that wasn't checked. All errors are SuperblockErrors that name the device and
 * the place, and when every copy is bad, they say why each one is.
 */

import { hexText } from '@cowherd/kernel-lib'
import { DeviceError, type BlockDevice, type Codecs } from '@cowherd/shim'
import { Checksum, CHECKSUM_TYPES, checksumName, checksumText, isEncryptedChecksum } from '../checksum.ts'
import { SuperblockError, type ErrorCode } from '../errors.ts'
import { FEATURES, setBits } from './features.ts'
import { Flag, flag } from './flags.ts'
import { checkedLayout, Layout, LAYOUT_SECTOR, LAYOUT_SIZE_BITS_MAX } from './layout.ts'
import { allZero, isMagic, untilNul } from './magic.ts'
import { Malformed } from './malformed.ts'
import { readOptions } from './options.ts'
import { readBlacklist } from './sections/blacklist.ts'
import { readClean } from './sections/clean.ts'
import { readCounters } from './sections/counters.ts'
import { readCrypt } from './sections/crypt.ts'
import { readDiskGroups } from './sections/disk-groups.ts'
import { readDowngrade } from './sections/downgrade.ts'
import { readErrors } from './sections/errors.ts'
import { readExt } from './sections/ext.ts'
import { readJournalBuckets } from './sections/journal-buckets.ts'
import { MEMBERS_MAX, readMembers } from './sections/members.ts'
import { readQuota } from './sections/quota.ts'
import { readReplicas } from './sections/replicas.ts'
import { SECTION_NAMES, splitSections, viewOf } from './sections/section.ts'
import { SUPERBLOCK_SECTOR, SuperblockHead, type Superblock, type SuperblockHeadValue } from './superblock.ts'
import { isCompatibleVersion, VERSION_CURRENT, versionMajor, versionText } from './versions.ts'

const SECTOR = 512
const FIRST_READ_BYTES = 4096
const CHECKSUM_START = 16
const BLOCK_SECTORS_MAX = 8
const TIME_PRECISION_MAX_NS = 1_000_000_000
const ENCRYPTION_TYPES = 2

/**
 * Reads and checks the superblock of `device`. `sector` forces one copy by its place.
 * Throws SuperblockError: EINVAL if this is no volume at all, EIO if it is damaged, EOPNOTSUPP if it is too new.
 */
export function readSuperblock(device: BlockDevice, codecs: Codecs, sector?: number): Superblock {
  const checksum = new Checksum(codecs)
  const { copy, badCopies } =
    sector === undefined
      ? firstGoodCopy(device, checksum)
      : { copy: readCopy(device, sector, checksum), badCopies: NO_FAILURES }
  return at(device, copy.sector, 'EIO', () => decode(copy, badCopies))
}

/** The bytes of one copy whose checksum is right, and its fixed part. */
interface Copy {
  readonly sector: number
  readonly bytes: Uint8Array
  readonly head: SuperblockHeadValue
}

const NO_FAILURES: readonly string[] = []

/** There is no superblock at this place, damaged or not. */
class NotASuperblock extends Malformed {}
/** It is one, but too new. */
class TooNew extends Malformed {}

function firstGoodCopy(device: BlockDevice, checksum: Checksum): { copy: Copy; badCopies: readonly string[] } {
  const failures: SuperblockError[] = []
  const attempt = <T>(read: () => T): T | undefined => {
    try {
      return read()
    } catch (error) {
      if (!(error instanceof SuperblockError)) throw error
      failures.push(error)
      return undefined
    }
  }
  const first = attempt(() => readCopy(device, SUPERBLOCK_SECTOR, checksum))
  if (first !== undefined) return { copy: first, badCopies: NO_FAILURES }
  const layout = attempt(() => readLayoutSector(device))
  for (const sector of (layout?.sectors ?? []).map(Number)) {
    if (sector === SUPERBLOCK_SECTOR) continue
    const copy = attempt(() => readCopy(device, sector, checksum))
    if (copy !== undefined) return { copy, badCopies: failures.map(({ message }) => message) }
  }
  throw withoutGoodCopy(device, failures)
}

function withoutGoodCopy(device: BlockDevice, errors: readonly SuperblockError[]): SuperblockError {
  if (errors.every(({ cause }) => cause instanceof NotASuperblock)) {
    return new SuperblockError('EINVAL', device.name, 'not a bcachefs volume')
  }
  const reasons = [...new Set(errors.map(({ message }) => message.slice(`${device.name} `.length)))]
  const code = errors.some((error) => error.code === 'EOPNOTSUPP') ? 'EOPNOTSUPP' : 'EIO'
  return new SuperblockError(code, device.name, `no usable superblock (${reasons.join('; ')})`)
}

function readLayoutSector(device: BlockDevice) {
  return at(device, LAYOUT_SECTOR, 'EIO', () => {
    const bytes = readBytes(device, LAYOUT_SECTOR, Layout.size)
    const layout = Layout.read(viewOf(bytes), 0)
    if (!isMagic(layout.magic)) throw new NotASuperblock('not a superblock layout (wrong magic number)')
    return checkedLayout(layout)
  })
}

function readCopy(device: BlockDevice, sector: number, checksum: Checksum): Copy {
  return at(device, sector, 'EIO', () => {
    const there = Math.min(FIRST_READ_BYTES, device.size - sector * SECTOR)
    const start = readBytes(device, sector, Math.max(there, SuperblockHead.size))
    const head = SuperblockHead.read(viewOf(start), 0)
    if (!isMagic(head.magic)) throw new NotASuperblock(`not a superblock (magic number ${hexText(head.magic)})`)
    checkVersions(head)
    const size = SuperblockHead.size + head.u64s * 8
    const sizeMax = SECTOR * 2 ** Math.min(head.layout.sbMaxSizeBits, LAYOUT_SIZE_BITS_MAX)
    if (size > sizeMax) throw new Malformed(`${size} bytes long where ${sizeMax} can be`)
    const bytes = size <= start.length ? start.subarray(0, size) : readBytes(device, sector, size)
    verify(bytes, head, checksum)
    return { sector, bytes, head }
  })
}

/** Throws if the device ends too early for what has to be there. */
function readBytes(device: BlockDevice, sector: number, size: number): Uint8Array {
  if (sector * SECTOR + size > device.size) {
    const missing = sector === SUPERBLOCK_SECTOR || sector === LAYOUT_SECTOR
    const message = `the device ends before it (${device.size} bytes): truncated?`
    throw missing ? new NotASuperblock(message) : new Malformed(message)
  }
  const bytes = new Uint8Array(size)
  device.read(bytes, sector * SECTOR)
  return bytes
}

function checkVersions({ version, versionMin }: SuperblockHeadValue): void {
  if (versionMajor(version) > versionMajor(VERSION_CURRENT)) {
    throw new TooNew(`format version ${versionText(version)} is too new: up to major version 1 can be read`)
  }
  if (!isCompatibleVersion(version)) throw new TooNew(`format version ${versionText(version)} is too old`)
  if (!isCompatibleVersion(versionMin)) {
    throw new TooNew(`oldest version on disk, ${versionText(versionMin)}, can't be read`)
  }
  if (versionMin > version) {
    throw new Malformed(`oldest version on disk (${versionText(versionMin)}) is above ${versionText(version)}`)
  }
}

function verify(bytes: Uint8Array, head: SuperblockHeadValue, checksum: Checksum): void {
  const type = checksumTypeOf(head)
  if (type >= CHECKSUM_TYPES.length || isEncryptedChecksum(type)) {
    throw new Malformed(`checksum type ${checksumName(type)} can't be on a superblock`)
  }
  checksum.compute(type, bytes.subarray(CHECKSUM_START))
  if (checksum.equals(bytes)) return
  const computed = checksumText(new Uint8Array(checksum.words.buffer))
  throw new Malformed(`checksum mismatch (${checksumName(type)}: ${checksumText(bytes)} stored, ${computed} computed)`)
}

/** Checks all that is in a good copy. Throws Malformed. */
function decode({ sector, bytes, head }: Copy, badCopies: readonly string[]): Superblock {
  checkFixedPart(head)
  const { flags } = head
  const options = readOptions(flags, head.blockSize, head.version)
  const layout = named('layout', () => checkedLayout(head.layout))
  const sections = splitSections(bytes.subarray(SuperblockHead.size))
  const members = readMembers(sections, {
    deviceCount: head.nrDevices,
    blockSectors: head.blockSize,
    btreeNodeSectors: options.btreeNodeSize / SECTOR,
  })
  const crypt = readCrypt(sections)
  const encryptionType = flag(flags, Flag.encryptionType)
  if (encryptionType >= ENCRYPTION_TYPES) throw new TooNew(`unknown encryption type ${encryptionType}`)
  if (encryptionType !== 0 && crypt === undefined)
    throw new Malformed('the volume is encrypted, but has no key section')
  return {
    bytes,
    sector,
    badCopies,
    version: head.version,
    versionMin: head.versionMin,
    versionUpgradeComplete: flag(flags, Flag.versionUpgradeComplete) || head.version,
    newerMinor: head.version > VERSION_CURRENT,
    uuid: head.uuid,
    userUuid: head.userUuid,
    label: untilNul(head.label),
    seq: head.seq,
    writeTime: head.writeTime,
    blockSectors: head.blockSize,
    deviceIndex: head.devIdx,
    deviceCount: head.nrDevices,
    timeBaseNs: head.timeBaseLo, // the reference ignores the upper part, too
    timePrecisionNs: head.timePrecision,
    flags,
    features: head.features[0],
    compat: head.compat[0],
    initialized: flag(flags, Flag.initialized) === 1,
    clean: flag(flags, Flag.clean) === 1,
    hasErrors: flag(flags, Flag.hasErrors) === 1,
    hasTopologyErrors: flag(flags, Flag.hasTopologyErrors) === 1,
    bigEndian: flag(flags, Flag.bigEndian) === 1,
    checksumType: checksumTypeOf(head),
    encryptionType,
    options,
    layout,
    sections,
    unknownSections: sections.map(({ type }) => type).filter((type) => type >= SECTION_NAMES.length),
    members,
    journalBuckets: readJournalBuckets(sections, members[head.devIdx]),
    blacklist: readBlacklist(sections),
    cleanSection: readClean(sections),
    replicas: readReplicas(sections, members),
    diskGroups: readDiskGroups(sections, members),
    crypt,
    quota: readQuota(sections),
    counters: readCounters(sections),
    errors: readErrors(sections),
    ext: readExt(sections),
    downgrade: readDowngrade(sections, head.version),
  }
}

function checkFixedPart(head: SuperblockHeadValue): void {
  const unknown = setBits(head.features[0]).filter((bit) => bit >= FEATURES.length)
  unknown.push(...setBits(head.features[1]).map((bit) => bit + 64))
  if (unknown.length > 0) {
    throw new TooNew(`unknown incompatible feature ${unknown.length === 1 ? 'bit' : 'bits'} ${unknown.join(', ')}`)
  }
  if (head.blockSize === 0 || head.blockSize > BLOCK_SECTORS_MAX) {
    throw new Malformed(`blocks of ${head.blockSize * SECTOR} bytes (up to ${BLOCK_SECTORS_MAX * SECTOR} can be)`)
  }
  if (allZero(head.userUuid) || allZero(head.uuid)) throw new Malformed('the uuid is zero')
  if (head.nrDevices === 0 || head.nrDevices > MEMBERS_MAX) {
    throw new Malformed(`${head.nrDevices} devices where 1 to ${MEMBERS_MAX} can be`)
  }
  if (head.devIdx >= head.nrDevices) throw new Malformed(`device index ${head.devIdx} of ${head.nrDevices} devices`)
  if (head.timePrecision === 0 || head.timePrecision > TIME_PRECISION_MAX_NS) {
    throw new Malformed(`time precision ${head.timePrecision} ns`)
  }
}

function checksumTypeOf(head: SuperblockHeadValue): number {
  return flag(head.flags, Flag.checksumType)
}

function named<T>(structure: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw error instanceof Malformed ? new Malformed(`${structure}: ${error.message}`) : error
  }
}

/** Runs `read`; what it finds wrong becomes a SuperblockError that names the place. */
function at<T>(device: BlockDevice, sector: number, code: ErrorCode, read: () => T): T {
  try {
    return read()
  } catch (error) {
    const where = `${device.name} sector ${sector}: ${sector === LAYOUT_SECTOR ? 'superblock layout' : 'superblock'}`
    if (error instanceof TooNew) throw new SuperblockError('EOPNOTSUPP', where, error.message, { cause: error })
    if (error instanceof NotASuperblock) throw new SuperblockError('EINVAL', where, error.message, { cause: error })
    if (error instanceof Malformed) throw new SuperblockError(code, where, error.message, { cause: error })
    if (error instanceof DeviceError) throw new SuperblockError('EIO', where, error.message, { cause: error })
    throw error
  }
}
