/**
 * Makes a device of a volume that nobody has open larger, when there is more of it than the volume uses: an image that has grown, a larger
 * partition. A power cut leaves the volume as it was, or with the larger device. Format chapter 4, 4.10.2.
 */

import type { WritableBlockDevice } from '@cowherd/shim'
import { humanSize } from '@cowherd/kernel-lib'
import { DataType } from '../data-types.ts'
import { SuperblockError } from '../errors.ts'
import { CounterName } from '../space/counter-name.ts'
import { superblockBuckets } from '../space/reserved-buckets.ts'
import type { Assembly } from '../superblock/index.ts'
import { BUCKETS_MAX, type Member } from '../superblock/sections/members.ts'
import {
  cleanVolume,
  freeBuckets,
  JOURNAL_BUCKETS_MIN,
  look,
  makeChange,
  settle,
  type ChangeOptions,
} from './changed-volume.ts'

const SECTOR = 512

export interface ResizedDevice {
  readonly index: number
  /** Buckets before and after. */
  readonly before: number
  readonly after: number
}

/**
 * Lets the volume on `devices`, all that it has, use `sizeBytes` (left out: all) of the one that is called `name`, which is its name or its
 * number. The devices stay open. Nothing is written if it is as large as that already.
 * @throws SuperblockError EINVAL: no such device, not so large, or it would have to become smaller; what `openDatabase` throws; VolumeError
 * ENOSPC; DeviceError
 */
export function resizeDevice(
  devices: readonly WritableBlockDevice[],
  name: string,
  sizeBytes: number | undefined,
  options: ChangeOptions,
): ResizedDevice {
  const current = cleanVolume(devices, options)
  const { best } = current
  const index = current.devices.findIndex((device, i) => device?.name === name || String(i) === name)
  if (index < 0) throw new SuperblockError('EINVAL', '', `'${name}' is no device of the volume`)
  const old = best.members[index]
  const after = bucketCount(current, old, sizeBytes)
  const before = old.bucketCount
  if (after === before) return { index, before, after }

  const member: Member = { ...old, bucketCount: after, freespaceInitialized: false }
  const members = best.members.map((each) => (each.index === index ? member : each))
  const change = { members, diskGroups: best.diskGroups, index, journalBuckets: moreJournal(current, member, options) }
  makeChange(current, change, options, (tx) => {
    tx.account(new CounterName().deviceDataType(index, DataType.free), after - before, 0, 0)
  })
  settle(devices, options)
  return { index, before, after }
}

function bucketCount({ devices }: Assembly, member: Member, wantedBytes: number | undefined): number {
  const device = devices[member.index]
  const size = device?.size ?? 0
  const bytes = wantedBytes ?? size
  const where = device?.name ?? `device ${member.index}`
  if (bytes > size) {
    throw new SuperblockError('EINVAL', where, `${humanSize(bytes)} are more than there is of it (${humanSize(size)})`)
  }
  const bucketBytes = member.bucketSectors * SECTOR
  const count = Math.floor(bytes / bucketBytes)
  if (count > BUCKETS_MAX) throw new SuperblockError('EINVAL', where, `${count} buckets are too many`)
  if (count >= member.bucketCount) return count
  const used = humanSize(member.bucketCount * bucketBytes)
  const message = `the volume uses ${used} of it: a device can't become smaller, as what lies at its end can't be moved yet`
  throw new SuperblockError('EINVAL', where, message)
}

/** Buckets for the device's journal, which grows with it: from what is new of it, if that is enough. */
function moreJournal(current: Assembly, member: Member, options: ChangeOptions): number[] {
  const fresh = newBuckets(current, member)
  const missing = JOURNAL_BUCKETS_MIN - fresh.length
  return missing === 0 ? fresh : [...fresh, ...freeBuckets(look(current, options), member.index, missing)]
}

/** The first few buckets that the device has got, and that are not for superblocks. */
function newBuckets({ best, superblocks }: Assembly, member: Member): number[] {
  const layout = superblocks[member.index]?.layout
  const reserved = superblockBuckets((layout?.sectors ?? []).map(Number), layout?.maxSectors ?? 0, member)
  const found: number[] = []
  for (let bucket = best.members[member.index].bucketCount; bucket < member.bucketCount; bucket++) {
    if (found.length === JOURNAL_BUCKETS_MIN) break
    if (!reserved.has(bucket)) found.push(bucket)
  }
  return found
}
