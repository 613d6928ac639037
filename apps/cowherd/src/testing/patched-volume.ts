/** Golden volumes with keys that were changed, and nodes that are sound: what is odd on them can't be told by a checksum. */

import { closeSync, openSync, writeSync } from 'node:fs'
import { BtreeId } from '@cowherd/db'
import { devicesOf, loadNode, specimen, storeNode } from '@cowherd/fuzz'
import type { MountPlace } from './mount-place.ts'

/** Makes the volume `default` in the place, with bytes replaced by as many others wherever they are in the leaves of a btree. */
function patchedVolume(place: MountPlace, btreePatched: number, from: Uint8Array, to: Uint8Array): string {
  const volume = place.volume('default')
  const golden = specimen('default')
  const { nodes, blockBytes, sealer } = golden
  const devices = devicesOf(golden)
  const [device] = devices
  if (device === undefined) throw new Error('a volume without a device')
  let patches = 0
  const image = openSync(volume, 'r+')
  for (const { btree, level, copies, length } of nodes) {
    const [copy] = copies
    if (btree !== btreePatched || level !== 0 || copy === undefined) continue
    const node = Buffer.from(loadNode(device, copy.at, length, blockBytes, sealer))
    for (let at = node.indexOf(from); at >= 0; at = node.indexOf(from, at + 1)) {
      node.set(to, at)
      patches++
    }
    storeNode(devices, copies, node, blockBytes, sealer)
    writeSync(image, device.bytes(copy.at, length), 0, length, copy.at)
  }
  closeSync(image)
  if (patches === 0) throw new Error('nothing to patch')
  return volume
}

/** Entries of a list as they lie on the volume: tag (2: a user), permissions, id. */
const LETS_USER_1234_IN = Uint8Array.of(2, 0, 6, 0, 0xd2, 4, 0, 0)
const KEEPS_USER_65534_OUT = Uint8Array.of(2, 0, 0, 0, 0xfe, 0xff, 0, 0)

/** The file of the volume that has the list: its mode is rw-rw-r--. */
export const FILE_WITH_LIST = 'tree/block'

/** A volume whose access control list keeps user 65534 from a file that everybody else may read. */
export function volumeWithDenyingAcl(place: MountPlace): string {
  return patchedVolume(place, BtreeId.xattrs, LETS_USER_1234_IN, KEEPS_USER_65534_OUT)
}

/** A volume with a slash in a name of the directory `many`, in place of a dash. */
export function volumeWithSlashInName(place: MountPlace): string {
  return patchedVolume(place, BtreeId.dirents, Buffer.from('file-00005'), Buffer.from('file/00005'))
}
