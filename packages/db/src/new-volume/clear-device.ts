/** Makes a device one that nothing is known of but where its superblocks will be. Format chapter 1, 2.2. */

import type { WritableBlockDevice } from '@cowherd/shim'
import { layoutValue } from '../superblock/draft.ts'
import { Layout, LAYOUT_SECTOR, type LayoutRecord } from '../superblock/layout.ts'
import { SUPERBLOCK_SECTOR } from '../superblock/superblock.ts'
import type { DeviceGeometry } from './geometry.ts'

const SECTOR = 512
const WIPE_BYTES = 1 << 18

/** The layout record of a device whose superblocks have room for so many bytes each. */
export function layoutOf({ superblockSectors }: DeviceGeometry, superblockBytes: number): LayoutRecord {
  return { type: 0, maxSectors: superblockBytes / SECTOR, sectors: superblockSectors.map((sector) => BigInt(sector)) }
}

/** Wipes the places of superblocks, and all before the first, and writes the layout record. Throws DeviceError. */
export function clearDevice(device: WritableBlockDevice, layout: LayoutRecord): void {
  for (const sector of layout.sectors.map(Number)) {
    const end = (sector + layout.maxSectors) * SECTOR
    wipe(device, sector === SUPERBLOCK_SECTOR ? 0 : sector * SECTOR, end)
  }
  device.write(startOf(Layout.bytes(layoutValue(layout))), 0)
  device.flush()
}

/** Makes bytes [start, end) zeros, where they aren't: an image file keeps its holes. Throws DeviceError. */
export function wipe(device: WritableBlockDevice, start: number, end: number): void {
  const piece = new Uint8Array(Math.min(WIPE_BYTES, end - start))
  for (let at = start; at < Math.min(end, device.size); at += piece.length) {
    const part = piece.subarray(0, Math.min(piece.length, Math.min(end, device.size) - at))
    device.read(part, at)
    if (isWiped(part)) continue
    device.write(part.fill(0), at)
  }
}

/** True if there are only zeros, in whole sectors from the start of a buffer: looked at by words, as this is most of what a format computes. */
function isWiped(sectors: Uint8Array): boolean {
  for (const word of new Uint32Array(sectors.buffer, 0, sectors.length / 4)) if (word !== 0) return false
  return true
}

/** Everything before the first superblock: zeros, and the layout record at their end. */
function startOf(layout: Uint8Array): Uint8Array {
  const start = new Uint8Array(SUPERBLOCK_SECTOR * SECTOR)
  start.set(layout, LAYOUT_SECTOR * SECTOR)
  return start
}
