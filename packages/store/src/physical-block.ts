/** The least unit that a device writes without reading what lies around it. */

import { readFileSync, statSync } from 'node:fs'
import { deviceNumber } from '@cowherd/shim'

const SECTOR = 512

/** In bytes: the physical block of a block device (Linux), the block of the filesystem for a file. */
export function physicalBlockBytes(path: string, sysfs = '/sys/dev/block'): number {
  const stat = statSync(path)
  if (stat.isFile()) return stat.blksize
  for (const folder of ['', '/..']) {
    try {
      // a partition's queue is that of its disk
      const text = readFileSync(`${sysfs}/${deviceNumber(stat.rdev)}${folder}/queue/physical_block_size`, 'utf8')
      if (Number(text) >= SECTOR) return Number(text)
    } catch {
      // no sysfs here, or not at this place
    }
  }
  return SECTOR
}
