/**
 * A volume as it is going to be when its devices have changed: the superblocks that they will have, and which of them host the journal until
 * then. What `StagedDatabase` begins with. Format chapter 1, 4.1 and 4.8.
 */

import type { BlockDevice, WritableBlockDevice } from '@cowherd/shim'
import { bpos } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import { DataType } from '../data-types.ts'
import { openDatabase, type DatabaseOptions } from '../database.ts'
import { SuperblockError, VolumeError } from '../errors.ts'
import { startOf } from '../space/freespace.ts'
import { StagedDatabase, type JournalHost } from '../staged-database.ts'
import { isDevicesOwn, SuperblockDraft } from '../superblock/draft.ts'
import { assemble, readSuperblock, type Assembly, type Superblock } from '../superblock/index.ts'
import type { LayoutRecord } from '../superblock/layout.ts'
import { makeDiskGroups, type DiskGroup } from '../superblock/sections/disk-groups.ts'
import { makeJournalBuckets, type JournalBuckets } from '../superblock/sections/journal-buckets.ts'
import { makeMembers, type Member } from '../superblock/sections/members.ts'
import { SECTION_NAMES, type Section } from '../superblock/sections/section.ts'
import { SUPERBLOCK_SECTOR } from '../superblock/superblock.ts'
import { openVolume, type Volume } from '../volume.ts'
import { wipe } from './clear-device.ts'

/** How the volume is opened. */
export type ChangeOptions = Omit<DatabaseOptions, 'missing' | 'journalThread'>

/** What becomes of the devices. */
export interface DeviceChange {
  /** All slots. */
  readonly members: readonly Member[]
  readonly diskGroups: readonly DiskGroup[]
  /** A device that comes to it, in the slot of its index. */
  readonly added?: { readonly index: number; readonly device: WritableBlockDevice; readonly layout: LayoutRecord }
  /** By device: buckets that its journal gets. They are free. */
  readonly journalBuckets: ReadonlyMap<number, readonly number[]>
}

const SECTOR = 512
/** The least that a journal works with. */
export const JOURNAL_BUCKETS_MIN = 8

/**
 * The volume on `devices`, all of its devices, recovered and shut down if it wasn't. The devices stay open. Throws VolumeError EINVAL if it
 * was never started, as `openDatabase`.
 */
export function cleanVolume(devices: readonly WritableBlockDevice[], options: ChangeOptions): Assembly {
  const { codecs } = options
  const lent = devices.map(borrowed)
  const read = (): Assembly => assemble(lent.map((device) => ({ device, superblock: readSuperblock(device, codecs) })))
  const assembly = read()
  const { best } = assembly
  if (!best.initialized) {
    throw new SuperblockError('EINVAL', devices[0].name, 'was never mounted: its first start is still to come')
  }
  if (best.clean && (best.ext?.passesRequired ?? 0n) === 0n) return assembly
  openDatabase(lent, options).close()
  return read()
}

/**
 * Prepares `change` of a volume that is shut down cleanly. `hosts`: devices whose new journal buckets the journal goes to meanwhile. Throws
 * VolumeError, with nothing changed that the volume knows of.
 */
export function stageChange(
  current: Assembly,
  change: DeviceChange,
  hosts: readonly number[],
  options: ChangeOptions,
): StagedDatabase {
  const next = changed(current, change, options)
  for (const index of hosts) {
    const device = next.devices[index]
    const { bucketSectors } = change.members[index]
    for (const bucket of change.journalBuckets.get(index) ?? []) {
      // entries of a change that came to nothing may be there
      wipe(device as WritableBlockDevice, bucket * bucketSectors * SECTOR, (bucket + 1) * bucketSectors * SECTOR)
    }
    ;(device as WritableBlockDevice).flush()
  }
  return new StagedDatabase(
    next,
    options,
    hosts.map((index): JournalHost => ({ device: index, firstIndex: current.journalBuckets[index]?.count ?? 0 })),
  )
}

