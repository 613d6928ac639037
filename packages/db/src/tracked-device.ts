/**
 * A device that is flushed only if it has to be: where nothing was written since the last flush, everything is on stable storage. A journal
 * entry that only keys went before costs one write through then, and no flush.
 */

import type { WritableBlockDevice } from '@cowherd/shim'

export interface TrackedDevice extends WritableBlockDevice {
  /** Says that somebody else is about to flush the device. False: there is no need. */
  beginFlush(): boolean
}

export function isTracked(device: WritableBlockDevice): device is TrackedDevice {
  return 'beginFlush' in device
}

/** `device`, which nobody else writes to as long as this is used. */
export function trackedDevice(device: WritableBlockDevice): TrackedDevice {
  // who had it before may have left something
  let isFlushed = false
  return {
    name: device.name,
    size: device.size,
    alignment: device.alignment,
    canDiscard: device.canDiscard,
    ...(device.handle === undefined ? {} : { handle: device.handle }),
    read: (target, offset) => device.read(target, offset),
    write(source, offset) {
      isFlushed = false
      device.write(source, offset)
    },
    writeThrough: (source, offset) => device.writeThrough(source, offset),
    flush() {
      if (isFlushed) return
      device.flush()
      isFlushed = true
    },
    beginFlush() {
      const isNeeded = !isFlushed
      // what is written from here on, that flush may have or not
      isFlushed = true
      return isNeeded
    },
    discard: (offset, length) => device.discard(offset, length),
    close: () => device.close(),
  }
}
