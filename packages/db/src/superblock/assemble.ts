/**
 * Puts the devices of a volume together from their superblocks, given in any order: picks the superblock that speaks for
 * the volume, gives each device its place, leaves out stale ones, and refuses by name what can't work.
 * Format chapter 1, 6.
 */

import { uuidText } from '@cowherd/kernel-lib'
import type { BlockDevice } from '@cowherd/shim'
import { DataType, dataTypeName } from '../data-types.ts'
import { SuperblockError } from '../errors.ts'
import { hasFeature } from './features.ts'
import { sameBytes } from './magic.ts'
import { groupPath } from './sections/disk-groups.ts'
import type { JournalBuckets } from './sections/journal-buckets.ts'
import type { Member } from './sections/members.ts'
import { sectionName } from './sections/section.ts'
import type { Superblock } from './superblock.ts'
import { VERSION_CURRENT, version, versionText } from './versions.ts'

const SECTOR = 512
/** From this version on a superblock knows when each member took part last. */
const MEMBER_SEQ_VERSION = version(1, 4)

/**
 * How many devices may be missing: none; as many as leave a copy of everything; or so many that some data can't be
 * read.
 */
export type MissingDevices = 'none' | 'degraded' | 'very_degraded'

/** One device that was given, with the superblock read from it. */
export interface Candidate {
  readonly device: BlockDevice
  readonly superblock: Superblock
}

/** The devices of a volume in their places. */
export interface Assembly {
  /** Speaks for the volume: everything but `layout`, `journalBuckets` and `deviceIndex` holds for all devices. */
  readonly best: Superblock
  /** Devices by member index; undefined where missing or left out. */
  readonly devices: readonly (BlockDevice | undefined)[]
  /** Each device's own superblock, for its layout. */
  readonly superblocks: readonly (Superblock | undefined)[]
  /** Each device's journal; undefined where the device is missing. */
  readonly journalBuckets: readonly (JournalBuckets | undefined)[]
  /** What the user should be told once, a sentence each. */
  readonly notes: readonly string[]
}

/** Assembles the volume that `candidates` (at least one) belong to. Throws SuperblockError. */
export function assemble(candidates: readonly Candidate[], missing: MissingDevices = 'none'): Assembly {
  const chosen = newest(candidates)
  const best = chosen.superblock
  const notes = [...candidates.flatMap(copiesPassedOver), ...notesOf(best)]
  const placed: (Candidate | undefined)[] = best.members.map(() => undefined)
  for (const candidate of candidates) {
    const stale = candidate === chosen ? staleMember(candidate, best) : strangeness(candidate, chosen)
    if (stale !== undefined) {
      if (candidate === chosen) throw new SuperblockError('EINVAL', candidate.device.name, stale)
      notes.push(`${candidate.device.name}: ${stale}; left out`)
      continue
    }
    place(placed, candidate, best)
  }
  checkStartable(best, chosen.device.name)
  requireEnough(best, placed, missing)
  return {
    best,
    devices: placed.map((candidate) => candidate?.device),
    superblocks: placed.map((candidate) => candidate?.superblock),
    journalBuckets: placed.map((candidate) => candidate?.superblock.journalBuckets),
    notes,
  }
}

/** What the user should know of a device whose first superblock can't be used, a sentence each. */
export function copiesPassedOver({ superblock: { badCopies, sector } }: Pick<Candidate, 'superblock'>): string[] {
  return badCopies.map((failure) => `${failure}; the copy at sector ${sector} is used`)
}

/** The candidate with the greatest (seq, write time); the first one given wins ties. */
function newest(candidates: readonly Candidate[]): Candidate {
  if (candidates.length === 0) throw new SuperblockError('EINVAL', '', 'no device given')
  return candidates.reduce((best, each) => {
    const a = best.superblock
    const b = each.superblock
    return b.seq > a.seq || (b.seq === a.seq && b.writeTime > a.writeTime) ? each : best
  })
}

/** Why `candidate` has to be left out, undefined if it belongs. Throws if the volume can't be opened with it at all. */
function strangeness({ device, superblock }: Candidate, chosen: Candidate): string | undefined {
  const best = chosen.superblock
  if (!sameBytes(superblock.uuid, best.uuid)) {
    throw new SuperblockError(
      'EINVAL',
      device.name,
      `belongs to another volume (${uuidText(superblock.userUuid)}) than ${chosen.device.name} (${uuidText(best.userUuid)})`,
    )
  }
  const removed = staleMember({ device, superblock }, best)
  if (removed !== undefined) return removed
  if (superblock.blockSectors !== best.blockSectors) {
    throw new SuperblockError(
      'EINVAL',
      device.name,
      `its blocks have ${superblock.blockSectors * SECTOR} bytes, those of the volume ${best.blockSectors * SECTOR}`,
    )
  }
  return splitBrain(superblock, best)
}

function staleMember({ superblock }: Candidate, best: Superblock): string | undefined {
  const index = superblock.deviceIndex
  const slot = index < best.members.length ? best.members[index] : undefined
  if (slot?.alive !== true || !sameBytes(slot.uuid, superblock.members[index].uuid)) {
    return `was removed from the volume (device ${index})`
  }
  return undefined
}

