/**
 * Adds a device to a volume that nobody has open. A power cut leaves the volume as it was, or with the device. Format chapter 4, 4.10.2, and
 * chapter 1, 4.1.
 */

import type { Codecs, WritableBlockDevice } from '@cowherd/shim'
import { DataType } from '../data-types.ts'
import { SuperblockError, VolumeError } from '../errors.ts'
import { CounterName } from '../space/counter-name.ts'
import { readSuperblock, type Superblock } from '../superblock/index.ts'
import { sameBytes } from '../superblock/magic.ts'
import { MEMBERS_MAX, type Member } from '../superblock/sections/members.ts'
import { cleanVolume, makeChange, settle, type ChangeOptions } from './changed-volume.ts'
import { clearDevice, layoutOf } from './clear-device.ts'
import { DeviceSpace } from './device-space.ts'
import { chooseGeometry } from './geometry.ts'
import { memberOf, sizeOf, valid, type NewDevice } from './make-volume.ts'

const SECTOR = 512

/**
 * Adds `added`, over whatever it holds, to the volume on `devices`, all that it has. Returns its index. The devices stay open. Nothing is
 * written to it unless everything is valid.
 * @throws SuperblockError EINVAL, ENOSPC (it is too small), EOPNOTSUPP; what `openDatabase` throws; VolumeError ENOSPC; DeviceError
 */
export function addDevice(devices: readonly WritableBlockDevice[], added: NewDevice, options: ChangeOptions): number {
  refuseOwn(devices, added.device, options.codecs)
  const current = cleanVolume(devices, options)
  const { best } = current
  const superblockBytes = best.layout.maxSectors * SECTOR
  const geometry = chooseGeometry([sizeOf(added)], {
    ...{ blockBytes: best.blockSectors * SECTOR, btreeNodeBytes: best.options.btreeNodeSize, superblockBytes },
  })
  const index = slotIn(best)
  const diskGroups = [...best.diskGroups]
  const member = valid(() => memberOf(added, index, geometry.devices[0], diskGroups, options.random))
  const members = [...best.members.slice(0, index), member, ...best.members.slice(index + 1)]
  const layout = layoutOf(geometry.devices[0], superblockBytes)
  const { journalBuckets } = new DeviceSpace({
    ...{ ...member, device: added.device },
    superblockSectors: geometry.devices[0].superblockSectors,
    superblockRoom: layout.maxSectors,
  })
  clearDevice(added.device, layout)
  const change = { members, diskGroups, index, journalBuckets, added: { device: added.device, layout } }
  makeChange(current, change, options, (tx) => {
    const free = new CounterName().deviceDataType(index, DataType.free)
    tx.account(free, member.bucketCount - member.firstBucket, 0, 0)
  })
  settle([...devices, added.device], options)
  return index
}

function refuseOwn(devices: readonly WritableBlockDevice[], added: WritableBlockDevice, codecs: Codecs): void {
  const uuid = readSuperblock(devices[0], codecs).uuid
  const other = superblockOf(added, codecs)
  if (other === undefined || !sameBytes(other.uuid, uuid)) return
  const isMember = devices.some((device) => {
    const { members } = readSuperblock(device, codecs)
    const slot = other.deviceIndex < members.length ? members[other.deviceIndex] : undefined
    return slot?.alive === true && sameBytes(slot.uuid, other.members[other.deviceIndex].uuid)
  })
  if (isMember) throw new SuperblockError('EINVAL', added.name, 'is a device of this volume already')
}

/** Undefined if there is none, or none that can be made sense of. */
function superblockOf(device: WritableBlockDevice, codecs: Codecs): Superblock | undefined {
  try {
    return readSuperblock(device, codecs)
  } catch (error) {
    if (error instanceof VolumeError) return undefined
    throw error
  }
}

/** A new slot; if there are as many as can be, that of a device which was removed, longest ago. */
function slotIn({ members }: Superblock): number {
  if (members.length < MEMBERS_MAX) return members.length
  const dead = members.filter(({ alive }) => !alive)
  if (dead.length === 0) throw new SuperblockError('EINVAL', '', `a volume has no more than ${MEMBERS_MAX} devices`)
  return dead.reduce((oldest: Member, each) => (each.lastMount < oldest.lastMount ? each : oldest)).index
}
