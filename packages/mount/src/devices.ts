/** Opening the devices of a volume, all or none. */

import type { BlockDevice, WritableBlockDevice } from '@cowherd/shim'
import { openStore, openWritableStore } from '@cowherd/store'

export interface DeviceManner {
  /** Take no locks: what is read may be changing. */
  readonly nolock?: boolean
  readonly note: (text: string) => void
}

/** Opens devices for reading, and what `open` makes of them; if that fails, closes them again. Throws DeviceError, and what `open` throws. */
export function withDevices<T>(
  paths: readonly string[],
  { nolock = false, note }: DeviceManner,
  open: (devices: BlockDevice[]) => T,
): T {
  return opened(paths, (path) => openStore(path, { lock: !nolock, note }), open)
}

/** The same for writing, with exclusive locks. `claimed`: how claims on block devices are given up. */
export function withWritableDevices<T>(
  paths: readonly string[],
  { claimed, note }: { readonly claimed?: (release: () => void) => void; readonly note: (text: string) => void },
  open: (devices: WritableBlockDevice[]) => T,
): T {
  const options = { note, ...(claimed === undefined ? {} : { claimed }) }
  return opened(paths, (path) => openWritableStore(path, options), open)
}

function opened<Device extends BlockDevice, T>(
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
