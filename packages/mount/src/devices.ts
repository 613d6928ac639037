/** Opening the devices of a volume, all or none. */

import type { BlockDevice, WritableBlockDevice } from '@cowherd/shim'
import { openStore, openWritableStore, withAllOpen } from '@cowherd/store'

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
  return withAllOpen(paths, (path) => openStore(path, { lock: !nolock, note }), open)
}

/** The same for writing, with exclusive locks. `claimed`: how claims on block devices are given up. */
export function withWritableDevices<T>(
  paths: readonly string[],
  { claimed, note }: { readonly claimed?: (release: () => void) => void; readonly note: (text: string) => void },
  open: (devices: WritableBlockDevice[]) => T,
): T {
  const options = { note, ...(claimed === undefined ? {} : { claimed }) }
  return withAllOpen(paths, (path) => openWritableStore(path, options), open)
}
