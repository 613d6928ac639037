/**
 * A volume as it is going to be when one of its devices has changed: the superblocks that they will have, what `StagedDatabase` begins with.
 * Format chapter 1, 4.1 and 4.8.
 */

import { isWritable, type BlockDevice, type WritableBlockDevice } from '@cowherd/shim'
import { bpos } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import { openDatabase, type DatabaseOptions } from '../database.ts'
import { SuperblockError, VolumeError } from '../errors.ts'
import { startOf } from '../space/freespace.ts'
import { StagedDatabase } from '../staged-database.ts'
import { isDevicesOwn, SuperblockDraft } from '../superblock/draft.ts'
import { assemble, readSuperblock, type Assembly } from '../superblock/index.ts'
import type { LayoutRecord } from '../superblock/layout.ts'
import { makeDiskGroups, type DiskGroup } from '../superblock/sections/disk-groups.ts'
import { makeJournalBuckets, type JournalBuckets } from '../superblock/sections/journal-buckets.ts'
import { makeMembers, type Member } from '../superblock/sections/members.ts'
import { SECTION_NAMES, type Section } from '../superblock/sections/section.ts'
import { SUPERBLOCK_SECTOR } from '../superblock/superblock.ts'
import { unlock } from '../superblock/unlock.ts'
import type { Transaction } from '../transaction/transaction.ts'
import { openVolume, type Volume } from '../volume.ts'
import { wipe } from './clear-device.ts'

/** How the volume is opened. */
export type ChangeOptions = Omit<DatabaseOptions, 'missing' | 'journalThread'>

/** What becomes of the devices. */
export interface DeviceChange {
  /** All slots. */
  readonly members: readonly Member[]
  readonly diskGroups: readonly DiskGroup[]
  /** It, if it comes to the volume. */
  readonly added?: { readonly device: WritableBlockDevice; readonly layout: LayoutRecord }
  /** The device whose own superblock changes. */
  readonly index: number
  /** Buckets that its journal gets: free ones, JOURNAL_BUCKETS_MIN at least. The journal goes to them meanwhile. */
  readonly journalBuckets: readonly number[]
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
  if (best.clean && (best.ext?.passesRequired ?? 0n) === 0n) {
    // before anything is written: whether the passphrase is right
    unlock(best, codecs, options.passphrase)
    return assembly
  }
  openDatabase(lent, options).close()
  return read()
}

/**
 * Makes `change` of a volume that is shut down cleanly, with `others`: keys that belong to it besides those that follow from the superblocks.
 * Throws VolumeError, with nothing changed that the volume knows of, or with all of it.
 */
export function makeChange(
  current: Assembly,
  change: DeviceChange,
  options: ChangeOptions,
  others: (tx: Transaction) => void,
): void {
  const { index, journalBuckets, members } = change
  const next = changed(current, change, options)
  const device = next.devices[index]
  if (device === undefined || !isWritable(device)) throw new RangeError(`device ${index} can't be written to`)
  const bucketBytes = members[index].bucketSectors * SECTOR
  // entries of a change that came to nothing may be there
  for (const bucket of journalBuckets) wipe(device, bucket * bucketBytes, (bucket + 1) * bucketBytes)
  device.flush()
  const db = new StagedDatabase(next, options, {
    device: index,
    firstIndex: current.journalBuckets[index]?.count ?? 0,
  })
  try {
    db.write(others, { frees: true })
    db.takeEffect()
  } finally {
    db.abandon()
  }
}

/**
 * Opens the changed volume, and shuts it down: the journal is where it would be otherwise, on as many devices. Throws what `openDatabase` does;
 * the change is made.
 */
export function settle(devices: readonly WritableBlockDevice[], options: ChangeOptions): void {
  const db = openDatabase(devices.map(borrowed), options)
  db.close()
}

/** The devices with the superblocks that they are going to have. */
function changed(current: Assembly, change: DeviceChange, { codecs }: ChangeOptions): Assembly {
  const { best } = current
  const { members, diskGroups, added, index: own, journalBuckets } = change
  const draft = SuperblockDraft.of(best)
  draft.identity = { ...draft.identity, nrDevices: members.length }
  for (const section of makeMembers(members)) draft.setSection(section)
  if (diskGroups.length > best.diskGroups.length) draft.setSection(makeDiskGroups(diskGroups))
  const candidate = (device: BlockDevice, index: number, layout: LayoutRecord, present: readonly Section[]) => {
    const order = present.map(({ type }) => type)
    const more = index === own ? journalBuckets : []
    const sections = withJournal(present.filter(isDevicesOwn), current.journalBuckets[index], more)
    const bytes = draft.encode({ index, layout, sections, order }, SUPERBLOCK_SECTOR, codecs)
    return { device, superblock: readSuperblock(preview(device, bytes), codecs) }
  }
  const present = current.superblocks.flatMap((superblock, index) => {
    const device = current.devices[index]
    if (superblock === undefined || device === undefined) return []
    const { layout, sections } = superblock
    return [candidate(device, index, layout, sections)]
  })
  if (added !== undefined) present.push(candidate(borrowed(added.device), own, added.layout, []))
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
function borrowed(device: WritableBlockDevice): WritableBlockDevice {
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