/** The devices with the superblocks that they are going to have. */
function changed(current: Assembly, change: DeviceChange, { codecs }: ChangeOptions): Assembly {
  const { best } = current
  const { members, diskGroups, added, journalBuckets } = change
  const draft = SuperblockDraft.of(best)
  draft.identity = { ...draft.identity, nrDevices: members.length }
  for (const section of makeMembers(members)) draft.setSection(section)
  if (diskGroups.length > best.diskGroups.length) draft.setSection(makeDiskGroups(diskGroups))
  const candidate = (device: BlockDevice, index: number, layout: LayoutRecord, own: readonly Section[], order: number[]) => {
    const sections = withJournal(own, current.journalBuckets[index], journalBuckets.get(index) ?? [])
    const bytes = draft.encode({ index, layout, sections, order }, SUPERBLOCK_SECTOR, codecs)
    return { device, superblock: readSuperblock(preview(device, bytes), codecs) }
  }
  const present = current.superblocks.flatMap((superblock, index) => {
    const device = current.devices[index]
    if (superblock === undefined || device === undefined) return []
    const { layout, sections } = superblock
    return [candidate(device, index, layout, sections.filter(isDevicesOwn), sections.map(({ type }) => type))]
  })
  if (added !== undefined) present.push(candidate(borrowed(added.device), added.index, added.layout, [], []))
  return assemble(present)
}

/** A device's own sections, when its journal has got buckets. */
function withJournal(own: readonly Section[], buckets: JournalBuckets | undefined, more: readonly number[]): Section[] {
  if (more.length === 0) return [...own]
  const types = [SECTION_NAMES.indexOf('journal'), SECTION_NAMES.indexOf('journal_v2')]
  const all = (buckets?.runs ?? []).flatMap(({ start, count }) => Array.from({ length: count }, (_, i) => start + i))
  return [...own.filter(({ type }) => !types.includes(type)), makeJournalBuckets([...all, ...more])]
}

/** The device as it is, but for its first superblock. */
function preview(device: BlockDevice, superblock: Uint8Array): BlockDevice {
  const start = SUPERBLOCK_SECTOR * SECTOR
  return {
    name: device.name,
    size: device.size,
    close: () => undefined,
    read(target, offset) {
      device.read(target, offset)
      const from = Math.max(0, offset - start)
      const to = Math.max(0, start - offset)
      if (to < target.length) target.set(superblock.subarray(from, from + target.length - to), to)
    },
  }
}

/**
 * Devices to host the journal of a change: the `preferred` one, and others, until there are as many copies as metadata have. Throws
 * SuperblockError EINVAL if there is none.
 */
export function journalHosts({ options }: Superblock, members: readonly Member[], preferred: number): number[] {
  const canHost = ({ alive, state, durability, dataAllowed }: Member): boolean =>
    alive && state === 'rw' && durability > 0 && ((dataAllowed >> DataType.journal) & 1) === 1
  const hosts: number[] = []
  let copies = 0
  for (const member of [members[preferred], ...members]) {
    if (copies >= options.metadataReplicas) break
    if (!canHost(member) || hosts.includes(member.index)) continue
    hosts.push(member.index)
    copies += member.durability
  }
  if (hosts.length > 0) return hosts
  throw new SuperblockError('EINVAL', '', 'no device takes a journal')
}

/** The lowest free buckets of a device, `count` of them. `volume`: shut down cleanly. Throws VolumeError ENOSPC. */
export function freeBuckets(volume: Volume, device: number, count: number): number[] {
  const cursor = volume.cursor(BtreeId.freespace)
  const { key } = cursor
  const found: number[] = []
  for (let more = cursor.seek(bpos(device, 0)); more && key.inode === device; more = cursor.next()) {
    for (let bucket = startOf(key); bucket < key.offsetLo; bucket++) {
      if (found.push(bucket) === count) return found
    }
  }
  throw new VolumeError('ENOSPC', `device ${device}`, `${count} free buckets are needed for its journal`)
}

/** The volume, to look at. Nothing is closed with it. */
export function look(current: Assembly, options: ChangeOptions): Volume {
  return openVolume(
    current.devices.flatMap((device) => (device === undefined ? [] : [device])),
    options,
  )
}

/** A device that stays open when it is closed. */
export function borrowed(device: WritableBlockDevice): WritableBlockDevice {
  return {
    name: device.name,
    size: device.size,
    alignment: device.alignment,
    canDiscard: device.canDiscard,
    read: (target, offset) => device.read(target, offset),
    write: (source, offset) => device.write(source, offset),
    writeThrough: (source, offset) => device.writeThrough(source, offset),
    flush: () => device.flush(),
    discard: (offset, length) => device.discard(offset, length),
    close: () => undefined,
  }
}
