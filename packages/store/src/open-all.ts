/** The devices of a volume are opened together, or none is. */

import type { BlockDevice } from '@cowherd/shim'

/** Opens all devices, and returns what `open` makes of them; if any of this fails, closes them again. Throws what `openOne` and `open` throw. */
export function withAllOpen<Device extends BlockDevice, T>(
  paths: readonly string[],
  openOne: (path: string) => Device,
  open: (devices: Device[]) => T,
): T {
  const devices: Device[] = []
  try {
    for (const path of paths) devices.push(openOne(path))
    return open(devices)
  } catch (error) {
    for (const device of devices) device.close()
    throw error
  }
}