/** Two superblocks that were both written without the other one's knowledge can't be merged. */
function splitBrain(superblock: Superblock, best: Superblock): string | undefined {
  if (superblock.version < MEMBER_SEQ_VERSION || best.version < MEMBER_SEQ_VERSION) return undefined
  const seen = best.members[superblock.deviceIndex].seq
  const differs = superblock.seq === best.seq && superblock.writeTime !== best.writeTime
  if (!differs && (seen === 0n || seen >= superblock.seq)) return undefined
  return `was written apart from the rest of the volume (sequence number ${superblock.seq}, the others know ${seen}): split brain`
}

function place(placed: (Candidate | undefined)[], candidate: Candidate, best: Superblock): void {
  const { device, superblock } = candidate
  const index = superblock.deviceIndex
  const other = placed[index]
  if (other !== undefined) {
    const names = other.device.name === device.name ? 'given twice' : `the same device as ${other.device.name}`
    throw new SuperblockError('EINVAL', device.name, `${names} (device ${index})`)
  }
  const member = best.members[index]
  const size = member.bucketCount * member.bucketSectors * SECTOR
  if (size > device.size) {
    throw new SuperblockError('EIO', device.name, `truncated: ${device.size} bytes long where the volume has ${size}`)
  }
  for (const { start, count } of superblock.journalBuckets.runs) {
    if (start < member.firstBucket || start + count > member.bucketCount) {
      throw new SuperblockError('EIO', device.name, `a journal bucket lies outside the device (${start}, ${count})`)
    }
  }
  placed[index] = candidate
}

/** Refuses volumes of versions that left their structures in a form that needs another program first. */
function checkStartable(best: Superblock, name: string): void {
  if (!hasFeature(best.features, 'new_extent_overwrite')) {
    throw new SuperblockError('EOPNOTSUPP', name, 'made by a version too old: feature new_extent_overwrite is missing')
  }
  if (!best.clean && !hasFeature(best.features, 'extents_above_btree_updates')) {
    throw new SuperblockError('EOPNOTSUPP', name, 'not shut down cleanly by an older version, which has to recover it')
  }
}

function requireEnough(best: Superblock, placed: readonly (Candidate | undefined)[], allowed: MissingDevices): void {
  const missing = best.members.filter(
    ({ alive, state, index }) => alive && (state === 'rw' || state === 'ro') && placed[index] === undefined,
  )
  const lost = incompleteReplicas(best, placed)
  const needed = lost.unreadable.length > 0 ? 'very_degraded' : missing.length + lost.reduced > 0 ? 'degraded' : 'none'
  if (MODES.indexOf(allowed) >= MODES.indexOf(needed)) return
  const names = missing.map((member) => memberText(member, best))
  const what =
    names.length === 0 ? 'devices are missing' : `${names.join(', ')} ${names.length === 1 ? 'is' : 'are'} missing`
  const effect =
    needed === 'degraded'
      ? '-o degraded opens the volume without, and everything in it can be read'
      : `-o very_degraded opens the volume without, and some of it can't be read (${lost.unreadable.join(', ')})`
  throw new SuperblockError('ENODEV', candidateName(placed), `${what}: ${effect}`)
}

const MODES: readonly MissingDevices[] = ['none', 'degraded', 'very_degraded']

/** Which kinds of data have entries that can't be read any more, and how many entries have lost a copy. */
function incompleteReplicas(
  { replicas, members }: Superblock,
  placed: readonly (Candidate | undefined)[],
): { unreadable: string[]; reduced: number } {
  const unreadable = new Set<string>()
  let reduced = 0
  for (const { dataType, required, devices } of replicas) {
    if (dataType === DataType.cached) continue
    const online = devices.filter((index) => placed[index] !== undefined).length
    const failed = devices.filter((index) => {
      if (placed[index] !== undefined) return false
      const member = members[index] as Member | undefined
      return member?.alive !== true || member.state === 'failed'
    }).length
    if (online + failed === devices.length) continue
    if (online < required) unreadable.add(dataTypeName(dataType))
    else reduced++
  }
  return { unreadable: [...unreadable], reduced }
}

function memberText({ index, uuid, group }: Member, { diskGroups }: Superblock): string {
  const label = group === undefined ? undefined : groupPath(diskGroups, group)
  return `device ${index} (uuid ${uuidText(uuid)}${label === undefined ? '' : `, label ${label}`})`
}

function candidateName(placed: readonly (Candidate | undefined)[]): string {
  return placed
    .filter((candidate) => candidate !== undefined)
    .map(({ device }) => device.name)
    .join(':')
}

function notesOf(best: Superblock): string[] {
  const notes: string[] = []
  if (best.newerMinor) {
    notes.push(
      `the volume's format version, ${versionText(best.version)}, is newer than ${versionText(VERSION_CURRENT)}: what is unknown is skipped`,
    )
  }
  if (best.unknownSections.length > 0) {
    notes.push(`unknown superblock sections are skipped: ${best.unknownSections.map(sectionName).join(', ')}`)
  }
  if (best.hasErrors || best.hasTopologyErrors || (best.ext?.btreesLostData ?? 0n) !== 0n) {
    notes.push('the volume is marked as having errors that were not repaired')
  } else if ((best.ext?.passesRequired ?? 0n) !== 0n) {
    notes.push('the volume is marked to be checked at the next start')
  }
  return notes
}
