/**
 * How much of an extent is to be moved or compressed again in the background, by the wish that it carries (a rebalance entry). Format
 * chapter 4, 4.5.2 at its end, and chapter 6, 6.12.
 */

import { COMPRESSION_INCOMPRESSIBLE, type ExtentPointers } from '../extent-entries.ts'

/** Compression types in entries by the types in options: none, lz4, gzip, zstd. */
const TYPE_OF_OPTION: readonly number[] = [0, 3, 2, 4]
const OPTION_TYPE = 0xf

/** Where data should go, as far as that matters here. */
export interface Destinations {
  /** The devices that a target stands for. */
  devices(target: number): ReadonlySet<number>
  /** Whether file data can be written to the device. */
  accepts(device: number): boolean
}

/** Sectors of a decoded key that are still to be rewritten. */
export function sectorsToRebalance(pointers: ExtentPointers, destinations: Destinations): number {
  if (!pointers.hasRebalance) return 0
  return toCompress(pointers) + toMove(pointers, destinations)
}

/** None if the data can't be compressed, or there is none. */
function toCompress(pointers: ExtentPointers): number {
  const { rebalanceCompression, count } = pointers
  if (rebalanceCompression === 0) return 0
  const wanted = TYPE_OF_OPTION[rebalanceCompression & OPTION_TYPE]
  let sectors = 0
  for (let i = 0; i < count; i++) {
    const type = pointers.compressionType[i]
    if (type === COMPRESSION_INCOMPRESSIBLE || pointers.unwritten[i] === 1) return 0
    if (pointers.cached[i] === 0 && type !== wanted) sectors += pointers.compressedSectors[i]
  }
  return sectors
}

function toMove(pointers: ExtentPointers, destinations: Destinations): number {
  const { rebalanceTarget, count } = pointers
  if (rebalanceTarget === 0) return 0
  const devices = destinations.devices(rebalanceTarget)
  if (!someAccepts(devices, destinations)) return 0
  let sectors = 0
  for (let i = 0; i < count; i++) {
    if (pointers.cached[i] === 0 && !devices.has(pointers.device[i])) sectors += pointers.compressedSectors[i]
  }
  return sectors
}

function someAccepts(devices: ReadonlySet<number>, destinations: Destinations): boolean {
  for (const device of devices) if (destinations.accepts(device)) return true
  return false
}
