/** How far the kernel reads ahead on a mount: it offers 128 KiB, and only the administrator may ask for more. */

import { findMount } from '@cowherd/fuse'
import { writeFileSync } from 'node:fs'

/** Raises it to `bytes`, where that is allowed; elsewhere things stay as they are. */
export function raiseReadAhead(directory: string, bytes: number): void {
  const entry = findMount(directory)
  if (entry === undefined) return
  const suffix = entry.type.startsWith('fuseblk') ? '-fuseblk' : '' // the number is the block device's own
  try {
    writeFileSync(`/sys/class/bdi/${entry.major}:${entry.minor}${suffix}/read_ahead_kb`, `${bytes >> 10}\n`)
  } catch {
    // not root, or no sysfs: reading is slower, and right all the same
  }
}
