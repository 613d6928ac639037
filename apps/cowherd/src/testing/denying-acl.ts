/** A golden volume whose access control list keeps user 65534 from a file that everybody else may read. */

import { closeSync, openSync, writeSync } from 'node:fs'
import { BtreeId } from '@cowherd/db'
import { devicesOf, loadNode, specimen, storeNode } from '@cowherd/fuzz'
import type { MountPlace } from './mount-place.ts'

/** Entries of a list as they lie on the volume: tag (2: a user), permissions, id. */
const LETS_USER_1234_IN = Uint8Array.of(2, 0, 6, 0, 0xd2, 4, 0, 0)
const KEEPS_USER_65534_OUT = Uint8Array.of(2, 0, 0, 0, 0xfe, 0xff, 0, 0)

/** The file of the volume that has the list: its mode is rw-rw-r--. */
export const FILE_WITH_LIST = 'tree/block'

/** Makes the volume in the place. */
export function volumeWithDenyingAcl(place: MountPlace): string {
  const volume = place.volume('default')
  const golden = specimen('default')
  const { nodes, blockBytes, sealer } = golden
  const devices = devicesOf(golden)
  const [device] = devices
  if (device === undefined) throw new Error('a volume without a device')
  const image = openSync(volume, 'r+')
  for (const { btree, level, copies, length } of nodes) {
    const [copy] = copies
    if (btree !== BtreeId.xattrs || level !== 0 || copy === undefined) continue
    const node = Buffer.from(loadNode(device, copy.at, length, blockBytes, sealer))
    for (let at = node.indexOf(LETS_USER_1234_IN); at >= 0; at = node.indexOf(LETS_USER_1234_IN, at + 1)) {
      node.set(KEEPS_USER_65534_OUT, at)
    }
    storeNode(devices, copies, node, blockBytes, sealer)
    writeSync(image, device.bytes(copy.at, length), 0, length, copy.at)
  }
  closeSync(image)
  return volume
}
